"""`robo-rl bridge`: the embedded rosbridge server, for machines without ROS."""

from __future__ import annotations

from collections.abc import Sequence

from policies.errors import UserError
from robo_rl.cli.common import os_error
from robo_rl.cli.parsing import parse


def run(argv: Sequence[str]) -> int:
    from real.bridge.server import serve
    from real.bridge.settings import BridgeSettings

    settings = parse(BridgeSettings, "bridge", argv, description="Run the embedded rosbridge v2 server until Ctrl-C.")
    try:
        serve(settings)
    except ValueError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise UserError(f"can't listen on {where} ({os_error(error)}); choose another --port") from None
    return 0
