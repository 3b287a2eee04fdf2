"""The pure part: what to probe, what results mean, when to look again."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.health_checks import next_due, next_health, targets_of, verdict_of
from instances.lifecycle import HealthState
from instances.probes import Result, Target

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
WEB: dict[str, Any] = {"port": 8080, "type": "http", "url": "https://abc-8080.hk.test"}
SSH: dict[str, Any] = {"port": 22, "type": "tcp", "url": "proxy.test:31022"}
WEB_TARGET = Target(port=8080, type="http", url="https://abc-8080.hk.test")
SSH_TARGET = Target(port=22, type="tcp", url="proxy.test:31022")


@pytest.mark.parametrize(
    ("check", "endpoints", "ports", "targets"),
    [
        (None, [WEB], [WEB], ()),
        ({}, [], [], ()),
        ({}, [WEB, SSH], [], (SSH_TARGET, WEB_TARGET)),
        ({}, [{**WEB, "type": "HTTP"}], [], (WEB_TARGET,)),
        ({}, [{"port": 53, "type": "udp", "url": "proxy.test:53"}], [], ()),
        # A port whose address is not known yet keeps an instance from being ready by having nothing to check.
        ({}, [], [{"port": 8080, "type": "http"}], (Target(port=8080, type="http", url=""),)),
        ({}, [WEB], [{"port": 8080, "type": "http"}], (WEB_TARGET,)),
        ({"tcp": {"port": 22}}, [WEB, SSH], [], (SSH_TARGET,)),
        ({"http": {"port": 9}}, [WEB], [], (Target(port=9, type="http", url=""),)),
        (
            {"http": {"port": 8080, "path": "/up", "status": 204}, "tcp": {"port": 22}},
            [WEB, SSH],
            [],
            (Target(port=8080, type="http", url=WEB["url"], path="/up", status=204), SSH_TARGET),
        ),
        ({"http": {"port": 8080, "path": None, "status": None}, "tcp": None}, [WEB], [], (WEB_TARGET,)),
    ],
)
def test_what_is_probed(
    check: dict[str, Any] | None, endpoints: list[dict[str, Any]], ports: list[dict[str, Any]], targets: tuple[Target, ...]
) -> None:
    assert targets_of(check, endpoints, ports) == targets


GOOD = Result(port=1, ok=True, detail="answers HTTP 200")
BAD = Result(port=2, ok=False, detail="Connection refused")
WORSE = Result(port=3, ok=False, detail="no answer within 3 s")


@pytest.mark.parametrize(
    ("results", "all_must", "verdict"),
    [
        ([GOOD], False, (True, "port 1 answers HTTP 200")),
        ([BAD, GOOD, WORSE], False, (True, "port 1 answers HTTP 200")),
        ([BAD], False, (False, "port 2: Connection refused")),
        ([BAD, WORSE], False, (False, "no port answers: port 2: Connection refused; port 3: no answer within 3 s")),
        ([GOOD, BAD], True, (False, "port 2: Connection refused")),
        ([GOOD, GOOD], True, (True, "port 1 answers HTTP 200; port 1 answers HTTP 200")),
    ],
)
def test_what_results_mean(results: list[Result], all_must: bool, verdict: tuple[bool, str]) -> None:
    assert verdict_of(results, all_must=all_must) == verdict


@pytest.mark.parametrize(
    ("state", "failures", "ok", "well", "after"),
    [
        ("checking", 0, True, False, ("ok", 0)),
        ("checking", 9, True, False, ("ok", 0)),
        ("checking", 0, False, False, ("checking", 1)),
        ("checking", 50, False, False, ("checking", 51)),
        ("ok", 0, False, True, ("ok", 1)),
        ("ok", 1, False, True, ("ok", 2)),
        ("ok", 2, False, True, ("failing", 3)),
        ("failing", 3, False, True, ("failing", 4)),
        ("failing", 7, True, True, ("ok", 0)),
        ("checking", 2, False, True, ("failing", 3)),
    ],
)
def test_three_failures_in_a_row_after_being_well_fail_and_one_success_heals(
    state: str, failures: int, ok: bool, well: bool, after: tuple[str, int]
) -> None:
    assert next_health(state, failures, ok=ok, well=well) == after


@given(st.lists(st.booleans(), max_size=30))
def test_it_fails_exactly_while_the_last_three_or_more_failed(outcomes: list[bool]) -> None:
    state, failures = HealthState.OK, 0
    for ok in outcomes:
        state, failures = next_health(state, failures, ok=ok, well=True)
    in_a_row = next((place for place, ok in enumerate(reversed(outcomes)) if ok), len(outcomes))
    assert state == ("failing" if in_a_row >= 3 else "ok")
    assert failures == in_a_row


@given(st.lists(st.just(False), max_size=30))
def test_before_it_was_well_it_never_fails(outcomes: list[bool]) -> None:
    state, failures = HealthState.CHECKING, 0
    for ok in outcomes:
        state, failures = next_health(state, failures, ok=ok, well=False)
    assert state == "checking"


@pytest.mark.parametrize(("interval", "seconds"), [(60, 5), (5, 5), (2, 2)])
def test_while_checking_it_is_looked_at_every_five_seconds_or_sooner(interval: int, seconds: int) -> None:
    due = next_due("checking", interval=timedelta(seconds=interval), key=uuid4(), now=NOW)
    assert due == NOW + timedelta(seconds=seconds)


@given(st.uuids(), st.sampled_from(["ok", "failing"]))
def test_afterwards_the_interval_is_spread_a_little_and_the_same_for_an_id(key: UUID, state: str) -> None:
    due = next_due(state, interval=timedelta(seconds=60), key=key, now=NOW)
    assert timedelta(seconds=57) <= due - NOW <= timedelta(seconds=63)
    assert due == next_due(state, interval=timedelta(seconds=60), key=key, now=NOW)
