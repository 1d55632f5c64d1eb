"""The tables of the benchmarks of flight and of the control loop, from their result files."""

from __future__ import annotations

from statistics import median

from robo_rl.bench.markdown import Result, markdown_table, percent


def hover(result: Result) -> str:
    """One row for each seed, then the median and the worst of all seeds; below them the savable share, and the start-up
    time."""
    seeds = result["seeds"]
    shares = ("survival", "success_at_0.1", "share_of_savable")
    rows = [(str(s["seed"]), f"{s['train_seconds']:.1f}", *(percent(s[key]) for key in shares)) for s in seeds]
    for name, seconds, pick in (
        ("**median**", result["median_train_seconds"], median),
        ("**worst**", result["worst_train_seconds"], min),
    ):
        rows.append((name, f"{seconds:.1f}", *(percent(pick([s[key] for s in seeds])) for key in shares)))
    title = ("seed", "training (s)", "alive at 5 s", "success at 0.1 m", "success, of the savable")
    return (
        f"{markdown_table(title, rows)}\n\n"
        f"Savable, by any of these policies or by an optimised open-loop plan, are {percent(result['savable_share'])} "
        f"of the starts. Beside the training a process imports for {result['import_seconds']:.1f} s, and the very "
        f"first one compiles kernels for {result['kernel_compile_seconds']:.1f} s."
    )


def track(result: Result) -> str:
    """One row for each robot and figure, one column for each controller: position RMSE, and survival where it is not
    complete. The line below names the rows in which the first controller, the learned one, is not the best.
    """
    controllers = list(dict.fromkeys(row["controller"] for row in result["rows"]))
    cells = {(row["robot"], row["period"], row["controller"]): row for row in result["rows"]}
    figures = list(dict.fromkeys((row["robot"], row["period"]) for row in result["rows"]))
    rows = [
        (f"{robot}, {period:g} s", *(_rmse(cells.get((robot, period, name))) for name in controllers))
        for robot, period in figures
    ]
    table = markdown_table(("robot, period of the figure", *(f"{name}: RMSE (m)" for name in controllers)), rows)
    beaten = [
        f"{robot}, {period:g} s"
        for robot, period in figures
        if min(controllers, key=lambda name: _rank(cells.get((robot, period, name)))) != controllers[0]
    ]
    where = f"except: {'; '.join(beaten)}" if beaten else "without exception"
    best = f"{len(figures) - len(beaten)} of {len(figures)} rows"
    return f"{table}\n\nBy flights survived, then by RMSE, `{controllers[0]}` is the best in {best}, {where}."


def _rank(row: Result | None) -> tuple[float, float]:
    """Smaller is better: the share of flights lost, then the error of the others."""
    if row is None or row["rmse"] is None:
        return 1.0, 0.0
    return 1.0 - row["survival"], row["rmse"]


def _rmse(row: Result | None) -> str:
    if row is None:
        return "not run"
    if row["rmse"] is None:
        return f"none survived ({percent(row['survival'])})"
    suffix = "" if row["survival"] >= 1.0 else f" ({percent(row['survival'])} survive)"
    return f"{row['rmse']:.3f}{suffix}"


def rotor(result: Result) -> str:
    """The throughputs, in millions per second."""
    cores = f"{result['cores']} core" + ("s" if result["cores"] > 1 else "")
    rows = [
        (what, f"{result[key] / 1e6:.1f}")
        for what, key in (
            ("RK4 steps, one core", "rk4_steps_per_second_1core"),
            ("RK4 steps and their adjoint, one core", "rk4_steps_with_adjoint_per_second_1core"),
            (f"full environment steps, {cores}", "env_steps_per_second"),
            (f"the same with a policy of 64 x 64, {cores}", "env_steps_with_policy_per_second"),
        )
    ]
    return markdown_table((f"{result['worlds']} worlds", "million a second"), rows)


def gpu(result: Result) -> str:
    """Throughputs by device and number of worlds, then the trainings, then the agreement with the CPU."""
    kinds = (
        ("RK4 steps", "physics", "steps_per_second"),
        ("RK4 steps and their adjoint", "physics", "with_adjoint_per_second"),
        ("full environment steps", "environments", "steps_per_second"),
        ("the same with a policy of 64 x 64", "environments", "with_policy_per_second"),
        ("samples of PPO, updates included", "ppo", "samples_per_second"),
    )
    rows = [
        (what, f"{row['worlds']:,}", "CPU" if row["device"] == "cpu" else str(result["card"]), f"{row[key] / 1e6:,.1f}")
        for what, part, key in kinds
        for row in result[part]
    ]
    trained = ", ".join(f"{row['train_seconds']:.1f}" for row in result["hover"])
    flown = ", ".join(percent(row["success_at_0.1"]) for row in result["hover"])
    cpu, parity = result["hover_cpu"], result["parity"]
    return (
        f"{markdown_table(('quadrotors', 'worlds', 'device', 'million a second'), rows)}\n\n"
        f"crazyflie-hover with the settings made for a CPU (256 worlds): {trained} s on the GPU, with {flown} success "
        f"at 0.1 m (seeds {', '.join(str(row['seed']) for row in result['hover'])}); {cpu['train_seconds']:.1f} s on "
        f"the CPU beside it (seed {cpu['seed']}, "
        f"{percent(cpu['success_at_0.1'])}).\n\n"
        f"Largest difference from the CPU, relative to each column's root mean square, over {parity['worlds']:,} "
        f"tumbling worlds: {parity['one_step']:.1e} after one step, {parity['all_steps']:.1e} after {parity['steps']}, "
        f"{max(parity['state_gradient'], parity['command_gradient']):.1e} in the gradients of a step."
    )


def loop(result: Result) -> str:
    """One row for each control rate: age of a command when it reaches the robot, period jitter, overruns, and the
    longest pause of the whole machine meanwhile, which limits every control loop.
    """
    rows = [
        (
            f"{rate} Hz",
            _milliseconds(r["age_p50_ms"]),
            _milliseconds(r["age_p99_ms"]),
            _milliseconds(r["jitter_p99_ms"]),
            str(r["overruns"]),
            _milliseconds(r["longest_overrun_ms"]),
            _milliseconds(r["longest_machine_pause_ms"]),
        )
        for rate, r in sorted(result["rates"].items(), key=lambda item: float(item[0]))
    ]
    title = (
        "rate",
        "age p50 (ms)",
        "age p99 (ms)",
        "jitter p99 (ms)",
        "overruns",
        "longest overrun (ms)",
        "longest pause of the whole machine (ms)",
    )
    return markdown_table(title, rows)


def any_vehicle(result: Result) -> str:
    """One row for each pilot over all vehicles; then one for each vehicle that has a teacher of its own; below them
    what the student costs."""
    rows = [
        (row["pilot"], percent(row["survival"]), percent(row["success_at_0.1"]), _metres(row["distance_p50_m"]))
        + (percent(row["figure_survival"]), _metres(row["figure_rmse_m"]))
        for row in result["pilots"]
    ]
    title = ("pilot", "alive at 5 s", "success at 0.1 m", "distance, median (m)", "figure flown", "figure's RMSE (m)")
    own = [
        (f"{row['mass_kg']:.2f}", f"{row['thrust_to_weight']:.1f}", f"{row['torque_to_inertia']:.0f}")
        + (percent(row["student_survival"]), percent(row["own_teacher_survival"]), percent(row["teacher_survival"]))
        for row in result["vehicles"]
    ]
    beside = (
        "mass (kg)",
        "thrust to weight",
        "roll (rad/s^2)",
        "student alive",
        "teacher of its own",
        "teacher of all",
    )
    costs = ", ".join(f"{row['instructions']:,} (`{row['kernel']}`)" for row in result["mcu"])
    return (
        f"{markdown_table(title, rows)}\n\n{markdown_table(beside, own)}\n\n"
        f"On these vehicles the student survives {percent(result['kept_share'])} of what their own teachers do. It has "
        f"{result['parameters']:,} parameters; a step takes {costs} instructions on the emulated Cortex-M4F. "
        f"Trainings and flights took {result['seconds'] / 60.0:.0f} minutes, {result['teacher_seconds']:.0f} s of them "
        f"the shared teacher and {result['student_seconds']:.0f} s the student."
    )


def chip(result: Result) -> str:
    """One row for each task and pilot: flights that lasted, success, and distance to the target; below it the
    difference between the two pilots' commands.
    """
    rows = [
        (
            row["task"],
            row["pilot"],
            f"{row['survived']} of {result['starts']}",
            f"{row['succeeded']} of {result['starts']}",
            _metres(row["mean_error_m"]),
            _metres(row["max_error_m"]),
        )
        for row in result["rows"]
    ]
    title = (
        "task",
        "flown by",
        f"alive after {result['seconds']:g} s",
        "success at 0.1 m",
        "mean error (m)",
        "largest (m)",
    )
    table = markdown_table(title, rows)
    differences = [row["command_difference"] for row in result["rows"] if "command_difference" in row]
    if not differences:
        return table
    return (
        f"{table}\n\nGiven the same sensors and the same actions to remember, step by step along these flights, the "
        f"chip's commands differ from onnxruntime's by {max(differences):.1e} of their range at most."
    )


def _metres(value: float | None) -> str:
    """A pilot whose vehicles were all lost has no error."""
    return "none" if value is None else f"{value:.4f}"


def _milliseconds(value: float | None) -> str:
    """A flight that did not begin has no age and no jitter."""
    return "none" if value is None else f"{value:.2f}"
