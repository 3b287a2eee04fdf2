"""The simulator as benchmarks use it, and how to ask it."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen


def timed(act: Callable[[], object]) -> tuple[float, object]:
    started = time.perf_counter()
    result = act()
    return time.perf_counter() - started, result


def calls(url: str) -> dict[str, int]:
    with urlopen(f"{url}/_simulator/calls", timeout=10) as answer:  # noqa: S310 - our own simulator on loopback
        counts: dict[str, int] = json.load(answer)["counts"]
    return counts


def control(url: str, what: str, body: dict[str, object]) -> None:
    request = Request(f"{url}/_simulator/{what}", data=json.dumps(body).encode(), method="PUT")  # noqa: S310
    request.add_header("Content-Type", "application/json")
    with urlopen(request, timeout=10):  # noqa: S310 - our own simulator on loopback
        pass


@contextmanager
def simulator(size: int) -> Iterator[str]:
    """Its URL, with so many running machines: in a process of its own, since what it takes is not what we take."""
    command = [sys.executable, "-m", "instances.novita.simulator", "--fleet", str(size)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
    try:
        said = process.stdout.readline() if process.stdout else ""
        if "listening on" not in said:
            raise RuntimeError("the simulator did not start")
        yield said.split()[-1]
    finally:
        process.terminate()
        process.wait(timeout=30)
