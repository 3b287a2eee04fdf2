"""The production shape: web, worker and beat of their own, on a real PostgreSQL and a real Valkey."""

import pytest
import redis

from tests.conftest import StartProduct, StartSimulator
from tests.processes.product import Product
from tests.processes.valkey import Valkey

pytestmark = pytest.mark.process


def status(product: Product, check: str) -> str:
    answer = product.api.get("/health")
    return str(answer.json()["checks"][check]["status"]) if answer.ok else ""


def test_all_parts_find_each_other(product: StartProduct, simulator: StartSimulator) -> None:
    running = product.first_start("production", simulator=simulator(fleet="3"))

    running.wait_for(lambda: running.api.get("/health").json()["status"] == "ok", seconds=60, what="all parts are well")
    running.wait_for(
        lambda: running.api.read("instances")["count"] == 3, seconds=60, what="the account's instances are seen"
    )


def test_without_redis_the_work_goes_on_and_with_it_all_recovers(
    product: StartProduct, simulator: StartSimulator, valkey: Valkey
) -> None:
    novita = simulator(fleet="2")
    running = product("production", simulator=novita, INSTANCE_POLL_INTERVAL="2s")
    running.wait_for(lambda: status(running, "worker") == "ok", seconds=60, what="the worker is well")

    valkey.kill()
    running.wait_for(lambda: status(running, "broker") == "degraded", seconds=30, what="its absence is noticed")
    before = novita.control.calls()["last"]
    running.wait_for(lambda: novita.control.calls()["last"] >= before + 3, seconds=30, what="the account is still read")
    assert running.api.read("instances")["count"] == 2

    valkey.start_again()
    running.wait_for(lambda: running.api.get("/health").json()["status"] == "ok", seconds=60, what="all is well again")


def test_a_worker_started_while_redis_is_away_works_by_its_own_clock(
    product: StartProduct, simulator: StartSimulator, valkey: Valkey
) -> None:
    novita = simulator(fleet="2")
    running = product.prepare("production", simulator=novita, INSTANCE_POLL_INTERVAL="2s")
    valkey.kill()

    running.start()

    running.wait_for(lambda: running.api.read("instances")["count"] == 2, seconds=60, what="the account is read")
    valkey.start_again()
    running.wait_for(lambda: running.api.get("/health").json()["status"] == "ok", seconds=60, what="all is well again")


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
