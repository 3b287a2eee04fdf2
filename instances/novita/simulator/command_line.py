"""The simulator as a process: `main` is what `python -m` and the management command call."""

import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from types import FrameType

from instances.novita.simulator.server import SimulatorServer


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or Ctrl-C; prints one line once it listens. Exit status 1: the address is taken."""
    options = _parser().parse_args(argv)
    stopped = Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server = SimulatorServer(
        host=options.host,
        port=options.port,
        state=options.state,
        speed=options.speed,
        seed=options.seed,
        fleet=options.fleet,
        api_key=options.api_key,
        page_base=1 if options.page_base == "one" else 0,
        balance_usd=options.balance,
    )
    try:
        server.start()
    except OSError as error:
        sys.stderr.write(f"cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        return 1
    sys.stdout.write(f"listening on {server.url}\n")
    sys.stdout.flush()
    stopped.wait()
    server.stop()
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="simulator", description="A Novita on this machine, for demos and tests.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--state", type=Path, default=None, help="file of its state; without it nothing is kept")
    parser.add_argument("--speed", type=float, default=None, help="divides every duration (1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fleet", type=_fleet, default="empty", help="empty, demo or a number (first start only)")
    parser.add_argument("--api-key", default=None, help="the only key it takes; any by default")
    parser.add_argument("--page-base", choices=("zero", "one"), default="one")
    parser.add_argument("--balance", type=float, default=250.0, help="USD at the first start")
    return parser


def _fleet(value: str) -> str:
    if value not in ("empty", "demo") and not value.isdigit():
        raise ArgumentTypeError("empty, demo or a number is required")
    return value
