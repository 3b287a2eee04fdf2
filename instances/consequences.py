"""What an observation means for a wish. Pure: the values of one instance before and after a read, no clock, no database.

Once a wish was met, a difference is news (changed outside, reclaimed, crashed), never a verb, unless a call of ours may
still be the cause.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from instances.lifecycle import Observed, Wanted, shows, wish_shown_by


class Meaning(StrEnum):
    NOTHING = "nothing"
    SHOWN = "shown"  # a stop or deletion is shown for the first time: a second read must prove it
    MET = "met"  # the wish is shown, a stop or deletion twice
    UNMET = "unmet"  # the wish was met and is no longer, through a call of ours or a thing come back: pursue it again
    OUTSIDE = "outside"  # somebody did it at Novita: that is a wish too
    RECLAIMED = "reclaimed"  # Novita took a spot machine back
    WAIT = "wait"  # it differs, and the next read will tell more


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """`read_began_at` is when the read began; `first_seen_at` when a read first showed this status.

    `call_in_flight`: a call of the open job has no end yet. `last_call_ended_at`: of any job of the instance, and
    `start_call_ended_at` of one that may make it run. `stop_sent`: the open job is a stop that Novita was asked for.
    `contradicted`: a call for something else was made last and never settled. `started_at` is Novita's own time of the
    last start. `shown_at` is when the first read began that shows the wish; `proven`: a list and a read by id, both begun
    after the call, show it absent. `spot_reclaim`: a reclaim of it is open; `spot_doubt`: the spot fields leave open whether
    Novita took it; `moved`: a move of ours was to bring it back. `is_spot`: Novita may take it; `tells_spot`: this read told
    its spot fields, which are promised by lists alone; `listed_at` is when the last complete list before it began.
    """

    wanted: str
    met: bool
    observed: Observed
    read_began_at: datetime
    first_seen_at: datetime
    managed: bool = True
    job_open: bool = False
    stop_sent: bool = False
    call_in_flight: bool = False
    job_call_ended_at: datetime | None = None
    last_call_ended_at: datetime | None = None
    start_call_ended_at: datetime | None = None
    contradicted: bool = False
    started_at: datetime | None = None
    shown_at: datetime | None = None
    proven: bool = False
    spot_reclaim: bool = False
    spot_doubt: bool = False
    moved: bool = False
    is_spot: bool = False
    tells_spot: bool = False
    listed_at: datetime | None = None
    settle: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    meaning: Meaning
    reason: str = ""
    wanted: str = ""  # the new wish, for OUTSIDE


_NOTHING = Consequence(meaning=Meaning.NOTHING)


def consequence_of(seen: Seen) -> Consequence:
    if not seen.wanted:
        return _of_wishless(seen)
    return _of_met(seen) if seen.met else _of_unmet(seen)


def _of_wishless(seen: Seen) -> Consequence:
    """One of ours that had ended, or was given up, and turns up at Novita after all."""
    wanted = wish_shown_by(seen.observed)
    if not seen.managed or seen.job_open or not wanted or seen.observed is Observed.UNKNOWN:
        return _NOTHING
    return Consequence(
        meaning=Meaning.OUTSIDE,
        wanted=wanted,
        reason=f"Novita shows it {seen.observed}, though nothing is wanted of it here: what is observed is wanted",
    )


def _of_unmet(seen: Seen) -> Consequence:
    if not shows(seen.wanted, seen.observed):
        if seen.observed is Observed.ABSENT and not seen.job_open:
            return _gone(seen)
        since_our_stop = seen.stop_sent and not seen.call_in_flight and _started_later(seen) and not _started_by_us(seen)
        if seen.wanted == Wanted.STOPPED and seen.observed is Observed.RUNNING and since_our_stop:
            return _started_by_somebody()
        return _NOTHING
    if seen.call_in_flight or (seen.job_call_ended_at and seen.read_began_at <= seen.job_call_ended_at):
        return _NOTHING
    if seen.contradicted and _within_settle(seen):
        return Consequence(meaning=Meaning.WAIT, reason="an earlier call for something else may still take effect")
    if seen.wanted in (Wanted.STOPPED, Wanted.DELETED) and not (seen.proven or _shown_twice(seen)):
        return Consequence(meaning=Meaning.SHOWN, reason=f"Novita shows it {seen.observed}: a second read must prove it")
    return Consequence(meaning=Meaning.MET, reason=f"Novita shows it {seen.observed}")


def _of_met(seen: Seen) -> Consequence:
    if seen.job_open or shows(seen.wanted, seen.observed):
        return _NOTHING
    if seen.wanted == Wanted.DELETED:
        return Consequence(meaning=Meaning.UNMET, reason="it came back at Novita after it was deleted")
    if seen.observed is Observed.ABSENT:
        return _gone(seen)
    if seen.wanted == Wanted.RUNNING and seen.observed is Observed.EXITED:
        return _exited(seen)
    if seen.wanted == Wanted.STOPPED and seen.observed is Observed.RUNNING:
        return _started(seen)
    return _NOTHING


def _gone(seen: Seen) -> Consequence:
    if seen.spot_reclaim and seen.moved and seen.wanted == Wanted.RUNNING:
        return Consequence(meaning=Meaning.RECLAIMED, reason="Novita lost it in a move that was to bring it back")
    return Consequence(meaning=Meaning.OUTSIDE, reason="it is gone from Novita though nobody here deleted it")


def _started_by_somebody() -> Consequence:
    return Consequence(meaning=Meaning.OUTSIDE, wanted=Wanted.RUNNING, reason="it was started at Novita")


def _exited(seen: Seen) -> Consequence:
    if seen.spot_reclaim:
        return Consequence(meaning=Meaning.RECLAIMED, reason="Novita took this spot instance back")
    if seen.spot_doubt:
        return Consequence(
            meaning=Meaning.WAIT, reason="the spot fields leave open whether Novita took it: a person must say"
        )
    if seen.read_began_at <= seen.first_seen_at:
        return Consequence(meaning=Meaning.WAIT, reason="a second read must show that it exited and was not reclaimed")
    if seen.is_spot and not _spot_told_twice(seen):
        return Consequence(meaning=Meaning.WAIT, reason="a list, and a read after it, must tell that it was not reclaimed")
    if _within_settle(seen):
        return Consequence(meaning=Meaning.WAIT, reason="a call of ours may be the cause")
    return Consequence(
        meaning=Meaning.OUTSIDE,
        wanted=Wanted.STOPPED,
        reason="it exited with no job of ours: stopped at Novita, or its own program ended",
    )


def _started(seen: Seen) -> Consequence:
    if _started_later(seen):
        if _started_by_us(seen):
            return Consequence(meaning=Meaning.UNMET, reason="an earlier call of ours started it after all")
        return _started_by_somebody()
    if _within_settle(seen):
        return Consequence(meaning=Meaning.WAIT, reason="a call of ours may be the cause")
    if seen.read_began_at <= seen.first_seen_at:
        return Consequence(meaning=Meaning.WAIT, reason="a second read must show that it runs")
    return _started_by_somebody()


def _spot_told_twice(seen: Seen) -> bool:
    """Whether a list that showed this status told its spot fields, and this read, which is a later one, tells them too."""
    return seen.tells_spot and seen.listed_at is not None and seen.first_seen_at <= seen.listed_at < seen.read_began_at


def _shown_twice(seen: Seen) -> bool:
    """Whether an earlier read showed it too, begun after the call like this one."""
    if seen.shown_at is None or seen.read_began_at <= seen.shown_at:
        return False
    return seen.job_call_ended_at is None or seen.shown_at > seen.job_call_ended_at


def _started_later(seen: Seen) -> bool:
    """Whether Novita's own time of the last start lies after every call of ours; an older one proves nothing."""
    return seen.started_at is not None and seen.last_call_ended_at is not None and seen.started_at > seen.last_call_ended_at


def _started_by_us(seen: Seen) -> bool:
    """Whether the last start lies within the settle period of a call that may make it run."""
    if seen.started_at is None or seen.start_call_ended_at is None:
        return False
    return seen.started_at <= seen.start_call_ended_at + seen.settle


def _within_settle(seen: Seen) -> bool:
    return seen.last_call_ended_at is not None and seen.read_began_at < seen.last_call_ended_at + seen.settle
