"""Every combination of the facts that are words, against rules written from the promise rather than from the code."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from autostop.decide import decide
from autostop.decide_facts import Action, Code, Facts, Hold, Mode, Usage
from autostop.decide_outcome import Decision
from instances.lifecycle import Observed
from tests.autostop.decide_cases import CALM, HOUR, MINUTE, NOW, rules, usage

WISHED = NOW - 4 * HOUR
RULES = rules()
# Since when it is ready or overdue, and since when it runs, by whether it is idle for long.
BEGAN = {True: NOW - 2 * HOUR, False: NOW - 9 * MINUTE}
RAN = {long_idle: began - 5 * MINUTE for long_idle, began in BEGAN.items()}
DUE_SOON, KEPT_UNTIL = NOW + MINUTE, NOW + 3 * HOUR

USAGES: dict[str, Usage | None] = {
    "": None,
    "idle": CALM,
    "one GPU busy": usage(gpu_active_at=NOW - MINUTE, gpu_peak=100.0),
    "CPU busy": usage(cpu_active_at=NOW - MINUTE, cpu_peak=8.0),
    "busy a while ago": usage(gpu_active_at=NOW - 21 * MINUTE),
    "empty": usage(newest_at=None, known_share=0.0),
    "stale": usage(newest_at=NOW - 4 * MINUTE),
    "half of it missing": usage(known_share=0.5),
}
BUSY = ("one GPU busy", "CPU busy")
DATALESS = ("empty", "stale", "half of it missing")
VERBS = ("", "create", "stop", "delete", "restart", "save_image")
READINESS = ("ready", "never ready, overdue", "still starting", "start unknown")
STOP_TIMES = {"": None, "passed": NOW - MINUTE, "passed before the wish": WISHED - HOUR, "to come": NOW + HOUR}
NAMES = ("mode", "managed", "protected", "wanted", "verb", "readiness", "long_idle", "stop_time", "kept", "hold", "metrics")


def facts_for(observed: Observed, case: dict[str, Any]) -> Facts:
    began, readiness = BEGAN[case["long_idle"]], case["readiness"]
    return Facts(
        now=NOW,
        rules=RULES,
        managed=case["managed"],
        mode=case["mode"],
        protected=case["protected"],
        observed=observed,
        raw_status=observed.value,
        wanted=case["wanted"],
        wanted_since=WISHED,
        open_verb=case["verb"],
        running_since=RAN[case["long_idle"]] if readiness in ("ready", "never ready, overdue") else None,
        ready_at=began if readiness == "ready" else None,
        startup_deadline_at={"never ready, overdue": began, "still starting": DUE_SOON}.get(readiness),
        stop_at=STOP_TIMES[case["stop_time"]],
        keep_until=KEPT_UNTIL if case["kept"] else None,
        hold=case["hold"],
        usage=USAGES[case["metrics"]],
    )


def expected_action(observed: Observed, case: dict[str, Any]) -> Action:
    """The promise in words, without looking at any clock."""
    rules_may_touch_it = case["managed"] and not case["protected"] and case["mode"] is not Mode.OFF
    somebody_ends_it = case["wanted"] in ("stopped", "deleted") or case["verb"] in ("stop", "delete")
    errand_runs = case["verb"] in ("restart", "edit", "migrate", "replace", "save_image")
    paid_and_up = observed in (Observed.RUNNING, Observed.PULLING, Observed.STARTING)
    paid_and_moving = observed in (Observed.RESTARTING, Observed.MIGRATING)
    if not rules_may_touch_it or somebody_ends_it or errand_runs or not (paid_and_up or paid_and_moving):
        return Action.KEEP
    if case["kept"]:
        return Action.KEEP
    stop_now = Action.STOP if case["mode"] is Mode.ENFORCE and case["hold"] is Hold.NONE else Action.WOULD_STOP
    if case["stop_time"] == "passed":
        return stop_now
    if not paid_and_up or not case["long_idle"] or case["readiness"] in ("still starting", "start unknown"):
        return Action.KEEP
    if case["metrics"] in BUSY or case["metrics"] in DATALESS:
        return Action.KEEP
    return Action.READ_METRICS if case["metrics"] == "" else stop_now


def combinations(observed: Observed, modes: Sequence[Mode]) -> Iterator[tuple[object, ...]]:
    """All of them for a running one; for other statuses without those metrics and holds that cannot matter there."""
    running = observed is Observed.RUNNING
    return product(
        modes,
        (True, False),
        (True, False),
        ("running", "stopped", "deleted", ""),
        VERBS if running else ("", "create", "stop", "migrate"),
        READINESS,
        (True, False),
        STOP_TIMES,
        (False, True) if running else (False,),
        (Hold.NONE, Hold.PAUSED, Hold.FROZEN) if running else (Hold.NONE, Hold.PAUSED),
        USAGES if running else ("", "idle"),
    )


@pytest.mark.parametrize("observed", [one for one in Observed if one is not Observed.RUNNING])
def test_every_combination_of_a_status_other_than_running_gets_the_promised_action(observed: Observed) -> None:
    assert _checked(observed, tuple(Mode)) >= 1000


@pytest.mark.parametrize("mode", Mode)
def test_every_combination_of_a_running_instance_gets_the_promised_action(mode: Mode) -> None:
    assert _checked(Observed.RUNNING, (mode,)) >= 1000


def _checked(observed: Observed, modes: Sequence[Mode]) -> int:
    checked = 0
    for values in combinations(observed, modes):
        case = dict(zip(NAMES, values, strict=True))
        decision = decide(facts_for(observed, case))
        assert decision.action is expected_action(observed, case), case
        assert decision.reason, case
        _check_shape(decision, case)
        checked += 1
    return checked


def _check_shape(decision: Decision, case: dict[str, Any]) -> None:
    assert (decision.action is Action.WOULD_STOP) == (decision.hold is not Hold.NONE), case
    if decision.code is Code.NO_DATA:
        assert case["metrics"] in DATALESS, case
        assert "running, paid, no data" in decision.reason, case
    if decision.code in (Code.GPU_ACTIVE, Code.CPU_ACTIVE):
        assert case["metrics"] in BUSY, case
    if decision.hold is Hold.OBSERVE:
        assert case["mode"] is Mode.OBSERVE, case
    if decision.code in (Code.IDLE, Code.NEVER_READY):
        assert (decision.code is Code.IDLE) == (case["readiness"] == "ready"), case
    if decision.warn_of is not None:
        assert case["mode"] is Mode.ENFORCE, case
        assert case["hold"] is Hold.NONE, case
        assert decision.action is Action.KEEP, case
        assert decision.warn_of > NOW, case
        assert decision.warn_of - NOW <= max(HOUR, timedelta(minutes=20)), case
