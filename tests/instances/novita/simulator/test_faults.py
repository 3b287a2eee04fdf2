"""Every fault, seen from the other side of the socket."""

from time import monotonic
from typing import Any

import pytest
import requests

from tests.instances.novita.simulator.conftest import Start
from tests.instances.novita.simulator.driver import GPU, INSTANCE, Driver, assert_refused, create_body, until


def break_it(novita: Driver, **fault: Any) -> None:
    novita.turn("faults", faults=[fault])


def total(novita: Driver) -> int:
    return len(novita.look("state")["instances"])


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [("500", 500, "UNKNOWN"), ("429", 429, "RATE_LIMIT_EXCEEDED"), ("no_capacity", 400, "INSUFFICIENT_RESOURCE"),
     ("no_balance", 400, "BALANCE_NOT_ENOUGH"), ("401", 401, "UNAUTHORIZED")],
)  # fmt: skip
@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_an_error_strikes_before_or_after_the_effect(
    novita: Driver, kind: str, status: int, reason: str, when: str, made: int
) -> None:
    break_it(novita, call="create", kind=kind, when=when, count=1)

    assert_refused(novita.write(f"{INSTANCE}/create", **create_body()), reason, status=status)

    assert total(novita) == made
    novita.create()
    assert total(novita) == made + 1


def test_a_bad_gateway_has_no_reason(novita: Driver) -> None:
    break_it(novita, call="clusters", kind="502")
    answer = novita.read(f"{GPU}/clusters")

    assert answer.status_code == 502
    assert "reason" not in answer.json()


def test_retry_after_is_sent_only_when_asked_for(novita: Driver) -> None:
    break_it(novita, call="list", kind="429", retry_after=7)
    assert novita.read(f"{GPU}/gpu/instances").headers["Retry-After"] == "7"

    break_it(novita, call="list", kind="429")
    assert "Retry-After" not in novita.read(f"{GPU}/gpu/instances").headers


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_a_timeout_says_nothing(novita: Driver, when: str, made: int) -> None:
    break_it(novita, call="create", kind="timeout", when=when, count=1, seconds=60)

    with pytest.raises(requests.ReadTimeout):
        novita.session.post(f"{novita.url}{INSTANCE}/create", json=create_body(), timeout=0.3)

    assert total(novita) == made


def test_a_timeout_ends_with_a_closed_connection(novita: Driver) -> None:
    break_it(novita, call="list", kind="timeout", seconds=0.2)

    with pytest.raises(requests.ConnectionError):
        novita.list()


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_a_reset_is_a_reset(novita: Driver, when: str, made: int) -> None:
    break_it(novita, call="create", kind="reset", when=when, count=1)

    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        novita.write(f"{INSTANCE}/create", **create_body())

    assert total(novita) == made


def test_slow_and_latency_delay_and_still_answer(novita: Driver) -> None:
    novita.turn(
        "faults",
        faults=[
            {"call": "*", "kind": "latency", "seconds": 0.1},
            {"call": "list", "kind": "slow", "seconds": 0.2, "count": 1, "when": "after"},
        ],
    )
    began = monotonic()
    assert novita.list()["total"] == 0
    assert monotonic() - began >= 0.3


@pytest.mark.parametrize("when", ["before", "after"])
def test_bad_json_is_cut_off(novita: Driver, when: str) -> None:
    break_it(novita, call="list", kind="bad_json", when=when)

    answer = novita.read(f"{GPU}/gpu/instances")
    assert answer.headers["Content-Type"] == "application/json"
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_a_wrong_content_type_is_a_page(novita: Driver) -> None:
    break_it(novita, call="get", kind="wrong_content_type")

    answer = novita.read(INSTANCE, instanceId=novita.create())
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html")


def test_fields_go_missing_and_words_are_new(novita: Driver) -> None:
    key, other = novita.running(billingMode="spot"), novita.create()

    break_it(novita, call="list", kind="missing_fields", instance=key)
    rows = {row["id"]: row for row in novita.list()["instances"]}
    assert "status" not in rows[key]
    assert "status" in rows[other]

    break_it(novita, call="*", kind="unknown_words")
    assert {row["status"] for row in novita.list()["instances"]} == {"hibernating"}
    assert novita.get(key)["spotStatus"] == "wavering"


def test_a_stale_list_is_the_world_as_it_was(start: Start) -> None:
    novita = start(speed=100.0)
    key = novita.running()
    times = {moment["status"]: moment["at"] for moment in novita.truth(key)["timeline"]}

    seconds = novita.look("state")["now"] - (times["pulling"] + 0.02)
    break_it(novita, call="*", kind="stale_list", seconds=seconds)
    assert [row["status"] for row in novita.list()["instances"]] == ["pulling"]
    assert novita.get(key)["status"] == "pulling"

    break_it(novita, call="*", kind="stale_list", seconds=3600)
    assert novita.list() == {"instances": [], "total": 0}
    assert_refused(novita.read(INSTANCE, instanceId=key), "RESOURCE_NOT_FOUND")


def test_lists_come_empty_with_gaps_or_repeated(start: Start) -> None:
    novita = start(speed=0.01)
    keys = [novita.create() for _ in range(4)][::-1]

    break_it(novita, call="list", kind="empty_list")
    assert novita.list() == {"instances": [], "total": 0}
    break_it(novita, call="list", kind="page_gap", instance=keys[2])
    answer = novita.list()
    assert (answer["total"], [row["id"] for row in answer["instances"]]) == (4, [keys[0], keys[1], keys[3]])
    break_it(novita, call="list", kind="page_repeat")
    assert [row["id"] for row in novita.list(pageSize=2, pageNum=2)["instances"]] == keys[:2]


def test_a_stop_is_accepted_and_never_done(novita: Driver) -> None:
    key = novita.running()
    break_it(novita, call="stop", kind="never_stops", count=1)

    assert novita.command("stop", key).json() == {"instanceId": key, "state": "toStop"}
    assert novita.get(key)["status"] == "running"
    novita.command("stop", key)
    novita.wait(key, "exited")


def test_a_delete_is_accepted_and_the_instance_stays(novita: Driver) -> None:
    key, other = novita.running(), novita.running()
    break_it(novita, call="delete", kind="never_deletes", instance=key)

    assert novita.command("delete", key).status_code == 200
    assert novita.command("delete", other).status_code == 200
    novita.gone(other)
    assert novita.get(key)["status"] == "running"


def test_a_pull_can_last_for_ever(novita: Driver) -> None:
    break_it(novita, call="create", kind="never_pulls", count=1)
    stuck = novita.create()
    novita.running()

    assert novita.get(stuck)["status"] == "pulling"
    assert novita.truth(stuck)["plan"] == []


def test_counts_and_hits_are_shown_and_putting_replaces_all(novita: Driver) -> None:
    break_it(novita, call="list", kind="500", count=2)
    for _ in range(3):
        novita.list()

    (row,) = novita.look("faults")["faults"]
    assert (row["count"], row["fired"]) == (0, 2)
    assert novita.turn("faults", faults=[]) == {"faults": []}


def test_a_rate_strikes_by_seeded_chance(start: Start) -> None:
    def pattern(seed: int) -> list[int]:
        novita = start(seed=seed)
        break_it(novita, call="list", kind="500", rate=0.5)
        return [novita.read(f"{GPU}/gpu/instances").status_code for _ in range(20)]

    assert set(pattern(1)) == {200, 500}
    assert pattern(1) == pattern(1) != pattern(2)


def test_metrics_may_hang(novita: Driver) -> None:
    key = novita.running()
    novita.turn("load", instance=key, metrics="hang")

    with pytest.raises(requests.ReadTimeout):
        novita.session.get(f"{novita.url}/openapi/v1/metrics/gpu/instance", params={"instanceId": key}, timeout=0.3)


def test_logs_fail_too(novita: Driver) -> None:
    key = novita.running()
    break_it(novita, call="logs", kind="500")

    assert novita.read(f"/_log/{key}/instance").status_code == 500


@pytest.mark.parametrize(
    "fault", [{"kind": "boom"}, {"kind": "500", "when": "later"}, {"kind": "500", "count": -1}, {"kind": "500", "x": 1}]
)
def test_a_fault_that_makes_no_sense_is_refused(novita: Driver, fault: dict[str, Any]) -> None:
    break_it(novita, call="list", kind="latency", seconds=0)
    answer = novita.session.put(f"{novita.url}/_simulator/faults", json={"faults": [fault]}, timeout=5)

    assert answer.status_code == 400
    assert len(novita.look("faults")["faults"]) == 1


def test_stopping_does_not_wait_for_held_connections(start: Start) -> None:
    novita = start()
    break_it(novita, call="list", kind="timeout", seconds=120)
    with pytest.raises(requests.ReadTimeout):
        novita.session.get(f"{novita.url}{GPU}/gpu/instances", timeout=0.2)
    until(lambda: novita.look("calls")["counts"].get("list") == 1)

    began = monotonic()
    assert novita.server is not None
    novita.server.stop()
    assert monotonic() - began < 5
    with pytest.raises(requests.ConnectionError):
        novita.look("state")
