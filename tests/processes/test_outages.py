"""The broker or the database is away, is emptied, or hands over what nobody can read: work goes on, and nothing is doubled.

What is away here is really ended: the Valkey and the PostgreSQL that the test started.
"""

import time

import pytest
import redis
import requests

from tests.conftest import StartProduct, StartSimulator
from tests.processes.fleet import QUICK, SPEED, ask_for, calls, machines_of, story, wait_for_phase
from tests.processes.postgres import Postgres
from tests.processes.product import Product
from tests.processes.simulator import Simulator
from tests.processes.valkey import Valkey

pytestmark = [pytest.mark.process, pytest.mark.long, pytest.mark.xdist_group("outages")]  # they share a product

INTERVAL = 3.0  # seconds between auto-stop passes
AWAY = 12.0  # seconds: twelve polls, four passes
WRITES = 30  # a minute


@pytest.fixture(scope="module")
def started(shared_product: StartProduct, shared_simulator: StartSimulator) -> tuple[Product, Simulator]:
    novita = shared_simulator(speed=SPEED)
    running = shared_product("production", simulator=novita, **QUICK, AUTO_STOP_INTERVAL=f"{INTERVAL:g}s")
    running.wait_for_prices()
    return running, novita


@pytest.fixture
def running(started: tuple[Product, Simulator]) -> Product:
    return started[0]


@pytest.fixture
def novita(started: tuple[Product, Simulator]) -> Simulator:
    """Remembers no call of an earlier test."""
    started[1].control.reset_calls()
    return started[1]


def health(product: Product, check: str) -> str:
    answer = product.api.get("/health")
    return str(answer.json()["checks"][check]["status"]) if answer.status_code in (200, 503) else ""


def wait_for_passes(product: Product, novita: Simulator) -> None:
    """Polling and auto-stop each go on within two intervals."""
    listed, due_at = novita.control.calls()["last"], next_pass_at(product)
    product.wait_for(lambda: novita.control.calls()["last"] >= listed + 2, seconds=5, what="polling goes on")
    product.wait_for(lambda: next_pass_at(product) > due_at, seconds=2 * INTERVAL + 1, what="auto-stop goes on")


def next_pass_at(product: Product) -> str:
    return str(product.api.read("auto-stop/stats")["next_pass_at"])


def made_once(novita: Simulator, *names: str) -> None:
    assert {name: len(machines_of(novita, name)) for name in names} == dict.fromkeys(names, 1)
    assert len(calls(novita, "create")) == len(names)


def test_while_the_broker_is_away_everything_goes_on_and_afterwards_nothing_is_doubled(
    running: Product, novita: Simulator, valkey: Valkey
) -> None:
    ready = ask_for(running, "ready")
    wait_for_phase(running, ready, "ready")
    moving = ask_for(running, "moving")

    valkey.kill()
    left_at = time.monotonic()
    fresh = ask_for(running, "fresh")
    assert running.api.post(f"instances/{ready}/stop", {"reason": "enough"}).status_code == 202
    for identity, phase in ((ready, "stopped"), (moving, "ready"), (fresh, "ready")):
        wait_for_phase(running, identity, phase)
    running.wait_for(lambda: health(running, "broker") == "degraded", seconds=15, what="health says so")
    while time.monotonic() - left_at < AWAY:
        wait_for_passes(running, novita)

    valkey.start_again()
    running.wait_for(lambda: health(running, "broker") == "ok", seconds=30, what="it is back")
    wait_for_passes(running, novita)
    made_once(novita, "ready", "moving", "fresh")
    assert [event["type"] for event in story(running, ready)].count("instance.stopped_wanted") == 1
    assert len(calls(novita, "stop")) == 1


def test_limits_are_kept_in_memory_while_redis_is_away(running: Product, valkey: Valkey) -> None:
    valkey.kill()
    try:
        running.serve_again({"RATE_LIMIT_WRITE": f"{WRITES}/m"})
        running.wait_for(lambda: health(running, "broker") == "degraded", seconds=15, what="health says so")
        answers = [running.api.put("automation", {"paused_until": "yesterday"}) for _ in range(3 * WRITES)]
    finally:
        valkey.start_again()
        running.serve_again()

    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(answers) - len(refused) >= WRITES - 1
    assert refused
    assert int(refused[0].headers["Retry-After"]) <= 60


def test_a_redis_that_is_emptied_in_the_middle_of_the_work_loses_nothing(
    running: Product, novita: Simulator, valkey: Valkey
) -> None:
    names = [f"box-{number}" for number in range(6)]

    with redis.Redis.from_url(valkey.url) as client:
        identities = []
        for name in names:
            identities.append(ask_for(running, name))
            client.flushall()
        for identity in identities:
            wait_for_phase(running, identity, "ready")
        client.flushall()

    wait_for_passes(running, novita)
    made_once(novita, *names)


def test_messages_that_nobody_can_read_are_dropped_and_the_pokes_behind_them_arrive(
    running: Product, novita: Simulator, valkey: Valkey
) -> None:
    worker = running.pid("worker")
    unreadable = [b"\x00\xff", b"{}", b"[]", b"null", b'{"body": 3}', b'{"body": "x", "headers": {}, "properties": {}}']

    with redis.Redis.from_url(valkey.url) as client:
        for lane in ("jobs", "observe", "checks", "deliveries"):
            client.rpush(lane, *unreadable)
            client.lpush(lane, *unreadable)

        wait_for_phase(running, ask_for(running, "box"), "ready")
        running.wait_for(lambda: health(running, "beat") == "ok", seconds=20, what="the pokes of beat arrive")
        running.wait_for(lambda: client.llen("jobs") < len(unreadable), seconds=10, what="the queue is worked off")

    assert running.pid("worker") == worker, "the worker went on"
    [alarm] = [one for one in running.api.read("alarms")["results"] if one["kind"] == "unreadable_message"]
    assert "dropped" in alarm["text"]
    made_once(novita, "box")


def test_a_database_that_is_restarted_gives_503_and_then_all_goes_on(
    running: Product, novita: Simulator, postgres: Postgres
) -> None:
    identities = [ask_for(running, name) for name in ("one", "two")]

    postgres.stop()
    try:
        read, write = running.api.get("instances"), running.api.post("instances", {"name": "lost"})
        page = requests.get(f"{running.url}/", cookies={"sessionid": "a" * 32}, timeout=20)
        ready = requests.get(f"{running.url}/health/ready", timeout=20)
        live = requests.get(f"{running.url}/health/live", timeout=20)
    finally:
        postgres.start_again()

    for answer in (read, write):
        assert (answer.status_code, answer.json()["code"]) == (503, "database_away")
        assert int(answer.headers["Retry-After"]) > 0
    assert (page.status_code, ready.status_code, live.status_code) == (503, 503, 200)
    running.wait_for(lambda: serves_again(running), seconds=20, what="it serves again")
    for identity in identities:
        wait_for_phase(running, identity, "ready", seconds=60)
    wait_for_passes(running, novita)
    made_once(novita, "one", "two")


def serves_again(product: Product) -> bool:
    """Whatever process and connection of its pool answers."""
    return all(product.api.get("instances").ok for _ in range(20))
