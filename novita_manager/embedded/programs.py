"""Which programs make up the product on one machine, as values: nothing is started here."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from novita_manager.embedded.broker import server_command
from novita_manager.embedded.children import Program

LOOPBACK = "127.0.0.1"
CELERY_APP = "novita_manager.celery:app"
# Celery warns at length; messages here carry no code, and whoever starts this as root knows it.
QUIET_ABOUT_ROOT = "ignore:You're running the worker with superuser privileges"
WEB_SERVER = "python:novita_manager.web_server"
LANES = "jobs,observe,checks,deliveries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the supervisor found and chose. Empty or None: that part is not ours to start."""

    manage: Path
    account: Path
    host: str
    port: int
    log_level: str
    redis_url: str = ""
    broker_binary: str | None = None
    broker_socket: Path | None = None
    simulator_port: int | None = None

    @property
    def simulator_url(self) -> str:
        return f"http://{LOOPBACK}:{self.simulator_port}" if self.simulator_port else ""

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK if self.host == '0.0.0.0' else self.host}:{self.port}/"  # noqa: S104 - compared only


def environment(shape: Shape) -> Mapping[str, str]:
    """What the children must know beside our own environment."""
    given = {
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), QUIET_ABOUT_ROOT))),
        "DJANGO_SETTINGS_MODULE": "novita_manager.settings",
        "STOP_GRACE": "6s",  # below the `stop_seconds` of a Program
    }
    if shape.broker_binary:
        given["REDIS_URL"] = shape.redis_url
    if shape.simulator_port:
        given["NOVITA_API_BASE_URL"] = shape.simulator_url
    return given


def broker(shape: Shape) -> Program:
    if shape.broker_binary is None or shape.broker_socket is None:
        raise ValueError("there is no broker to start")
    data = shape.account / "broker"
    command = server_command(shape.broker_binary, socket=shape.broker_socket, data=data)
    return Program(name="broker", command=command, stop_seconds=3.0)


def simulator(shape: Shape) -> Program:
    state = shape.account / "simulator.sqlite3"
    options = ("--port", str(shape.simulator_port), "--state", str(state), "--fleet", "demo")
    command = (sys.executable, "-m", "instances.novita.simulator", *options)
    return Program(name="simulator", command=command, environment=environment(shape), stop_seconds=3.0)


def demo(shape: Shape) -> tuple[str, ...]:
    """Run once, at the first start with the simulator."""
    return _manage(shape, "adopt_demo_fleet")


def workers(shape: Shape) -> tuple[Program, ...]:
    """Web, worker and beat; without a broker the worker goes by its own clock and needs no beat."""
    if not shape.redis_url:
        by_clock = Program(name="worker", command=_manage(shape, "work"), environment=environment(shape))
        return (web(shape), by_clock)
    celery = (sys.executable, "-m", "celery", "--quiet", "-A", CELERY_APP)
    worker = (*celery, "worker", "-P", "threads", "-c", "12", "-Q", LANES, "-l", shape.log_level, "--without-gossip")
    beat = (*celery, "beat", "--pidfile=", "-l", shape.log_level)
    given = environment(shape)
    return (
        web(shape),
        Program(name="worker", command=(*worker, "--without-mingle"), environment=given),
        Program(name="beat", command=beat, environment=given),
    )


def web(shape: Shape) -> Program:
    """One process with threads: SQLite has one writer at a time, and the counters in local memory stay exact."""
    options = {
        "--bind": f"{shape.host}:{shape.port}",
        "--workers": "1",
        "--graceful-timeout": "5",
        "--log-level": "warning",
    }
    words = tuple(word for option in options.items() for word in option)
    command = (sys.executable, "-m", "gunicorn", "--config", WEB_SERVER, *words, "novita_manager.wsgi:application")
    return Program(name="web", command=command, environment=environment(shape))


def _manage(shape: Shape, *words: str) -> tuple[str, ...]:
    return (sys.executable, str(shape.manage), *words)
