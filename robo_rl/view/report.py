"""A run as one self-contained HTML page: curves, evaluation, film and settings."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from policies.errors import UserError
from robo_rl.evaluation.registry import evaluation_tables
from robo_rl.output import results
from robo_rl.output.files import write_text
from robo_rl.training import config, runner
from robo_rl.training.tasks import task_of_run
from robo_rl.view.plots import curves_svg

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Content:
    """The content of the page; `film` holds the bytes of an mp4, None to leave it out."""

    task: str
    summary: str
    facts: Rows
    curves: str
    evaluation: Mapping[str, Any]
    film: bytes | None
    settings: str


def gather(run_dir: Path, evaluation: Mapping[str, Any], film: bytes | None) -> Content:
    """Read what the page needs from a run's folder. Raises UserError when it holds no curves."""
    configuration = config.load(run_dir / runner.CONFIG)
    lines = read_curves(run_dir)
    last, task = lines[-1], task_of_run(run_dir, configuration)
    origin = results.provenance()
    document = config.to_document(configuration)
    facts = (
        ("algorithm", str(document["algorithm"]["name"])),
        ("seed", str(configuration.seed)),
        ("iterations", f"{int(last['iteration']):,}"),
        ("steps", f"{int(last['steps']):,}"),
        ("training time", duration(float(last["seconds"]))),
        ("machine", f"{origin['machine']['processor']}, {origin['machine']['cores']} cores"),
        ("code", results.short_commit(origin["git_commit"] or "outside git")),
        ("written", str(origin["written"])[:16].replace("T", " ") + " UTC"),
    )
    settings = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return Content(task.name, task.summary, facts, curves_svg(lines), evaluation, film, settings)


def read_curves(run_dir: Path) -> list[dict[str, float]]:
    """The run's metrics. Raises UserError when there are none yet."""
    lines = runner.read_metrics(run_dir)
    if not lines:
        raise UserError(f"{run_dir / runner.METRICS} holds no iteration yet; train first")
    return lines


def duration(seconds: float) -> str:
    """Seconds as text in s, min or h."""
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def write(content: Content, path: Path) -> None:
    """Write the page, atomically. Raises UserError when that can't be done."""
    try:
        write_text(path, page(content))
    except OSError as error:
        raise UserError(f"can't write {path} ({error.strerror or error}); name another --out") from None


def page(content: Content) -> str:
    """The whole page."""
    film = ""
    if content.film is not None:
        data = base64.b64encode(content.film).decode()
        film = (
            '<section><h2>Film</h2><video controls muted loop autoplay playsinline src="data:video/mp4;base64,'
            f'{data}"></video></section>'
        )
    evaluation = "".join(table(part.heads, part.rows) for part in evaluation_tables(content.evaluation))
    return PAGE.format(
        title=html.escape(content.task),
        style=STYLE,
        summary=html.escape(content.summary),
        facts=facts(content.facts),
        film=film,
        starts=f"{int(content.evaluation['episodes']):,}",
        evaluation=evaluation,
        curves=content.curves,
        settings=html.escape(content.settings),
    )


def facts(rows: Rows) -> str:
    return "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in rows)


def table(heads: Sequence[str], rows: Rows) -> str:
    """An HTML table of text."""
    top = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


STYLE = """
:root { color-scheme: light; --ink: #1c2530; --soft: #66727f; --line: #dde3e9; --paper: #f5f7f9; --accent: #2563c9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 32px 20px 60px; }
h1 { margin: 0; font-size: 30px; letter-spacing: -0.01em; }
h2 { margin: 0 0 12px; font-size: 18px; }
p { margin: 4px 0 0; color: var(--soft); }
section, dl { background: white; border: 1px solid var(--line); border-radius: 10px; padding: 20px; margin: 20px 0 0; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px 20px; }
dt { color: var(--soft); font-size: 12px; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
video, svg { display: block; width: 100%; height: auto; border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin-top: 12px; }
th { text-align: left; color: var(--soft); font-size: 12px; font-weight: 600; }
th, td { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); }
pre { overflow-x: auto; font: 12.5px/1.45 "DejaVu Sans Mono", ui-monospace, monospace; margin: 12px 0 0; }
summary { cursor: pointer; font-weight: 600; color: var(--accent); }
"""
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>{title}</title><style>{style}</style></head>
<body><main>
<h1>{title}</h1><p>{summary}</p>
<dl>{facts}</dl>
{film}
<section><h2>Evaluation from {starts} held-out starts</h2>{evaluation}</section>
<section><h2>Training</h2>{curves}</section>
<section><details><summary>Settings</summary><pre>{settings}</pre></details></section>
</main></body></html>
"""
