"""What a list of Novita's means for our records. Pure: rows and readings in, changes with reasons out."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from instances.correlation import correlation_id_in
from instances.readings import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One machine row. `values` are its observed columns; `unsettled`: its wish and what is observed differ.

    `called_at` is when its create was sent; `moved_at` when the last call ended, where that was a create, start or
    migrate: for the settle period after it absence proves nothing. `ours_to_end`: we asked for its deletion, so that its
    absence is expected. `unverified`: a list that is not believed lacked it; `not_found`: no read by id found it since.
    """

    machine_id: int
    instance_id: str
    novita_id: str | None
    correlation_id: str | None
    values: dict[str, Any]
    observed_at: datetime | None = None
    called_at: datetime | None = None
    moved_at: datetime | None = None
    missing: bool = False
    unverified: bool = False
    not_found: bool = False
    absent: bool = False
    unsettled: bool = False
    ours_to_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to do about the records. `kind`: observe, recheck, resolve, surplus, discover, missing or unverified.

    A recheck finds nothing new: it lets a wish that differs from what is observed be judged by a newer read. `differing`
    names the columns that an observe changes; `unsettled` that more than they may follow from it.
    """

    kind: str
    novita_id: str
    reason: str
    machine_id: int | None = None
    instance_id: str = ""
    reading: Reading | None = None
    differing: tuple[str, ...] = ()
    unsettled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How lists are believed so far. `doubted` since one lacked too much or its pages disagreed.

    `lacked` names what the newest complete list lacked since then, "" where there was none; `accepted` what a person said
    is lacking indeed.
    """

    doubted: bool = False
    lacked: str = ""
    accepted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`doubt` says why the list is not believed, "" where it is; `lacked` names what a complete one lacked."""

    changes: tuple[Change, ...] = ()
    doubt: str = ""
    lacked: str = ""
    known_seen: int = 0


_FEW = 3
_SHARE = 0.3


def plan(
    rows: Sequence[Known],
    seen: Sequence[Reading],
    *,
    complete: bool,
    began_at: datetime,
    settle: timedelta,
    disagrees: bool = False,
    trust: Trust | None = None,
    frozen: bool = False,
) -> Plan:
    """Compare. Absence means something only in a complete list that is believed, and not yet for a young create.

    A doubt ends with two complete lists in a row that lack the same, each of it not found by id either.
    """
    changes = _of_seen(rows, seen)
    seen_ids = {reading.novita_id for reading in seen}
    known_seen = sum(1 for row in rows if row.novita_id in seen_ids and not row.absent)
    if frozen or not (complete or disagrees):
        return Plan(changes=changes, known_seen=known_seen)
    lacking = [row for row in rows if _is_lacking(row, seen_ids, began_at, settle)]
    if not complete:
        doubt = "Novita's list is not believed yet: its pages disagree" if any(_is_live(row) for row in rows) else ""
        unverified = _unverified(lacking) if doubt else ()
        return Plan(changes=(*changes, *unverified), doubt=doubt, known_seen=known_seen)
    unexpected = [row for row in lacking if not row.ours_to_end and not row.missing]
    lacked = _digest(sorted(row.novita_id or "" for row in unexpected))
    doubt = _doubt(rows, unexpected, seen_ids, lacked, trust or Trust())
    found = _unverified(lacking) if doubt else tuple(_missing(row) for row in lacking if not row.missing)
    return Plan(changes=(*changes, *found), doubt=doubt, lacked=lacked, known_seen=known_seen)


def _of_seen(rows: Sequence[Known], seen: Sequence[Reading]) -> tuple[Change, ...]:
    by_id = {row.novita_id: row for row in rows if row.novita_id}
    by_correlation = {row.correlation_id: row for row in rows if row.correlation_id}
    changes = []
    for reading in seen:
        row = by_id.get(reading.novita_id)
        change = _of_known(row, reading) if row else _of_new(reading, by_correlation)
        if change:
            changes.append(change)
    return tuple(changes)


def _of_known(row: Known, reading: Reading) -> Change | None:
    differing = [name for name, value in reading.columns.items() if row.values.get(name) != value]
    kind = "observe"
    if differing:
        reason = f"differs in {', '.join(differing)}"
    elif row.missing or row.unverified:
        reason = "is listed again"
    elif row.unsettled:
        kind, reason = "recheck", "its wish and what is observed differ"
    else:
        return None
    return Change(
        kind=kind,
        novita_id=reading.novita_id,
        reason=reason,
        machine_id=row.machine_id,
        instance_id=row.instance_id,
        reading=reading,
        differing=tuple(differing),
        unsettled=row.unsettled or row.absent,
    )


def _of_new(reading: Reading, by_correlation: dict[str, Known]) -> Change:
    row = by_correlation.get(correlation_id_in(str(reading.columns["provider_name"])))
    if row is None:
        return Change(kind="discover", novita_id=reading.novita_id, reason="was not made here", reading=reading)
    kind, reason = (
        ("surplus", "a second machine of one attempt") if row.novita_id else ("resolve", "made by an attempt of ours")
    )
    return Change(
        kind=kind,
        novita_id=reading.novita_id,
        reason=reason,
        machine_id=row.machine_id,
        instance_id=row.instance_id,
        reading=reading,
    )


def _is_lacking(row: Known, seen_ids: set[str], began_at: datetime, settle: timedelta) -> bool:
    if row.novita_id is None or row.absent or row.novita_id in seen_ids:
        return False
    young = row.called_at is not None and row.observed_at is None and began_at < row.called_at + settle
    young = young or (row.moved_at is not None and began_at < row.moved_at + settle)
    newer = row.observed_at is not None and row.observed_at >= began_at
    return not young and not newer


def _doubt(rows: Sequence[Known], unexpected: Sequence[Known], seen_ids: set[str], lacked: str, trust: Trust) -> str:
    """Why a complete list is not believed, or ""."""
    if lacked == trust.accepted:
        return ""
    live = sum(1 for row in rows if _is_live(row))
    if not trust.doubted and not _is_too_much(len(unexpected), live, empty=not seen_ids):
        return ""
    what = "Novita's list is not believed yet: "
    if unexpected and not seen_ids:
        what += f"it is empty though {live} machines were known"
    elif unexpected:
        what += f"{len(unexpected)} of {live} machines are missing"
    else:
        what += "the one before it was odd"
    if not trust.doubted or lacked != trust.lacked:
        return f"{what}; a second complete list must say the same"
    unconfirmed = sum(1 for row in unexpected if not row.not_found)
    return f"{what}; {unconfirmed} of them are not confirmed by a read of their own" if unconfirmed else ""


def _is_too_much(unexpected: int, live: int, *, empty: bool) -> bool:
    """All of them, or at least 3 and more than 30 % of what we knew."""
    return unexpected > 0 and (empty or (unexpected >= _FEW and unexpected > _SHARE * live))


def _is_live(row: Known) -> bool:
    return row.novita_id is not None and not row.absent


def _digest(ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


def _missing(row: Known) -> Change:
    return _absent(row, "missing", "a complete list lacks it")


def _unverified(lacking: Iterable[Known]) -> tuple[Change, ...]:
    """Those that nothing told of yet that a list which is not believed lacks them."""
    reason = "a list that is not believed lacks it"
    return tuple(_absent(row, "unverified", reason) for row in lacking if not (row.missing or row.unverified))


def _absent(row: Known, kind: str, reason: str) -> Change:
    return Change(
        kind=kind, novita_id=row.novita_id or "", reason=reason, machine_id=row.machine_id, instance_id=row.instance_id
    )
