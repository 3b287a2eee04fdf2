"""What an observation means for a wish, over the whole table, against rules written apart from the code."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from instances.consequences import Meaning, Seen, consequence_of
from instances.lifecycle import Observed, Wanted, shows, wish_shown_by

READ = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SETTLE = timedelta(seconds=60)
LONG_AGO = READ - timedelta(hours=1)
JUST_NOW = READ - timedelta(seconds=20)
LATER = READ + timedelta(seconds=5)


def table() -> list[Seen]:
    truths = [False, True]
    names_and_values: dict[str, list[Any]] = {
        "wanted": ["", *Wanted.values],
        "met": truths,
        "observed": list(Observed),
        "first_seen_at": [READ, LONG_AGO],
        "job_open": truths,
        "call_in_flight": truths,
        "job_call_ended_at": [None, JUST_NOW, LATER],
        "last_call_ended_at": [None, LONG_AGO, JUST_NOW],
        "contradicted": truths,
        "started_at": [None, LONG_AGO + timedelta(seconds=10), READ - timedelta(seconds=10)],
        "spot_reclaim": truths,
        "spot_doubt": truths,
    }
    rows = (dict(zip(names_and_values, row, strict=True)) for row in itertools.product(*names_and_values.values()))
    return [
        Seen(read_began_at=READ, settle=SETTLE, **row, **more)
        for row in rows
        if row["job_open"] or not (row["call_in_flight"] or row["job_call_ended_at"])
        if not row["spot_doubt"] or (row["observed"] is Observed.EXITED and not row["spot_reclaim"])
        for more in further(row)
    ]


def further(row: dict[str, Any]) -> list[dict[str, Any]]:
    """What only some rows can have: a stop is open for a wish to stop, no call of ours is later than the last one."""
    if not row["wanted"]:
        return [{"managed": managed} for managed in (True, False)]
    if row["wanted"] == "running" and row["observed"] is Observed.EXITED:
        lists = (None, LONG_AGO - timedelta(minutes=1), LONG_AGO, JUST_NOW, READ)
        told = itertools.product((True, False), lists)
        return [{}, *({"is_spot": True, "tells_spot": tells, "listed_at": listed} for tells, listed in told)]
    if row["wanted"] == "deleted" and row["observed"] is Observed.ABSENT:
        return [{"proven": proven, "shown_at": shown} for proven in (True, False) for shown in (None, READ, LONG_AGO)]
    if row["wanted"] != "stopped":
        return [{}]
    last = row["last_call_ended_at"]
    proofs: list[dict[str, Any]] = [{}]
    if row["observed"] is Observed.EXITED and not row["met"]:
        proofs = [{}, {"shown_at": READ}, {"shown_at": READ - timedelta(seconds=10)}, {"shown_at": LONG_AGO}]
    starts = [None] if last is None else [None, LONG_AGO] if last == LONG_AGO else [None, LONG_AGO, last]
    stops = [False, True] if row["job_open"] and not row["met"] else [False]
    return [
        {"start_call_ended_at": start, "stop_sent": stop, **proof}
        for start, stop, proof in itertools.product(starts, stops, proofs)
    ]


def started_later(seen: Seen) -> bool:
    """Novita's own time of the last start lies after every call of ours."""
    return seen.started_at is not None and seen.last_call_ended_at is not None and seen.started_at > seen.last_call_ended_at


def started_by_us(seen: Seen) -> bool:
    """Such a start within the settle period of a call that may make it run is ours."""
    assert seen.started_at is not None
    return seen.start_call_ended_at is not None and seen.started_at <= seen.start_call_ended_at + SETTLE


def expected(seen: Seen) -> set[Meaning]:
    """What the rules allow."""
    if not seen.wanted:  # one of ours that nothing is wanted of any more, and that lives all the same, is taken over
        lives = seen.managed and bool(wish_shown_by(seen.observed)) and seen.observed is not Observed.UNKNOWN
        return {Meaning.OUTSIDE} if lives and not seen.job_open else {Meaning.NOTHING}
    recent = seen.last_call_ended_at is not None and seen.last_call_ended_at + SETTLE > READ
    return expected_once_met(seen, recent=recent) if seen.met else expected_before(seen, recent=recent)


def expected_before(seen: Seen, *, recent: bool) -> set[Meaning]:
    if seen.observed is Observed.ABSENT and seen.wanted != "deleted":
        return {Meaning.NOTHING} if seen.job_open else {Meaning.OUTSIDE}
    if seen.wanted == "stopped" and seen.observed is Observed.RUNNING:
        somebody = seen.stop_sent and not seen.call_in_flight and started_later(seen) and not started_by_us(seen)
        return {Meaning.OUTSIDE} if somebody else {Meaning.NOTHING}
    too_old = seen.call_in_flight or (seen.job_call_ended_at is not None and seen.job_call_ended_at >= READ)
    if not shows(seen.wanted, seen.observed) or too_old:
        return {Meaning.NOTHING}
    if seen.contradicted and recent:
        return {Meaning.WAIT}
    earlier = seen.shown_at is not None and seen.shown_at < READ
    twice = earlier and (seen.job_call_ended_at is None or seen.job_call_ended_at < seen.shown_at)  # type: ignore[operator]
    return {Meaning.MET} if seen.wanted == "running" or seen.proven or twice else {Meaning.SHOWN}


def expected_once_met(seen: Seen, *, recent: bool) -> set[Meaning]:
    if seen.job_open or shows(seen.wanted, seen.observed):
        return {Meaning.NOTHING}
    if seen.wanted == "deleted":
        return {Meaning.UNMET}
    if seen.observed is Observed.ABSENT:
        return {Meaning.OUTSIDE}
    if (seen.wanted, seen.observed) == ("running", Observed.EXITED):
        if seen.spot_reclaim:
            return {Meaning.RECLAIMED}
        if seen.spot_doubt:
            return {Meaning.WAIT}
        told = not seen.is_spot or (seen.tells_spot and seen.listed_at in (LONG_AGO, JUST_NOW))
        return {Meaning.WAIT} if recent or seen.first_seen_at == READ or not told else {Meaning.OUTSIDE}
    if (seen.wanted, seen.observed) == ("stopped", Observed.RUNNING):
        if started_later(seen):
            return {Meaning.UNMET} if started_by_us(seen) else {Meaning.OUTSIDE}
        return {Meaning.WAIT} if recent or seen.first_seen_at == READ else {Meaning.OUTSIDE}
    return {Meaning.NOTHING}


def test_the_meaning_of_every_observation() -> None:
    for seen in table():
        found = consequence_of(seen)
        assert found.meaning in expected(seen), seen
        assert bool(found.reason) == (found.meaning is not Meaning.NOTHING), seen


def test_started_outside_is_wanted_running_stopped_outside_is_wanted_stopped_and_gone_is_no_wish() -> None:
    wishes = {
        (seen.wanted, str(seen.observed), found.wanted)
        for seen in table()
        if (found := consequence_of(seen)).meaning is Meaning.OUTSIDE and seen.wanted
    }

    assert wishes == {
        ("running", "absent", ""),
        ("stopped", "absent", ""),
        ("running", "exited", "stopped"),
        ("stopped", "running", "running"),
    }


def test_a_reclaimed_machine_is_never_taken_for_one_that_somebody_stopped() -> None:
    for seen in table():
        if seen.spot_reclaim and seen.observed is Observed.EXITED and seen.wanted == "running":
            assert consequence_of(seen).meaning is not Meaning.OUTSIDE


def test_what_a_move_of_ours_lost_stays_wanted() -> None:
    lost = Seen(wanted="running", met=True, observed=Observed.ABSENT, read_began_at=READ, first_seen_at=READ, moved=True)

    for met in (True, False):
        assert consequence_of(replace(lost, met=met, spot_reclaim=True)).meaning is Meaning.RECLAIMED
        assert consequence_of(replace(lost, met=met)).meaning is Meaning.OUTSIDE


def test_the_start_of_a_former_run_is_no_late_start_of_ours() -> None:
    seen = Seen(
        wanted="stopped",
        met=True,
        observed=Observed.RUNNING,
        read_began_at=READ,
        first_seen_at=READ - timedelta(minutes=1),
        started_at=LONG_AGO + timedelta(seconds=10),  # Novita's time lags behind what it shows
        start_call_ended_at=LONG_AGO,
        last_call_ended_at=READ - timedelta(minutes=30),  # our stop, which was met
    )

    found = consequence_of(seen)

    assert (found.meaning, found.wanted) == (Meaning.OUTSIDE, "running")
