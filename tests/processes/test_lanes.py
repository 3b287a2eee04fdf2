"""No work waits for another: with every endpoint dumb and metrics that hang, a person's stop goes out at once."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import StartProduct, StartSimulator
from tests.processes.fleet import QUICK
from tests.processes.product import HOST, Product
from tests.processes.simulator import Simulator
from tests.processes.waiting import wait_for

pytestmark = [pytest.mark.process, pytest.mark.alone, pytest.mark.xdist_group("alone")]

FLEET = 1000
STOPS = 5
TWO_TICKS = 2.0
# The discovered fleet as if it had been made here, ready long enough to be judged, each with an endpoint that takes
# connections and never says a word.
TAKE_OVER = """
from datetime import timedelta
from django.utils import timezone
from instances.models import Instance, Machine
now = timezone.now()
before = now - timedelta(hours=1)
Machine.objects.update(running_since=before, details_due=False, endpoints=[{{"port": 8080, "type": "http", "url": "{url}"}}])
Instance.objects.update(
    managed=True, wanted="running", wanted_at=before, met_at=before, ready_at=before, auto_stop_mode="enforce",
    health_check={{}}, health_state="ok", health_due_at=now,
)
"""


@pytest.fixture
def dumb_url() -> Iterator[str]:
    with socket.create_server((HOST, 0), backlog=4096) as listener:
        yield f"http://{HOST}:{listener.getsockname()[1]}/"


def test_a_persons_stop_goes_out_within_two_ticks_whatever_else_hangs(
    product: StartProduct, simulator: StartSimulator, dumb_url: str
) -> None:
    novita = simulator(speed=1, fleet=str(FLEET))
    hanging = {"AUTO_STOP_INTERVAL": "1s", "AUTO_STOP_THRESHOLD": "1s", "NOVITA_BREAKER_FAILURES": "100000"}
    running = product.prepare("embedded", simulator=novita, **{**QUICK, "INSTANCE_POLL_INTERVAL": "5s"}, **hanging)
    running.manage("migrate", "--verbosity", "0")
    running.manage("sync_instances")
    running.manage("shell", "-c", TAKE_OVER.format(url=dumb_url))
    novita.control.load(metrics="hang")
    running.start()
    running.wait_for(lambda: novita.control.calls()["counts"].get("metrics", 0) >= 4, 60, "metrics hang")
    running.wait_for(lambda: dumb(running), 60, "endpoints are found dumb")

    delays = [delay_of_a_stop(running, novita, instance) for instance in fleet(running)[:STOPS]]

    assert max(delays) <= TWO_TICKS, f"seconds from the answer to the call: {delays}"


def fleet(product: Product) -> list[dict[str, Any]]:
    instances: list[dict[str, Any]] = product.api.read("instances", params={"limit": 500})["results"]
    return instances


def dumb(product: Product) -> bool:
    """Whether many probes have come back without an answer."""
    return sum(1 for instance in fleet(product) if "failure" in instance["health"]["detail"]) > STOPS


def delay_of_a_stop(product: Product, novita: Simulator, instance: dict[str, Any]) -> float:
    """Seconds from the answer to the person to the arrival of the call at Novita."""
    since = novita.control.calls()["last"]
    answer = product.api.post(f"instances/{instance['id']}/stop")
    answered_at = time.time()
    assert answer.status_code == 202, answer.text

    def arrival() -> float:
        entries = novita.control.calls(since)["requests"]
        mine = (entry for entry in entries if entry["call"] == "stop")
        return next((entry["at"] for entry in mine if entry["body"]["instanceId"] == instance["novita_id"]), 0.0)

    return wait_for(arrival, seconds=30, every=0.05, what="the stop is sent") - answered_at
