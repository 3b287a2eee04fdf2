"""What is done about a reclaim, over all combinations of what is wanted, shown, and told by the spot fields and jobs."""

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.lifecycle import MOVING, Observed, Verb, Wanted
from instances.spot import Sign, SpotFields, sign_of
from sync.reclaim_decision import (
    FIRST_TRIES,
    GAP,
    LONGEST_GAP,
    Action,
    ReclaimFacts,
    decide_reclaim,
    next_try,
    paced,
    sequence,
)
from tests.factories import NOW

MINUTE = timedelta(minutes=1)
LOSES_DATA = (Action.MIGRATE, Action.REPLACE, Action.RECREATE)
REVIVES = (Action.START, *LOSES_DATA)


def taken(**changes: Any) -> ReclaimFacts:
    values: dict[str, Any] = {
        "now": NOW,
        "wanted": "running",
        "observed": Observed.EXITED,
        "sign": Sign.TAKEN,
        "seen_at": NOW - MINUTE,
        "taken_at": NOW - MINUTE,
        "reclaim_at": NOW - 2 * MINUTE,
        "provider_job": "",
    }
    return ReclaimFacts(**values | changes)


def notified(**changes: Any) -> ReclaimFacts:
    notice = {"sign": Sign.NOTICE, "observed": Observed.RUNNING, "taken_at": None, "reclaim_at": NOW + 30 * MINUTE}
    return taken(**notice | changes)


TIMES = {"none": None, "old": NOW - timedelta(days=1), "passed": NOW - MINUTE, "ahead": NOW + MINUTE}
LOST = {"observed": Observed.ABSENT, "sign": Sign.NONE, "tries": ("migrate",)}
WORDS = ("", "running", "notified", "reclaiming", "terminated", "wavering")


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("at", TIMES)
@pytest.mark.parametrize("observed", Observed)
def test_a_sign_counts_only_after_the_last_start_and_only_by_words_we_know(word: str, at: str, observed: Observed) -> None:
    fields = SpotFields(
        observed=observed,
        spot_status=word,
        reclaim_at=TIMES[at],
        last_start_at=NOW - timedelta(hours=1),
        seen_since=NOW,
    )
    sign = sign_of(fields)

    if at in ("none", "old"):
        assert sign is Sign.NONE
    if sign is Sign.TAKEN:
        assert observed is Observed.EXITED or (observed in MOVING and word == "terminated")
        assert word == "terminated" or (at == "passed" and word in ("", "reclaiming"))
    if sign is Sign.NOTICE:
        assert word in ("notified", "reclaiming")
        assert observed not in (Observed.EXITED, Observed.ABSENT, Observed.REMOVING, Observed.NOTHING)
    assert sign_of(replace(fields, billing_mode="on_demand")) is Sign.NONE


@pytest.mark.parametrize("word", ["", "reclaiming", "notified"])
def test_an_exit_first_seen_before_the_announced_time_stays_in_doubt_whenever_it_is_read_again(word: str) -> None:
    """Somebody stopped it in the console during the notice, and Novita leaves the time where it was."""
    at = NOW - timedelta(minutes=5)
    seen = SpotFields(observed=Observed.EXITED, spot_status=word, reclaim_at=at, seen_since=at - timedelta(minutes=10))

    assert sign_of(seen) is Sign.DOUBT
    assert sign_of(replace(seen, spot_status="terminated")) is Sign.TAKEN


JOBS = ("", *Verb.values)
PROVIDER_JOBS = ("", "instanceMigrate", "autoInstanceMigrate", "saveImage", None)


@pytest.mark.parametrize("wanted", ["", *Wanted.values])
@pytest.mark.parametrize("observed", Observed)
def test_nothing_is_revived_but_what_is_wanted_running_and_was_taken_for_certain(wanted: str, observed: Observed) -> None:
    spot = itertools.product(WORDS, TIMES.values(), (None, NOW - timedelta(hours=1)))
    for (word, at, started), job, provider_job in itertools.product(spot, JOBS, PROVIDER_JOBS):
        sign = sign_of(SpotFields(observed=observed, spot_status=word, reclaim_at=at, last_start_at=started, seen_since=NOW))
        took = NOW - MINUTE if sign is Sign.TAKEN else None
        facts = taken(
            wanted=wanted,
            observed=observed,
            sign=sign,
            open=sign is not Sign.NONE,
            taken_at=took,
            reclaim_at=at,
            job_open=job,
            provider_job=provider_job,
        )
        decision = decide_reclaim(facts)

        assert decision.reason
        assert decision.code
        if decision.action in REVIVES:
            assert (wanted, sign, job) == ("running", Sign.TAKEN, ""), (word, at, decision)
            assert observed is Observed.EXITED
            assert not provider_job
        if sign is Sign.DOUBT and wanted == "running" and not (job or provider_job):
            assert decision.action is Action.ASK


@pytest.mark.parametrize(
    ("changes", "action", "code"),
    [
        ({}, Action.START, "start"),
        ({"open": False, "sign": Sign.NONE}, Action.NOTHING, "not_reclaimed"),
        ({"open": False, "handled": True}, Action.NOTHING, "handled"),
        ({"managed": False}, Action.END, "released"),
        ({"wanted": "stopped"}, Action.END, "not_wanted"),
        ({"wanted": "deleted"}, Action.END, "not_wanted"),
        ({"job_open": "stop"}, Action.WAIT, "job_open"),
        ({"provider_job": "autoInstanceMigrate"}, Action.WAIT, "provider_job"),
        ({"provider_job": None}, Action.START, "start"),  # Novita itself refuses a start while a job runs
        ({"surplus": True}, Action.ASK, "surplus"),
        ({"held": "automation is paused"}, Action.WAIT, "held"),
        ({"destruction_held": "lists are doubted"}, Action.START, "start"),
        ({"enabled": False}, Action.ASK, "disabled"),
        ({"after": "off"}, Action.ASK, "policy_off"),
        ({"observed": Observed.STARTING}, Action.WAIT, "moving"),
        ({"observed": Observed.UNKNOWN}, Action.WAIT, "unknown_status"),
        ({"observed": Observed.RUNNING, "sign": Sign.NONE}, Action.WAIT, "checking"),
        ({"observed": Observed.RUNNING, "sign": Sign.NONE, "well": True}, Action.END, "back"),
        ({"observed": Observed.RUNNING, "sign": Sign.NONE, "overdue": True}, Action.END, "back_unwell"),
        ({"ran": True}, Action.END, "stopped_again"),
        ({"observed": Observed.ABSENT, "sign": Sign.NONE}, Action.END, "gone"),
        ({"observed": Observed.ABSENT, "sign": Sign.NONE, "tries": ("migrate",)}, Action.RECREATE, "lost"),
        ({"observed": Observed.ABSENT, "tries": ("migrate",), "precious": True}, Action.END, "gone"),
        ({"observed": Observed.ABSENT, "tries": ("migrate",), "protected": True}, Action.END, "gone"),
        ({**LOST, "provider_job": "instanceMigrate"}, Action.WAIT, "provider_job"),
        ({**LOST, "provider_job": None}, Action.WAIT, "jobs_unread"),
        ({**LOST, "surplus": True}, Action.ASK, "surplus"),
        ({"tries": (*["start"] * 3, "migrate"), "unready": 1}, Action.REPLACE, "replace"),
        ({"tries": (*["start"] * 3, "migrate"), "unready": 2}, Action.ASK, "not_ready"),
        ({"observed": Observed.NOTHING}, Action.ASK, "not_replaced"),
        ({"observed": Observed.RUNNING}, Action.ASK, "not_replaced"),
        ({"observed": Observed.RUNNING, "precious": True}, Action.ASK, "not_replaced"),
        ({"observed": Observed.RUNNING, "protected": True}, Action.ASK, "not_replaced"),
        ({"observed": Observed.RUNNING, "after": "migrate"}, Action.ASK, "not_replaced"),
        ({"observed": Observed.RUNNING, "made_here": False}, Action.ASK, "not_replaced"),
        ({"tries": ("start",) * 3}, Action.MIGRATE, "migrate"),
        ({"tries": ("start",) * 3, "provider_job": None}, Action.WAIT, "jobs_unread"),
        ({"tries": ("start",) * 3, "precious": True}, Action.WAIT, "gap"),
        ({"tries": ("start",) * 3, "protected": True}, Action.WAIT, "gap"),
        ({"tries": ("start",) * 3, "after": "start"}, Action.WAIT, "gap"),
        ({"tries": ("start",) * 3, "after": "replace"}, Action.REPLACE, "replace"),
        ({"tries": ("start",) * 3, "after": "replace", "made_here": False}, Action.WAIT, "gap"),
        ({"tries": ("start",) * 3, "destruction_held": "doubted"}, Action.START, "start"),
        ({"tries": ("start",) * 3, "moved_at": NOW - MINUTE, "cool_down": 9 * MINUTE}, Action.WAIT, "cool_down"),
        ({"tries": (*["start"] * 3, "migrate")}, Action.REPLACE, "replace"),
        ({"tries": (*["start"] * 3, "migrate", "replace")}, Action.WAIT, "gap"),
    ],
)
def test_after_it_was_taken(changes: dict[str, Any], action: Action, code: str) -> None:
    facts = taken(**{"last_ended_at": NOW if changes.get("tries") else None, **changes})

    decision = decide_reclaim(facts)

    assert (decision.action, decision.code) == (action, code), decision


@pytest.mark.parametrize(
    ("changes", "action", "code"),
    [
        ({}, Action.WAIT, "notified"),
        ({"precious": True}, Action.WAIT, "notified"),
        ({"save_image": True}, Action.SAVE_IMAGE, "save_image"),
        ({"save_image": True, "tries": ("save_image",)}, Action.WAIT, "notified"),
        ({"on_notice": "replace"}, Action.REPLACE, "notified"),
        ({"on_notice": "replace", "precious": True}, Action.WAIT, "notified"),
        ({"on_notice": "replace", "protected": True}, Action.WAIT, "notified"),
        ({"on_notice": "replace", "made_here": False}, Action.WAIT, "notified"),
        ({"on_notice": "replace", "tries": ("replace",)}, Action.WAIT, "notified"),
        ({"on_notice": "replace", "held": "paused"}, Action.WAIT, "held"),
        ({"on_notice": "replace", "destruction_held": "doubted"}, Action.WAIT, "held"),
        ({"on_notice": "replace", "observed": Observed.PULLING}, Action.WAIT, "notified"),
        ({"sign": Sign.NONE}, Action.END, "withdrawn"),
        ({"sign": Sign.NONE, "observed": Observed.EXITED}, Action.END, "stopped"),
        ({"sign": Sign.NONE, "observed": Observed.EXITED, "reclaim_at": NOW - MINUTE}, Action.ASK, "doubt"),
        ({"sign": Sign.DOUBT, "observed": Observed.EXITED}, Action.ASK, "doubt"),
    ],
)
def test_on_notice(changes: dict[str, Any], action: Action, code: str) -> None:
    decision = decide_reclaim(notified(**changes))

    assert (decision.action, decision.code) == (action, code), decision


FACTS = st.builds(
    taken,
    wanted=st.sampled_from(["", *Wanted.values]),
    observed=st.sampled_from(Observed),
    sign=st.sampled_from(Sign),
    open=st.booleans(),
    managed=st.booleans(),
    taken_at=st.sampled_from([None, NOW - MINUTE]),
    protected=st.booleans(),
    precious=st.booleans(),
    on_notice=st.sampled_from(["wait", "replace"]),
    after=st.sampled_from(["auto", "start", "migrate", "replace", "off"]),
    save_image=st.booleans(),
    made_here=st.booleans(),
    enabled=st.booleans(),
    held=st.sampled_from(["", "paused"]),
    destruction_held=st.sampled_from(["", "doubted"]),
    job_open=st.sampled_from(JOBS),
    provider_job=st.sampled_from(PROVIDER_JOBS),
    surplus=st.booleans(),
    unready=st.integers(0, 3),
    tries=st.lists(st.sampled_from(["start", "migrate", "replace", "save_image"]), max_size=8).map(tuple),
    last_ended_at=st.sampled_from([None, NOW - timedelta(hours=2), NOW]),
    moved_at=st.sampled_from([None, NOW]),
    cool_down=st.just(10 * MINUTE),
    well=st.booleans(),
    overdue=st.booleans(),
)


@given(facts=FACTS)
def test_whatever_the_facts(facts: ReclaimFacts) -> None:
    decision = decide_reclaim(facts)

    assert decision.reason
    assert decision.code
    if decision.acts:
        assert facts.open
        assert facts.managed
        assert facts.wanted == "running"
        assert facts.enabled
        assert not any((facts.held, facts.job_open))
        assert paced(decision, 5, NOW).action is Action.WAIT
    if decision.action in LOSES_DATA:
        assert not any((facts.precious, facts.protected, facts.destruction_held))
    if decision.action in (Action.REPLACE, Action.RECREATE):
        assert facts.made_here
        assert not facts.surplus or facts.taken_at is None
    if decision.action is Action.RECREATE:
        assert facts.provider_job == ""
    if decision.action is Action.REPLACE:
        assert Action.REPLACE in sequence(facts) or facts.taken_at is None
    if decision.action is Action.MIGRATE:
        assert facts.sign is not Sign.NOTICE or facts.taken_at
    if decision.action in (Action.WAIT, Action.ASK):
        assert decision.at is not None
    if facts.after == "off" and facts.taken_at and facts.observed is Observed.EXITED:
        assert not decision.acts


@given(
    after=st.sampled_from(["auto", "start", "migrate", "replace"]),
    precious=st.booleans(),
    made_here=st.booleans(),
)
def test_tries_go_on_without_end_at_gaps_that_grow_to_half_an_hour(after: str, *, precious: bool, made_here: bool) -> None:
    facts, at = taken(after=after, precious=precious, made_here=made_here, taken_at=NOW), NOW
    gaps = []
    for _ in range(30):
        action, due = next_try(facts)
        gaps.append(due - at)
        assert action in sequence(facts)
        at = due
        facts = replace(facts, tries=(*facts.tries, action), last_ended_at=at)

    assert facts.tries[:FIRST_TRIES] == ("start",) * FIRST_TRIES
    assert sum(gaps[:FIRST_TRIES], timedelta(0)) <= 5 * MINUTE
    rounds = [gap for gap in gaps[FIRST_TRIES:] if gap]
    assert rounds == sorted(rounds)
    assert (rounds[0], rounds[-1]) == (GAP, LONGEST_GAP)
