"""Reclaims of every kind at once, over real processes: each ends with what is wanted alive, or says what is missing."""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.conftest import StartProduct, StartSimulator
from tests.processes.fleet import QUICK, ask_for, shown, story, wait_for_phase
from tests.processes.product import Product
from tests.processes.simulator import Simulator
from tests.processes.waiting import wait_for

pytestmark = [pytest.mark.process, pytest.mark.long, pytest.mark.timeout(420)]

SPEED = 90.0  # an hour of Novita's is forty seconds here
HOUR = 3600
CROWD, STOCK = 10, 6
CROWDED, CROWDED_ID = "RTX 3090", "3090.16c92g"
WITHIN = 150.0
KILLS, SEED = 12, 7
HALVES = ("migrate_keeps_old", "migrate_makes_new", "migrate_leaves_both", "migrate_loses_all")
ASKED: dict[str, dict[str, Any]] = {
    "precious": {"local_data": "precious"},
    "protected": {"protected": True},
    "unmovable": {"max_price_usd_per_hour": "2"},
}
REFUSED: dict[str, Any] = {"call": "start", "kind": "no_capacity"}


class Fleet:
    """The instances of the scenes by their names, and what Novita does to them."""

    def __init__(self, product: Product, novita: Simulator) -> None:
        self.product, self.novita = product, novita
        self.ids: dict[str, str] = {}
        self.machines: dict[str, str] = {}
        self.faults: list[dict[str, Any]] = []

    def make(self, name: str, **changes: Any) -> None:
        self.ids[name] = ask_for(self.product, name, **changes)

    def ready(self) -> None:
        for name, key in self.ids.items():
            self.machines[name] = str(wait_for_phase(self.product, key, "ready", seconds=60)["novita_id"])

    def spot(self, name: str, action: str, **more: Any) -> None:
        self.novita.control.spot(instance=self.machines[name], action=action, **more)

    def fail(self, name: str, **fault: Any) -> None:
        self.faults.append({**fault, "instance": self.machines[name]})
        self.novita.control.faults(*self.faults)

    def record(self, name: str) -> dict[str, Any]:
        rows: list[dict[str, Any]] = self.product.api.read("reclaims", params={"instance_id": self.ids[name]})["results"]
        return rows[0] if rows else {}

    def living(self, name: str) -> list[dict[str, Any]]:
        return [row for row in self.novita.control.instances() if row["name"].startswith(f"{name}--")]

    def running(self, name: str) -> list[str]:
        return [row["id"] for row in self.living(name) if row["status"] == "running"]

    def ended(self, name: str) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            record = self.record(name)
            return record if record.get("ended_at") else {}

        try:
            return self.product.wait_for(look, WITHIN, f"the reclaim of {name} ends")
        except AssertionError:
            told = [f"{one['at'][11:19]} {one['type']}: {one['reason']}" for one in story(self.product, self.ids[name])]
            raise AssertionError("\n".join([f"the reclaim of {name} does not end: {self.record(name)}", *told])) from None

    def is_back(self, name: str) -> dict[str, Any]:
        record = self.ended(name)
        assert (record["state"], record["outcome"]) == ("done", "back"), (name, record)
        assert self.running(name) == [shown(self.product, self.ids[name])["novita_id"]], name
        return record


def start(product: StartProduct, simulator: StartSimulator, shape: str) -> Fleet:
    novita = simulator(speed=SPEED)
    running = product(shape, simulator=novita, **{**QUICK, "MIGRATION_COOL_DOWN": "0s", "LOG_LEVEL": "WARNING"})
    running.wait_for_prices()
    return Fleet(running, novita)


def test_every_reclaim_ends_with_what_is_wanted_or_says_what_is_missing(
    product: StartProduct, simulator: StartSimulator
) -> None:
    fleet = start(product, simulator, "embedded")
    names = ("hour", "minute", "none", "withdrawn", "stopping", "protected", "precious", "refused", "unmovable", "theirs")
    for name in (*names, *HALVES):
        fleet.make(name.replace("_", "-"), **ASKED.get(name, {}))
    crowd = [f"crowd-{number}" for number in range(CROWD)]
    clear_shelves_for(fleet, crowd)
    for name in crowd:
        fleet.make(name, product_name=CROWDED)
    fleet.ready()
    fleet.novita.control.speed(migrating=360)  # long enough for polls to see it
    act(fleet, crowd)

    for check in (_in_place, _left_alone, _held_back, _moved, _halves):
        check(fleet)
    _crowd(fleet, crowd)
    _tells_its_story(fleet)


def test_a_worker_that_is_killed_again_and_again_brings_each_back_once(
    product: StartProduct, simulator: StartSimulator
) -> None:
    """By signal 9, every few seconds, from the first sign on: at starts, at a move, and all along a replacement."""
    fleet = start(product, simulator, "production")
    names = ("plain", "refused", "unmovable", "moved-on")
    for name in names:
        fleet.make(name, **ASKED.get(name, {}))
    fleet.ready()
    fleet.fail("refused", **REFUSED, count=3)
    fleet.fail("unmovable", **REFUSED)
    fleet.fail("unmovable", call="migrate", kind="no_capacity")
    fleet.fail("moved-on", **REFUSED, count=3)
    fleet.fail("moved-on", call="migrate", kind="migrate_makes_new", count=1)
    for name in names:
        fleet.spot(name, "reclaim", give_back_stock=True)

    chance, seen = random.Random(SEED), Counter[str]()
    for _ in range(KILLS):
        until = time.monotonic() + chance.uniform(2, 6)
        wait_for(lambda until=until: time.monotonic() > until, seconds=5, what="it works for a while")  # type: ignore[misc]
        fleet.product.kill("worker")
        fleet.product.restart("worker")
        for name in names:
            seen[name] = max(seen[name], len(fleet.running(name)))

    for name in names:
        fleet.is_back(name)
        assert len(fleet.living(name)) == 1, name
    assert max(seen.values()) <= 1, "two ran at once"
    assert fleet.record("unmovable")["novita_id_after"] != fleet.machines["unmovable"]


def home_of(fleet: Fleet) -> str:
    """The one cluster that has the crowd's GPUs."""
    shelves = fleet.novita.control.stock()["stock"]
    return next(str(cluster) for cluster, shelf in shelves.items() if CROWDED_ID in shelf)


def clear_shelves_for(fleet: Fleet, crowd: list[str]) -> None:
    shelves = fleet.novita.control.stock()["stock"]
    stock = {cluster: {CROWDED_ID: 0} for cluster, shelf in shelves.items() if CROWDED_ID in shelf}
    fleet.novita.control.stock({**stock, home_of(fleet): {CROWDED_ID: len(crowd)}})


def act(fleet: Fleet, crowd: list[str]) -> None:
    """All the signs at once, as they would never come."""
    fleet.spot("hour", "notify", deadline_seconds=HOUR)
    fleet.spot("minute", "notify", deadline_seconds=60)
    fleet.spot("withdrawn", "notify", deadline_seconds=HOUR)
    fleet.product.api.post(f"instances/{fleet.ids['stopping']}/stop")
    url = f"{fleet.novita.url}/gpu-instance/openapi/v1/gpu/instance/setAutoMigrate"
    body: Any = {"instanceId": fleet.machines["theirs"], "autoMigrateOpen": True, "autoMigrateSystemDisk": False}
    assert requests.post(url, json=body, headers={"Authorization": "Bearer sk_test"}, timeout=10).ok
    fleet.fail("protected", **REFUSED, count=1)
    fleet.fail("precious", **REFUSED)
    fleet.fail("refused", **REFUSED, count=3)
    fleet.fail("unmovable", **REFUSED)
    fleet.fail("unmovable", call="migrate", kind="no_capacity")
    for name in HALVES:
        fleet.fail(name.replace("_", "-"), **REFUSED, count=3)
        fleet.fail(name.replace("_", "-"), call="migrate", kind=name, count=1)
    plain = ("none", "stopping", "protected", "precious", "refused", "unmovable", "theirs")
    for name in (*plain, *(one.replace("_", "-") for one in HALVES)):
        if fleet.running(name):
            fleet.spot(name, "reclaim", give_back_stock=True)
    for name in crowd:
        fleet.spot(name, "reclaim")
    fleet.novita.control.stock({home_of(fleet): {CROWDED_ID: STOCK}})
    fleet.product.wait_for(lambda: fleet.record("withdrawn"), 20, "the notice is read")
    fleet.spot("withdrawn", "withdraw")


def _in_place(fleet: Fleet) -> None:
    for name in ("none", "minute", "protected"):
        assert {one["verb"] for one in fleet.is_back(name)["tries"]} == {"start"}, name
    assert fleet.is_back("hour")["notified_at"]
    assert fleet.is_back("theirs")["tries"] == []  # Novita's own move was under way, and was waited for


def _left_alone(fleet: Fleet) -> None:
    assert fleet.ended("withdrawn")["outcome"] == "withdrawn"
    assert fleet.running("withdrawn") == [fleet.machines["withdrawn"]]
    wait_for_phase(fleet.product, fleet.ids["stopping"], "stopped")
    assert fleet.running("stopping") == []


def _held_back(fleet: Fleet) -> None:
    """What is precious waits, and says until when, rather than lose its disks."""
    record = fleet.product.wait_for(_waits(fleet, "precious"), WITHIN, "the precious one waits")
    assert {one["verb"] for one in record["tries"]} == {"start"}
    assert record["next_at"]
    assert "keeps its data until" in record["reason"]
    alarms = fleet.product.api.read("alarms")["results"]
    assert "reclaim" in [one["kind"] for one in alarms if one["instance_id"] == fleet.ids["precious"]]


def _moved(fleet: Fleet) -> None:
    assert [one["verb"] for one in fleet.is_back("refused")["tries"]] == ["start"] * 3 + ["migrate"]
    record = fleet.is_back("unmovable")
    assert [one["verb"] for one in record["tries"]] == ["start"] * 3 + ["migrate", "replace"]
    assert record["novita_id_after"] != record["novita_id_before"] == fleet.machines["unmovable"]
    assert len(fleet.living("unmovable")) == 1


def _halves(fleet: Fleet) -> None:
    for name in (one.replace("_", "-") for one in HALVES):
        fleet.is_back(name)
        assert len(fleet.living(name)) == (2 if name == "migrate-leaves-both" else 1), name


def _crowd(fleet: Fleet, crowd: list[str]) -> None:
    def alive() -> list[str]:
        return [name for name in crowd if fleet.running(name)]

    fleet.product.wait_for(lambda: len(alive()) == STOCK, WITHIN, "six of ten run")
    for name in crowd:
        assert len(fleet.living(name)) == 1, name
        if name not in alive():
            record = fleet.record(name)
            assert (record["state"], record["outcome"]) in {("decided", ""), ("acting", "")}, record
            assert record["next_at"] or record["job_id"]


def _tells_its_story(fleet: Fleet) -> None:
    """One reclaim, read from its first sign to its outcome: in order, with times, tries, places and prices."""
    types = [event["type"] for event in story(fleet.product, fleet.ids["unmovable"])]
    wanted = ["instance.reclaimed", "job.start_failed", "job.migrate_failed", "job.replace_sent", "instance.replaced"]
    wanted += ["instance.old_let_go", "instance.migrated", "instance.reclaim_ended"]
    places = [types.index(one) for one in wanted]
    assert places == sorted(places), types
    told = story(fleet.product, fleet.ids["unmovable"])[types.index("instance.reclaim_ended")]
    assert "per hour" in told["reason"]
    assert told["before"]["price_usd_per_hour"]
    assert told["after"]["price_usd_per_hour"]


def _waits(fleet: Fleet, name: str) -> Callable[[], dict[str, Any]]:
    def look() -> dict[str, Any]:
        record = fleet.record(name)
        return record if record.get("code") == "gap" and len(record["tries"]) >= 3 else {}

    return look
