"""The state machine, the same in every run; `make machine` asks for more steps of it."""

import os
from collections import Counter
from itertools import count
from time import perf_counter, process_time
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.life import Life

STEPS = int(os.environ.get("MACHINE_STEPS", "2000"))
SEED = int(os.environ.get("MACHINE_SEED", "0"))
STEPS_A_LIFE = 80
LIVES_AT_ONCE = 14
MOST = 2 * STEPS
# A failure is told as it was found; making it short takes minutes, and is done when asked for.
PHASES = (Phase.generate, Phase.shrink) if os.environ.get("MACHINE_SHRINK") else (Phase.generate,)
# What must have been done at least once, so that the promises were at stake; else there are more steps, up to `MOST`.
DONE = {
    *("create", "start", "stop", "delete", "restart", "migrate", "keep-awake", "edit", "adopt", "release", "pause", "sync"),
    *("foreign", "console stop", "console delete", "spot reclaim", "start by reclaim", "nobody works", "stock 0"),
    *("poll", "watch", "details", "auto_stop", "settled"),
    *("stop by auto-stop", "busy", "busy and kept"),
    *("dies at after_intent", "dies at before_call", "dies at after_call"),
    *("stalls at before_intent", "stalls at after_intent", "stalls at before_call", "stalls at after_call"),
    *("weather 500", "weather reset", "weather timeout", "weather 429", "weather stale_list", "weather empty_list"),
    *("weather no_capacity", "weather never_stops", "weather never_deletes", "weather page_gap", "weather unknown_words"),
}

pytestmark = [pytest.mark.django_db, pytest.mark.long, pytest.mark.timeout(3600)]


def test_in_whatever_order_things_happen_the_promises_are_kept(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    did: Counter[str] = Counter()
    began, worked = perf_counter(), process_time()

    for part in count():
        run_state_machine_as_test(
            seed(SEED + part)(type("Life", (Life,), {"options": settings, "totals": did})),
            settings=hypothesis_settings(
                max_examples=LIVES_AT_ONCE,
                stateful_step_count=STEPS_A_LIFE,
                database=None,
                deadline=None,
                phases=PHASES,
                suppress_health_check=list(HealthCheck),
            ),
        )
        if did["steps"] >= (STEPS if {*+did} >= DONE else MOST):
            break

    with capsys.disabled():
        print(told(did, perf_counter() - began, process_time() - worked))  # noqa: T201 - the figures of a long run
    assert sorted(DONE - {*+did}) == []


def told(did: Counter[str], seconds: float, worked: float) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in sorted(did.items()) if name not in ("lives", "steps"))
    return f"\n{did['steps']} steps in {did['lives']} lives, {seconds:.0f} s ({worked:.0f} s of work): {counts}"
