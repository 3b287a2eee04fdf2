"""What holds in one shape only: a crowd of workers on PostgreSQL, and the embedded product without its broker."""

from collections import Counter
from typing import Any

import pytest

from tests.conftest import StartProduct, StartSimulator
from tests.processes.fleet import QUICK, SPEED, ask_for, calls, machines_of, wait_for_phase
from tests.processes.product import Product
from tests.processes.simulator import Simulator

pytestmark = pytest.mark.process

MANY = 20


def test_two_workers_and_two_beats_do_each_due_thing_once(product: StartProduct, simulator: StartSimulator) -> None:
    novita = simulator(speed=SPEED)
    novita.control.stock({"us-ca-nas-2": {"4090.16c62g": 100}})
    running = product("production", simulator=novita, **QUICK)
    running.start_another("worker")
    running.start_another("beat")
    running.wait_for(lambda: both_have_worked(running), 60, "both workers work")

    wanted = [ask_for(running, f"many-{number}") for number in range(MANY)]
    for identity in wanted:
        wait_for_phase(running, identity, "ready", seconds=60)
    assert [len(machines_of(novita, f"many-{number}")) for number in range(MANY)] == [1] * MANY
    assert len(calls(novita, "create")) == MANY

    stopped = running.api.post("instances/stop-all")
    assert stopped.ok, stopped.text
    for identity in wanted:
        wait_for_phase(running, identity, "stopped", seconds=60)
    assert set(Counter(call["body"]["instanceId"] for call in calls(novita, "stop")).values()) == {1}
    assert len(calls(novita, "stop")) == MANY
    assert {job["attempts"] for job in jobs(running)} == {1}


def both_have_worked(product: Product) -> bool:
    return all("novita.call" in (product.folder / f"{name}.log").read_text() for name in ("worker", "2-worker"))


def jobs(product: Product) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = product.api.read("jobs", params={"limit": 500})["results"]
    assert len(found) == 2 * MANY
    return found


def test_without_its_broker_the_embedded_product_works_on_and_says_so(
    product: StartProduct, simulator: StartSimulator
) -> None:
    novita = simulator(speed=SPEED)
    running = product("embedded", simulator=novita, **QUICK)
    running.wait_for(lambda: health(running) == ("ok", "ok"), 60, "all is well")

    for _ in range(6):  # each death in a row keeps the supervisor waiting longer before it starts it again
        running.kill("broker")
        running.wait_for(lambda: running.pid("broker") is None, 5, "the broker is dead")
    identity = ask_for(running, "brokerless")
    running.wait_for(lambda: health(running) == ("degraded", "degraded"), 20, "health tells of it")
    polled_before = polls(novita)
    wait_for_phase(running, identity, "ready")
    assert running.pid("broker") is None, "the broker was back before the work was done: nothing is proven"
    assert polls(novita) > polled_before

    running.wait_for(lambda: health(running) == ("ok", "ok"), 60, "all is well again")


def health(product: Product) -> tuple[str, str]:
    report = product.api.read("/health")
    return report["status"], report["checks"]["broker"]["status"]


def polls(novita: Simulator) -> int:
    count: int = novita.control.calls()["counts"].get("list", 0)
    return count
