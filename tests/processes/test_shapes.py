"""What holds in one shape only: a crowd of workers on PostgreSQL, and the embedded product without its broker."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from novita_manager.embedded.readiness import answers_http
from tests.conftest import StartProduct, StartSimulator
from tests.processes.fleet import BODY, QUICK, SPEED, ask_for, calls, machines_of, story, wait_for_phase
from tests.processes.product import HOST, Product
from tests.processes.simulator import Simulator
from tests.processes.waiting import wait_for

pytestmark = pytest.mark.process

MANY = 20


def test_two_beats_four_workers_and_two_webs_do_everything_once(product: StartProduct, simulator: StartSimulator) -> None:
    novita = simulator(speed=SPEED)
    novita.control.stock({"us-ca-nas-2": {"4090.16c62g": 100}})
    running = product("production", simulator=novita, **QUICK, AUTO_STOP_INTERVAL="5s")
    running.wait_for_prices()
    for name in ("worker", "worker", "worker", "beat"):
        running.start_another(name)
    other = running.start_another("web")
    urls = (running.url, f"http://{HOST}:{other}")
    running.wait_for(lambda: answers_http(HOST, other, "/health/ready"), seconds=60, what="the second web serves")
    running.wait_for(lambda: all_have_worked(running), 60, "all workers work")
    names = [f"box-{number:02}" for number in range(MANY)]

    def ask(number: int) -> str:
        """Each is asked for at both webs at once, with one Idempotency-Key."""
        body = {**BODY, "name": names[number % len(names)]}
        url = urls[number // len(names)]
        headers = {"Authorization": f"Bearer {running.api.key}", "Idempotency-Key": names[number % len(names)]}
        return wait_for(lambda: settled(f"{url}/api/v1/instances", body, headers), seconds=30, what="it is taken")

    with ThreadPoolExecutor(max_workers=16) as threads:
        identities = set(threads.map(ask, range(2 * len(names))))
    assert len(identities) == len(names)
    for identity in identities:
        wait_for_phase(running, identity, "ready", seconds=90)
    assert [len(machines_of(novita, name)) for name in names] == [1] * MANY
    assert len(calls(novita, "create")) == MANY

    stopped = running.api.post("instances/stop-all")
    assert stopped.ok, stopped.text
    for identity in identities:
        wait_for_phase(running, identity, "stopped", seconds=60)
    assert set(Counter(call["body"]["instanceId"] for call in calls(novita, "stop")).values()) == {1}
    assert len(calls(novita, "stop")) == MANY
    assert {job["attempts"] for job in jobs(running)} == {1}
    for identity in identities:
        types = [event["type"] for event in story(running, identity)]
        assert types.count("job.create_succeeded") == types.count("job.stop_succeeded") == 1


def all_have_worked(product: Product) -> bool:
    names = ("worker", "2-worker", "3-worker", "4-worker")
    return all("novita.call" in (product.folder / f"{name}.log").read_text() for name in names)


def jobs(product: Product) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = product.api.read("jobs", params={"limit": 500})["results"]
    assert len(found) == 2 * MANY
    return found


def settled(url: str, body: dict[str, Any], headers: dict[str, str]) -> str:
    """The id of what was asked for; empty while the same request is in flight at the other web."""
    answer = requests.post(url, json=body, headers=headers, timeout=60)
    if answer.status_code == 409:
        return ""
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


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
