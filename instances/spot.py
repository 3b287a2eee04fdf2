"""What the spot fields of a machine say: nothing, a notice, that Novita took it back, or something in doubt. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from instances.lifecycle import MOVING, Observed
from instances.models import Machine

NOTICE_WORDS = ("notified", "reclaiming")
# With an exit, these say that it was Novita. "" does too: some answers leave the word out and tell the time alone.
_TAKEN_WORDS = ("terminated", "reclaiming", "")
_ENDED = (Observed.EXITED, Observed.REMOVING, Observed.ABSENT, Observed.NOTHING)


class Sign(StrEnum):
    NONE = "none"
    NOTICE = "notice"  # announced, and not taken yet
    TAKEN = "taken"
    DOUBT = "doubt"  # it exited, and the fields neither say that Novita took it nor that it did not


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotFields:
    """`last_start_at` is the last start we saw; `reclaim_at` is Novita's `spotReclaimTime`, None where it tells none.

    `seen_since`: the first read that showed the present status.
    """

    observed: Observed
    billing_mode: str = "spot"
    spot_status: str = ""
    reclaim_at: datetime | None = None
    last_start_at: datetime | None = None
    seen_since: datetime | None = None


def sign_of(fields: SpotFields) -> Sign:
    """A sign counts only if its time lies after the last start we saw; unfamiliar words are doubt at most."""
    if fields.billing_mode != "spot" or fields.reclaim_at is None:
        return Sign.NONE
    if fields.last_start_at is not None and fields.reclaim_at <= fields.last_start_at:
        return Sign.NONE
    word = fields.spot_status.lower()
    if fields.observed is Observed.EXITED:
        return _of_exited(fields, word)
    if fields.observed in MOVING and word == "terminated":
        return Sign.TAKEN  # and on its way again, by Novita's own doing or somebody's
    if fields.observed in _ENDED or word not in NOTICE_WORDS:
        return Sign.NONE
    return Sign.NOTICE


def _of_exited(fields: SpotFields, word: str) -> Sign:
    if word not in _TAKEN_WORDS:
        return Sign.DOUBT
    early = fields.reclaim_at is not None and fields.seen_since is not None and fields.seen_since < fields.reclaim_at
    # Before the announced time only the word for it says that it was taken, and not stopped meanwhile.
    return Sign.DOUBT if early and word != "terminated" else Sign.TAKEN


def sign_of_machine(machine: Machine) -> Sign:
    return sign_of(
        SpotFields(
            observed=machine.observed,
            billing_mode=machine.billing_mode,
            spot_status=machine.spot_status,
            reclaim_at=machine.reclaim_at,
            last_start_at=last_start_of(machine),
            seen_since=machine.status_since,
        )
    )


def last_start_of(machine: Machine) -> datetime | None:
    """By our own reads, and by what Novita says of the run they showed."""
    told, seen = machine.started_at, machine.running_since
    return max((at for at in (told, seen) if at is not None), default=None)
