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
    absence is expected.
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
    absent: bool = False
    unsettled: bool = False
    ours_to_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to do about the records. `kind`: observe, recheck, resolve, surplus, discover or missing.

    A recheck finds nothing new: it lets a wish that differs from what is observed be judged by a newer read.
    """

    kind: str
    novita_id: str
    reason: str
    machine_id: int | None = None
    instance_id: str = ""
    reading: Reading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`suspicion` is not empty where so much is missing that it is not believed yet; it names the set that is missing."""

    changes: tuple[Change, ...] = ()
    suspicion: str = ""
    suspicion_text: str = ""
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
    believed_suspicion: str = "",
    frozen: bool = False,
) -> Plan:
    """Compare. Absence means something only in a complete list, and not yet for a create younger than the settle period.

    `believed_suspicion` is what the complete list before this one lacked: the same once more is believed.
    """
    by_id = {row.novita_id: row for row in rows if row.novita_id}
    by_correlation = {row.correlation_id: row for row in rows if row.correlation_id}
    changes: list[Change] = []
    for reading in seen:
        row = by_id.get(reading.novita_id)
        change = _of_known(row, reading) if row else _of_new(reading, by_correlation)
        if change:
            changes.append(change)
    seen_ids = {reading.novita_id for reading in seen}
    known_seen = sum(1 for row in rows if row.novita_id in seen_ids and not row.absent)
    if not complete or frozen:
        return Plan(changes=tuple(changes), known_seen=known_seen)
    lacking = [row for row in rows if _is_lacking(row, seen_ids, began_at, settle)]
    suspicion, text = _suspicion(rows, lacking, seen_ids)
    if suspicion and suspicion != believed_suspicion:
        return Plan(changes=tuple(changes), suspicion=suspicion, suspicion_text=text, known_seen=known_seen)
    changes += [_missing(row) for row in lacking if not row.missing]
    return Plan(changes=tuple(changes), suspicion=suspicion, known_seen=known_seen)


def _of_known(row: Known, reading: Reading) -> Change | None:
    differing = [name for name, value in reading.columns.items() if row.values.get(name) != value]
    kind = "observe"
    if differing:
        reason = f"differs in {', '.join(differing)}"
    elif row.missing:
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


def _suspicion(rows: Sequence[Known], lacking: Sequence[Known], seen_ids: set[str]) -> tuple[str, str]:
    """A digest of what is missing, where too much is: an empty list, or at least 3 and more than 30 % of what we knew."""
    unexpected = sorted(row.novita_id or "" for row in lacking if not row.ours_to_end)
    live = sum(1 for row in rows if row.novita_id and not row.absent)
    if not unexpected:
        return "", ""
    if seen_ids and (len(unexpected) < _FEW or len(unexpected) <= _SHARE * live):
        return "", ""
    what = (
        f"{len(unexpected)} of {live} machines are missing" if seen_ids else f"it is empty though {live} machines were known"
    )
    return _digest(unexpected), f"Novita's list is not believed yet: {what}"


def _digest(ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


def _missing(row: Known) -> Change:
    return Change(
        kind="missing",
        novita_id=row.novita_id or "",
        reason="a complete list lacks it",
        machine_id=row.machine_id,
        instance_id=row.instance_id,
    )
