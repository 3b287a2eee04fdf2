"""The production shape: web, worker and beat of their own, on a real PostgreSQL and a real Valkey."""

import pytest
import redis

from tests.conftest import StartProduct, StartSimulator
from tests.processes.product import Product
from tests.processes.simulator import Simulator
from tests.processes.valkey import Valkey

pytestmark = pytest.mark.process


def status(product: Product, check: str) -> str:
    answer = product.api.get("/health")
    return str(answer.json()["checks"][check]["status"]) if answer.ok else ""


def is_well(product: Product) -> bool:
    return bool(product.api.get("/health").json()["status"] == "ok")


def test_without_redis_the_work_goes_on_or_begins_and_with_it_all_parts_find_each_other(
    product: StartProduct, simulator: StartSimulator, valkey: Valkey
) -> None:
    novita = simulator(fleet="3")
    running = product("production", simulator=novita, INSTANCE_POLL_INTERVAL="2s")
    running.wait_for(lambda: is_well(running), seconds=60, what="all parts are well")
    running.wait_for(lambda: running.api.read("instances")["count"] == 3, seconds=60, what="the account is read")

    valkey.kill()
    running.wait_for(lambda: status(running, "broker") == "degraded", seconds=30, what="its absence is noticed")
    wait_for_reads(running, novita)
    assert running.api.read("instances")["count"] == 3

    for name in ("worker", "beat"):  # started while it is away, the worker goes by its own clock
        running.restart(name)
    running.serve_again()
    wait_for_reads(running, novita)
    assert status(running, "broker") == "degraded"

    valkey.start_again()
    running.wait_for(lambda: is_well(running), seconds=60, what="all is well again")


def wait_for_reads(product: Product, novita: Simulator) -> None:
    before = novita.control.calls()["last"]
    product.wait_for(lambda: novita.control.calls()["last"] >= before + 3, seconds=60, what="the account is still read")


def test_beat_ends_well_and_at_once_in_the_middle_of_a_message(product: StartProduct, valkey: Valkey) -> None:
    running = product.prepare("production")
    running.restart("beat")
    with redis.Redis.from_url(valkey.url) as client:
        running.wait_for(lambda: client.llen("jobs"), seconds=60, what="pokes arrive")
        client.client_pause(60_000, all=False)
        try:
            running.wait_for(lambda: client.info("clients")["blocked_clients"], 10, "a message waits")
            beat = running.processes["beat"]
            beat.terminate()

            assert beat.wait(timeout=2) == 0, running.tail()
        finally:
            client.client_unpause()
