"""The two tables that rule an instance's life, over every combination, against tables written apart from the code."""

import itertools
from dataclasses import replace

import pytest

from instances.lifecycle import (
    BILLED,
    HealthState,
    Observed,
    Phase,
    PhaseFacts,
    Verb,
    Wanted,
    next_verb,
    observed_of,
    phase_of,
    shows,
    wish_shown_by,
)

COSTS = "; still billed at $0.35 per hour"
LIVING = set(Observed) - {Observed.NOTHING, Observed.ABSENT}

# What an unmet wish needs, read off the rules: a stop is asked for wherever something may still come to run, and only the
# executor decides when it can be sent; a start waits for a stop to end; nothing is started that is being removed.
UNMET = {
    "running": {Observed.NOTHING: "create", Observed.EXITED: "start", Observed.STOPPING: "start"},
    "stopped": dict.fromkeys(LIVING - {Observed.EXITED, Observed.REMOVING}, "stop"),
    "deleted": dict.fromkeys(LIVING, "delete"),
}


def test_the_next_verb_of_every_wish_and_observation() -> None:
    for wanted, met, observed in itertools.product(["", *Wanted.values], [True, False], Observed):
        verb = next_verb(wanted, met, observed)

        expected = None if met or not wanted else UNMET[wanted].get(observed)
        assert (verb and verb.value) == expected, (wanted, met, observed)


def test_no_wish_but_delete_ever_deletes() -> None:
    verbs = {
        next_verb(wanted, met, observed)
        for wanted in ("", "running", "stopped")
        for met in (True, False)
        for observed in Observed
    }

    assert verbs == {None, Verb.CREATE, Verb.START, Verb.STOP}


def test_a_shown_wish_needs_no_verb() -> None:
    for wanted, observed in itertools.product(Wanted.values, Observed):
        if shows(wanted, observed):
            assert next_verb(wanted, False, observed) is None
            assert wish_shown_by(observed) == ("" if wanted == "deleted" else wanted)


def oracle_of_absent(facts: PhaseFacts) -> str:
    if facts.wanted == "running" and facts.verb == "replace" and facts.called:
        return "migrating"  # another is made in its place
    if facts.wanted != "deleted":
        return "gone"
    return "deleting" if facts.verb == "delete" and not facts.met else "deleted"  # until a second read proves it


def oracle(facts: PhaseFacts) -> str:
    """The phase, by the list of rules: the first that matches wins."""
    observed = facts.observed
    if observed is Observed.ABSENT:
        return oracle_of_absent(facts)
    if observed is Observed.NOTHING and not facts.verb:
        if facts.wanted == "deleted":
            return "deleted"
        if facts.given_up:
            return "failed"
    if facts.overdue and not facts.well_since_running and facts.verb not in ("stop", "delete"):
        return "failed"
    wish_is_met = facts.met and facts.verb in ("create", "start", "stop", "delete")
    if facts.verb and not wish_is_met:
        if not facts.called and facts.verb in ("create", "start", "stop", "delete", "restart", "migrate", "replace"):
            return "requested"
        pursued = {
            "delete": "deleting",
            "stop": "stopping",
            "restart": "restarting",
            "migrate": "migrating",
            "replace": "migrating",
        }
        if facts.called and facts.verb in pursued:
            return pursued[facts.verb]
        if facts.called and (facts.verb, observed) in {("create", Observed.NOTHING), ("start", Observed.EXITED)}:
            return {"create": "creating", "start": "starting"}[facts.verb]
    return by_status(facts)


def by_status(facts: PhaseFacts) -> str:
    """What remains when nothing stands in front of what Novita shows."""
    observed = facts.observed
    if observed is Observed.RUNNING:
        if facts.health == "failing" and facts.well_since_running:
            return "unhealthy"
        return "ready" if facts.health in ("ok", "none") or facts.well_since_running else "checking"
    words = {
        Observed.NOTHING: "requested",
        Observed.CREATING: "creating",
        Observed.PULLING: "pulling",
        Observed.STARTING: "starting",
        Observed.STOPPING: "stopping",
        Observed.EXITED: "reclaiming" if facts.reclaim_open else "stopped",
        Observed.RESTARTING: "restarting",
        Observed.MIGRATING: "migrating",
        Observed.REMOVING: "deleting",
        Observed.UNKNOWN: "unknown",
    }
    return words[observed]


def every_facts() -> list[PhaseFacts]:
    truths = [False, True]
    return [
        PhaseFacts(
            wanted=wanted,
            met=met,
            verb=verb,
            called=called,
            observed=observed,
            raw_status=str(observed),
            given_up=given_up,
            overdue=overdue,
            health=health,
            well_since_running=well,
            reclaim_open=reclaim,
        )
        for wanted, met, (verb, called), observed, given_up, overdue, health, well, reclaim in itertools.product(
            ["", *Wanted.values],
            truths,
            [("", False), *itertools.product(Verb.values, truths)],
            Observed,
            truths,
            ["", "pulling took too long"],
            HealthState.values,
            truths,
            truths,
        )
    ]


@pytest.fixture(scope="module")
def judged() -> list[tuple[PhaseFacts, Phase, str]]:
    return [(facts, *phase_of(facts)) for facts in every_facts()]


def test_the_phase_of_every_combination(judged: list[tuple[PhaseFacts, Phase, str]]) -> None:
    for facts, phase, _ in judged:
        assert phase == oracle(facts), facts


def test_every_phase_has_a_reason(judged: list[tuple[PhaseFacts, Phase, str]]) -> None:
    assert all(reason.strip() for _, _, reason in judged)


def test_nothing_is_ready_stopped_deleted_or_gone_that_novita_does_not_show_so(
    judged: list[tuple[PhaseFacts, Phase, str]],
) -> None:
    shown = {
        Phase.READY: {Observed.RUNNING},
        Phase.UNHEALTHY: {Observed.RUNNING},
        Phase.STOPPED: {Observed.EXITED},
        Phase.DELETED: {Observed.ABSENT, Observed.NOTHING},
        Phase.GONE: {Observed.ABSENT},
    }
    for phase, allowed in shown.items():
        assert {facts.observed for facts, found, _ in judged if found is phase} <= allowed


def test_a_phase_that_failed_for_a_deadline_says_what_it_still_costs_and_heals() -> None:
    late = PhaseFacts(
        wanted="running",
        observed=Observed.PULLING,
        raw_status="pulling",
        overdue="pulling took too long",
        price_text="at $0.35 per hour",
    )

    assert phase_of(late) == (Phase.FAILED, "pulling took too long; still billed at $0.35 per hour")
    healed = replace(late, observed=Observed.RUNNING, health=HealthState.OK, well_since_running=True)
    assert phase_of(healed)[0] is Phase.READY
    assert Observed.CREATING not in BILLED


@pytest.mark.parametrize(
    ("verb", "observed", "says"),
    [
        ("stop", Observed.PULLING, f"waits, since Novita shows it pulling{COSTS}"),
        ("stop", Observed.UNKNOWN, f"waits, since Novita shows it unknown{COSTS}"),
        ("stop", Observed.CREATING, "waits, since Novita shows it creating"),
        ("stop", Observed.RUNNING, f"not sent to Novita yet{COSTS}"),
        ("stop", Observed.NOTHING, "not sent to Novita yet"),
        ("delete", Observed.REMOVING, f"waits, since Novita shows it removing{COSTS}"),
        ("delete", Observed.PULLING, f"not sent to Novita yet{COSTS}"),
        ("delete", Observed.EXITED, "not sent to Novita yet"),
        ("start", Observed.EXITED, "not sent to Novita yet"),
        ("restart", Observed.RUNNING, "not sent to Novita yet"),
    ],
)
def test_what_is_not_sent_yet_says_what_it_waits_for_and_what_a_stop_still_costs(
    verb: str, observed: Observed, says: str
) -> None:
    facts = PhaseFacts(verb=verb, observed=observed, raw_status=str(observed), price_text="at $0.35 per hour")

    assert phase_of(facts) == (Phase.REQUESTED, f"{verb} is asked for and {says}")


def test_an_announced_reclaim_keeps_the_phase_and_is_told() -> None:
    phase, reason = phase_of(PhaseFacts(wanted="running", met=True, observed=Observed.RUNNING, spot_notified=True))

    assert phase is Phase.READY
    assert "takes this spot instance back" in reason


@pytest.mark.parametrize(
    ("words", "observed"),
    [
        (["pending", "toCreate", "creating", "toBeCreated", "created"], Observed.CREATING),
        (["pulling"], Observed.PULLING),
        (["toStart", "starting", "Starting", "toBeStarted"], Observed.STARTING),
        (["running", "Running"], Observed.RUNNING),
        (["toStop", "stopping", "Stopping", "toBeExited"], Observed.STOPPING),
        (["exited", "Exited"], Observed.EXITED),
        (["toRestart", "restarting", "toReset", "resetting"], Observed.RESTARTING),
        (["migrating"], Observed.MIGRATING),
        (["toRemove", "removing", "toBeTerminated", "terminating"], Observed.REMOVING),
        (["removed", "terminated"], Observed.ABSENT),
        (["freezing", "hibernating", "unknown", "(no status)"], Observed.UNKNOWN),
        ([""], Observed.NOTHING),
    ],
)
def test_the_meaning_of_every_word(words: list[str], observed: Observed) -> None:
    assert {observed_of(word) for word in words} == {observed}
    assert observed_of(words[0], absent=True) is Observed.ABSENT
