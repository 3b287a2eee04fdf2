"""The next step of a job, over every combination of what it is decided by."""

import gc
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from instances.executor.steps import (
    LONGEST_GAP,
    MOST_REFUSALS,
    Act,
    JobFacts,
    capacity_gap,
    gives_up,
    next_step,
    outage_gap,
    refusal_gap,
    repeat_gap,
)
from instances.lifecycle import MOVING, NEVER_FAIL, WISH_VERBS, Observed, Verb

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SETTLE = timedelta(seconds=60)
BEFORE = NOW - timedelta(hours=1)  # a read older than the call
CALLED = NOW - timedelta(minutes=5)
SOON = CALLED + timedelta(seconds=5)  # a read after the call, within the settle period
LATE = CALLED + timedelta(minutes=4)  # a read after every gap of a first call
AHEAD = NOW + timedelta(minutes=2)  # from before the clock was set back
VERBS = [verb for verb in Verb if verb is not Verb.REPLACE]
ERRANDS = {Verb.RESTART, Verb.EDIT, Verb.MIGRATE, Verb.SAVE_IMAGE}


def every_facts() -> list[JobFacts]:
    truths = [False, True]
    names_and_values: dict[str, list[Any]] = {
        "verb": VERBS,
        "outcome": ["", "accepted", "unclear"],
        "yields": truths,
        "patience_until": [None, NOW - timedelta(minutes=1)],
        "met": truths,
        "machine_known": truths,
        "observed": list(Observed),
        "observed_at": [None, BEFORE, SOON, LATE, AHEAD],
        "shown": truths,
        "provider_job": ["", "running", "success", "fail"],
        "complete_list_at": [None, SOON, LATE, AHEAD],
    }
    calls = {outcome: _call(outcome) for outcome in names_and_values["outcome"]}
    rows = (dict(zip(names_and_values, row, strict=True)) for row in itertools.product(*names_and_values.values()))
    return [JobFacts(now=NOW, settle=SETTLE, **row, **calls[row["outcome"]]) for row in rows]


def _call(outcome: str) -> dict[str, Any]:
    return {"called": bool(outcome), "call_ended_at": CALLED if outcome else None, "attempts": 1 if outcome else 0}


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """Hundreds of thousands of rows that all stay are not looked through for garbage while they grow in number."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture(scope="module")
def decided() -> list[tuple[JobFacts, Act, str]]:
    with nothing_is_garbage():
        steps = [(facts, next_step(facts)) for facts in every_facts()]
    for facts, step in steps:
        if step.act in (Act.WAIT, Act.FAIL, Act.SUPERSEDE, Act.START_OVER):
            assert step.reason, facts
        if step.act is Act.WAIT:
            assert step.at is not None, facts
        assert bool(step.code) == (step.act is Act.FAIL), facts
    return [(facts, step.act, step.code) for facts, step in steps]


Decided = list[tuple[JobFacts, Act, str]]


def test_a_met_wish_ends_its_job(decided: Decided) -> None:
    assert {act for facts, act, _ in decided if facts.met and facts.verb in WISH_VERBS} == {Act.SUCCEED}


def test_stop_and_delete_never_fail(decided: Decided) -> None:
    assert Act.FAIL not in {act for facts, act, _ in decided if facts.verb in (Verb.STOP, Verb.DELETE)}


def test_a_create_that_was_called_is_never_called_again_by_itself(decided: Decided) -> None:
    assert Act.CALL not in {act for facts, act, _ in decided if facts.verb is Verb.CREATE and facts.called}


def test_a_create_starts_over_only_on_a_complete_list_begun_after_the_settle_period(decided: Decided) -> None:
    for facts, act, _ in decided:
        if act is Act.START_OVER:
            assert (facts.verb, facts.machine_known, facts.yields) == (Verb.CREATE, False, False), facts
            assert facts.complete_list_at is not None, facts
            assert CALLED + SETTLE < facts.complete_list_at <= NOW, facts


def test_an_unanswered_create_is_looked_for_until_then(decided: Decided) -> None:
    for facts, act, _ in decided:
        unanswered = facts.verb is Verb.CREATE and facts.called and not facts.machine_known and not facts.met
        if unanswered and facts.complete_list_at in (None, SOON, AHEAD):
            assert act is Act.LOOK, facts


def test_no_call_is_repeated_before_a_read_begun_after_it_and_its_gap(decided: Decided) -> None:
    repeated = [facts for facts, act, _ in decided if act is Act.CALL and facts.called]

    assert {facts.verb for facts in repeated} == {Verb.STOP, Verb.DELETE, Verb.START}
    assert {facts.observed_at for facts in repeated} == {LATE}


def test_a_stop_is_only_sent_to_what_runs_and_a_start_to_what_exited(decided: Decided) -> None:
    sent_from = {
        verb: {facts.observed for facts, act, _ in decided if act is Act.CALL and facts.verb is verb}
        for verb in (Verb.STOP, Verb.START)
    }

    assert sent_from == {Verb.STOP: {Observed.RUNNING}, Verb.START: {Observed.EXITED}}


def test_errands_are_called_once(decided: Decided) -> None:
    for facts, act, _ in decided:
        if facts.verb in ERRANDS and facts.called:
            assert act is not Act.CALL, facts


def test_a_job_of_a_machine_that_is_gone_ends(decided: Decided) -> None:
    acts = {
        (facts.verb is Verb.DELETE and not facts.yields, act)
        for facts, act, _ in decided
        if facts.observed is Observed.ABSENT and not facts.met and facts.verb is not Verb.CREATE
    }

    # A deletion goes on reading until a second read proves it.
    assert acts == {(False, Act.SUPERSEDE), (True, Act.READ)}


def test_a_job_that_yields_ends_once_it_has_settled(decided: Decided) -> None:
    for facts, act, _ in decided:
        if not facts.yields or (facts.met and facts.verb in WISH_VERBS):
            continue
        if not facts.called or (facts.verb is not Verb.CREATE and facts.observed_at in (SOON, LATE)):
            assert act is Act.SUPERSEDE, facts
        assert act is not Act.CALL, facts


def test_nothing_is_judged_by_a_read_begun_before_the_call_ended(decided: Decided) -> None:
    for facts, act, code in decided:
        old = facts.called and facts.observed_at in (None, BEFORE, AHEAD) and facts.observed is not Observed.ABSENT
        told = facts.shown or facts.provider_job in ("success", "fail") or (facts.met and facts.verb in WISH_VERBS)
        if old and facts.verb is not Verb.CREATE and not told:
            assert act in (Act.WAIT, Act.READ), (facts, code)


def test_an_unclear_errand_fails_only_after_the_settle_period(decided: Decided) -> None:
    for facts, act, code in decided:
        if code == "unclear":
            assert act is Act.FAIL
            assert (facts.outcome, facts.observed_at) == ("unclear", LATE), facts


def test_a_start_gives_up_when_its_patience_ends_and_a_read_shows_it_exited(decided: Decided) -> None:
    failed = [facts for facts, _, code in decided if code == "start_not_shown"]

    assert failed
    assert all(facts.patience_until is not None and facts.observed_at == LATE for facts in failed)


def test_gaps_grow_and_end() -> None:
    for gap, longest in (
        (lambda n: repeat_gap(n, SETTLE), LONGEST_GAP),
        (capacity_gap, timedelta(minutes=2)),
        (refusal_gap, LONGEST_GAP),
        (outage_gap, timedelta(seconds=15)),
    ):
        gaps = [gap(attempts) for attempts in range(1, 40)]
        assert gaps == sorted(gaps)
        assert gaps[0] > timedelta(0)
        assert gaps[-1] == longest


@pytest.mark.parametrize("verb", list(Verb))
def test_what_a_refused_key_ends_is_never_what_ends_a_bill(verb: Verb) -> None:
    ends_at = [number for number in range(1, 50) if gives_up(verb, number)]

    assert ends_at == ([] if verb in NEVER_FAIL else list(range(MOST_REFUSALS, 50)))


def test_an_edit_that_never_shows_ends_in_words() -> None:
    facts = JobFacts(
        verb=Verb.EDIT,
        now=NOW,
        called=True,
        outcome="accepted",
        call_ended_at=CALLED,
        observed=Observed.RUNNING,
        observed_at=LATE,
    )

    assert next_step(facts).act is Act.WAIT
    later = next_step(replace(facts, now=NOW + timedelta(hours=1)))
    assert (later.act, later.code) == (Act.FAIL, "not_shown")


def test_a_start_that_ran_and_exited_again_fails_and_is_not_repeated() -> None:
    facts = JobFacts(
        verb=Verb.START,
        now=NOW,
        called=True,
        outcome="accepted",
        call_ended_at=CALLED,
        attempts=1,
        observed=Observed.EXITED,
        observed_at=LATE,
        status_error="out of memory",
    )

    assert next_step(facts).act is Act.CALL
    ran = next_step(replace(facts, ran_anew=True))
    assert (ran.act, ran.code) == (Act.FAIL, "exited")
    assert "out of memory" in ran.reason


def test_an_unclear_errand_is_not_judged_while_the_machine_moves() -> None:
    for verb, observed in itertools.product(ERRANDS, MOVING):
        facts = JobFacts(
            verb=verb,
            now=NOW,
            called=True,
            outcome="unclear",
            call_ended_at=CALLED,
            observed=observed,
            observed_at=LATE,
        )

        assert next_step(facts).act in (Act.WAIT, Act.READ), (verb, observed)


def test_each_repeat_waits_longer_for_a_read() -> None:
    for verb, observed in ((Verb.STOP, Observed.RUNNING), (Verb.DELETE, Observed.RUNNING), (Verb.START, Observed.EXITED)):
        for attempts in range(1, 12):
            gap = max(repeat_gap(attempts, SETTLE), SETTLE if verb is Verb.START else timedelta(0))
            facts = JobFacts(
                verb=verb,
                now=CALLED + gap + timedelta(seconds=2),
                called=True,
                outcome="accepted",
                call_ended_at=CALLED,
                attempts=attempts,
                observed=observed,
                observed_at=CALLED + gap,
                settle=SETTLE,
            )

            assert next_step(facts).act is not Act.CALL, (verb, attempts)
            later = replace(facts, observed_at=CALLED + gap + timedelta(seconds=1))
            assert next_step(later).act is Act.CALL, (verb, attempts)


def test_a_create_whose_machine_turned_up_before_it_was_sent_again_makes_no_second_one() -> None:
    for observed in Observed:
        facts = JobFacts(verb=Verb.CREATE, now=NOW, machine_known=True, observed=observed, observed_at=LATE)

        assert next_step(facts).act in (Act.WAIT, Act.FAIL), observed
        assert next_step(replace(facts, yields=True)).act is Act.SUPERSEDE, observed
