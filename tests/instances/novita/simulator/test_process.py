"""As a process of its own: what survives kill -9, what a second start continues, and how fast a big fleet lists."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from instances.novita.simulator.command_line import main
from tests.instances.novita.simulator.conftest import Start
from tests.instances.novita.simulator.driver import GPU, Driver, until

ROOT = Path(__file__).parents[4]
SLOWEST_PAGE_SECONDS = 0.25


@contextmanager
def process(*options: str) -> Iterator[tuple[Driver, "subprocess.Popen[str]"]]:
    command = [sys.executable, "-m", "instances.novita.simulator", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        driver = Driver(child.stdout.readline().removeprefix("listening on ").strip())
        try:
            yield driver, child
        finally:
            driver.session.close()
            child.kill()


@pytest.mark.process
def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    state = str(tmp_path / "simulator.sqlite3")
    with process("--state", state, "--speed", "50") as (novita, child):
        running, created = novita.running(ports="9000/tcp"), novita.create()
        novita.command("stop", running)
        spent = novita.look("bill")["total_usd"]
        child.send_signal(signal.SIGKILL)
        child.wait(10)

    with process("--state", state, "--fleet", "demo") as (novita, _):
        assert {row["id"] for row in novita.list()["instances"]} == {running, created}
        assert novita.look("speed")["speed"] == 50
        novita.wait(running, "exited")
        novita.wait(created, "running")
        assert novita.stock() == 31
        assert novita.look("bill")["total_usd"] > spent


@pytest.mark.process
def test_a_polite_end_is_clean(tmp_path: Path) -> None:
    with process("--state", str(tmp_path / "s"), "--fleet", "demo") as (novita, child):
        assert novita.list()["total"] == 9
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0


def test_the_same_seed_makes_the_same_fleet_and_ids(start: Start) -> None:
    def ids(seed: int) -> list[str]:
        novita = start(seed=seed, fleet="demo", speed=1.0)
        return [row["id"] for row in novita.list()["instances"]] + [novita.create()]

    assert ids(3) == ids(3) != ids(4)


def test_the_demo_fleet_says_something(start: Start) -> None:
    novita = start(fleet="demo", speed=1.0)
    rows = novita.look("state")["instances"]
    by_name = {row["name"]: row for row in rows}

    assert by_name["comfyui-test"]["status"] == "pulling"
    assert by_name["comfyui-test"]["plan"] == []
    assert by_name["lora-training"]["spot_status"] == "notified"
    assert by_name["lora-training"]["reclaim_at"] > novita.look("state")["now"]
    assert by_name["whisper-batch"]["status"] == "exited"
    assert novita.look("state")["now"] - by_name["old-experiment"]["started_at"] > 70 * 3600
    names = [row["name"] for row in rows]
    assert (names.count(""), names.count("dev")) == (1, 2)


def test_ten_thousand_instances_list_quickly_and_completely(start: Start) -> None:
    novita = start(fleet="10000", speed=1.0)
    seen: set[str] = set()
    slowest = 0.0
    for page in range(1, 101):
        began = perf_counter()
        answer = novita.read(f"{GPU}/gpu/instances", pageSize=100, pageNum=page)
        slowest = max(slowest, perf_counter() - began)
        seen |= {row["id"] for row in answer.json()["instances"]}

    assert len(seen) == 10_000
    assert slowest < SLOWEST_PAGE_SECONDS
    assert not novita.look("state")["is_frozen"]


def test_a_taken_address_is_said_so(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    port = start().url.rpartition(":")[2]

    assert main(["--port", port]) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


def test_calls_are_counted_without_their_keys(novita: Driver) -> None:
    key = novita.create(name="seen")
    marker = novita.look("calls")["last"]
    novita.get(key)

    calls = novita.look("calls", since=marker)
    assert calls["counts"] == {"create": 1, "get": 1}
    (entry,) = calls["requests"]
    assert (entry["call"], entry["query"], entry["status"]) == ("get", {"instanceId": key}, 200)
    assert "sk_test" not in str(novita.look("calls"))
    assert novita.turn("calls", reset=True)["counts"] == {}


def test_speed_and_timings_can_be_turned_while_it_runs(start: Start) -> None:
    novita = start(speed=1.0)
    key = novita.create()

    assert novita.turn("speed", speed=1000, timings={"pulling": 10})["timings"]["pulling"] == 10
    novita.wait(key, "running")
    for nonsense in ({"speed": 0}, {"timings": {"naps": 3}}, {"timings": {"pulling": -1}}):
        answer = novita.session.put(f"{novita.url}/_simulator/speed", json=nonsense, timeout=5)
        assert answer.status_code == 400
    assert novita.look("speed")["speed"] == 1000


@pytest.mark.parametrize(
    ("control", "body"),
    [
        ("load", {"instance": "*", "gpu_percent": "much"}),
        ("load", {"instance": "*", "metrics": "wild"}),
        ("spot", {"rate_per_hour": "often"}),
        ("faults", {"faults": [{"kind": "500", "rate": "often"}]}),
    ],
)
def test_a_turn_that_makes_no_sense_is_refused(novita: Driver, control: str, body: dict[str, Any]) -> None:
    answer = novita.session.put(f"{novita.url}/_simulator/{control}", json=body, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["reason"] == "VALIDATOR_PARAM"


def test_what_is_due_happens_though_nobody_asks(start: Start) -> None:
    novita = start(speed=100.0)
    key = novita.running(ports="9000/tcp")
    server = novita.server
    assert server is not None

    until(lambda: server.world.instances[key].service_up)
