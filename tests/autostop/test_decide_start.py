from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autostop.decide_facts import Hold, Mode
from autostop.decide_start import StartFacts, start_reason
from instances.lifecycle import Observed

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


def stopped(**changes: Any) -> StartFacts:
    return StartFacts(**{"now": NOW, "start_at": NOW, **changes})


def test_working_hours_start_what_a_rule_had_stopped() -> None:
    assert start_reason(stopped()) == "its working hours began at 2026-01-05 08:00:00 UTC, and a rule had stopped it"


def test_a_start_that_failed_is_tried_again_after_a_while() -> None:
    reason = start_reason(stopped(now=NOW + timedelta(minutes=45), failed_at=NOW + timedelta(minutes=15)))

    assert reason.endswith("and the start that failed at 2026-01-05 08:15:00 UTC is tried again")


@pytest.mark.parametrize(
    "changes",
    [
        {"start_at": None},
        {"start_at": NOW + timedelta(seconds=1)},
        {"managed": False},
        {"protected": True},
        {"mode": Mode.OBSERVE},
        {"mode": Mode.OFF},
        {"hold": Hold.PAUSED},
        {"observed": Observed.RUNNING},
        {"observed": Observed.ABSENT},
        {"wanted": "running"},
        {"wanted": "deleted"},
        {"open_verb": "stop"},
        {"stopped_by_rule": False},
        {"failed_at": NOW - timedelta(minutes=29)},
    ],
    ids=str,
)
def test_nothing_else_is_started_by_the_clock(changes: dict[str, Any]) -> None:
    assert start_reason(stopped(**changes)) == ""
