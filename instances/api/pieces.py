"""Lists of instances from pieces of JSON that were made once and are made again only when their rows have changed.

Making a page out of objects costs thirty times what it costs to look whether its rows are still the same. So the rows are
read as they are stored, with all columns that are shown, and each that is as it was gives the piece that was made of it.
Two values move without their rows, the cost so far and the time of observation; they are put in each time.
"""

import hashlib
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Model, Subquery

from instances.api.representations import cost_json, instance_json
from instances.api.times import rfc3339
from instances.data_version import data_version
from instances.encryption import EncryptedJSONField
from instances.lifecycle import OPEN_STATES
from instances.models import Instance, Job, Machine, ProviderAccount
from instances.models.instance import InstanceQuerySet
from instances.vouching import effective_observed_at

Row = tuple[Any, ...]

# Stand in for what moves; nobody can write them, since nobody knows them.
_COST, _OBSERVED = f"cost-{secrets.token_hex(16)}", f"observed-{secrets.token_hex(16)}"
_MOST_PIECES = 4000


def _columns(model: type[Model], alias: str) -> str:
    """All that is stored in clear; what is encrypted is shown by no list."""
    shown = [field for field in model._meta.concrete_fields if not isinstance(field, EncryptedJSONField)]
    return ", ".join(f'{alias}."{field.column}"' for field in shown)


# Fixed text: putting a hundred columns together anew for each page would cost more than reading them.
_ROWS = f"""
SELECT {_columns(Instance, "i")}, {_columns(Machine, "m")}, {_columns(Job, "j")}
FROM {Instance._meta.db_table} i
LEFT JOIN {Machine._meta.db_table} m ON m.id = i.machine_id
LEFT JOIN {Job._meta.db_table} j ON j.instance_id = i.id AND j.state IN ({", ".join(f"'{state}'" for state in OPEN_STATES)})
WHERE i.id IN """  # noqa: S608 - names of our own, no values
_METERS = f"""
SELECT instance_id, id, metered_usd, billed_since, billed_price_usd_per_hour
FROM {Machine._meta.db_table} WHERE instance_id IN """  # noqa: S608


@dataclass(frozen=True, slots=True)
class Piece:
    """The JSON of one instance around what moves, what that is made of, and a digest of the rest."""

    before_cost: bytes
    before_observed: bytes
    after: bytes
    instance: Instance
    digest: bytes

    def observed(self, account: ProviderAccount | None) -> bytes:
        machine = self.instance.machine
        moment = effective_observed_at(machine, account) if machine else None
        return b"null" if moment is None else b'"' + rfc3339(moment).encode() + b'"'

    def whole(self, *, now: datetime, observed: bytes) -> bytes:
        cost = f'"{cost_json(self.instance, now)}"'.encode()
        return b"".join((self.before_cost, cost, self.before_observed, observed, self.after))


def page_json(
    rows: InstanceQuerySet, page: Callable[[Any], Iterable[Any]], *, version: Any, now: datetime
) -> tuple[bytes, bytes]:
    """The JSON array of one page of the rows, which `page` picks, and a digest of all of it but the costs.

    Without a data version nothing can be kept, and the rows are read as objects at once.
    """
    listed_at = Subquery(ProviderAccount.objects.filter(pk=1).values("complete_list_at"))
    if version is None:
        shown = list(page(rows.for_display().annotate(listed_at=listed_at)))
        account = _account(one.listed_at for one in shown)
        return _joined([piece_of(one, now=now) for one in shown], now=now, account=account)
    picked = list(page(rows.annotate(listed_at=listed_at).values_list("pk", "listed_at")))
    found = _pieces.of([row[0] for row in picked], version=version, now=now)
    return _joined(found, now=now, account=_account(row[1] for row in picked))


def piece_of(instance: Instance, *, now: datetime) -> Piece:
    """Of an instance that was read with `for_display`."""
    shown = instance_json(instance, now=now, account=None) | {"cost_usd_so_far": _COST, "observed_at": _OBSERVED}
    text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    before_cost, _, rest = text.partition(f'"{_COST}"')
    before_observed, _, after = rest.partition(f'"{_OBSERVED}"')
    meters = [(one.metered_usd, one.billed_since, one.billed_price_usd_per_hour) for one in instance.machines.all()]
    told = f"{before_cost}\n{before_observed}\n{after}\n{meters}"
    digest = hashlib.blake2b(told.encode(), digest_size=16).digest()
    return Piece(before_cost.encode(), before_observed.encode(), after.encode(), instance, digest)


def _account(moments: Iterable[datetime | None]) -> ProviderAccount:
    """All that an observation's age needs of it; each row of a page names the same time."""
    return ProviderAccount(complete_list_at=next(iter(moments), None))


def _joined(pieces: Sequence[Piece], *, now: datetime, account: ProviderAccount) -> tuple[bytes, bytes]:
    digest = hashlib.blake2b(digest_size=16)
    whole: list[bytes] = []
    for piece in pieces:
        observed = piece.observed(account)
        digest.update(piece.digest + observed)
        whole.append(piece.whole(now=now, observed=observed))
    return b"[" + b",".join(whole) + b"]", digest.digest()


class _Pieces:
    """Those made lately, by the raw key of their instance."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[Any, tuple[Row, Piece]] = OrderedDict()

    def of(self, ids: Sequence[UUID], *, version: Any, now: datetime) -> list[Piece]:
        """A piece for each instance, in the same order; one that went meanwhile is left out."""
        keys = _as_stored(ids)
        with self._lock:
            known = [self._made.get(key[0]) for key in keys]
        pieces = [made[1] if made is not None and made[0] == key else None for made, key in zip(known, keys, strict=True)]
        missing = [key for key, piece in zip(keys, pieces, strict=True) if piece is None]
        fresh = _make([_as_uuid(key[0]) for key in missing], now) if missing else {}
        if missing and data_version() == version:
            self._keep(missing, fresh)
        found = (piece or fresh.get(_as_uuid(key[0])) for key, piece in zip(keys, pieces, strict=True))
        return [piece for piece in found if piece is not None]

    def _keep(self, keys: Iterable[Row], fresh: dict[UUID, Piece]) -> None:
        """Only called where nothing was written since the rows were read: then they and the pieces are of one state."""
        with self._lock:
            for key in keys:
                piece = fresh.get(_as_uuid(key[0]))
                if piece is not None:
                    self._made[key[0]] = (key, piece)
                    self._made.move_to_end(key[0])
            while len(self._made) > _MOST_PIECES:
                self._made.popitem(last=False)


def _make(ids: list[UUID], now: datetime) -> dict[UUID, Piece]:
    return {one.pk: piece_of(one, now=now) for one in Instance.objects.for_display().filter(pk__in=ids)}


def _as_stored(ids: Sequence[UUID]) -> list[Row]:
    """The rows of the instances in this order, each followed by the money columns of all its machines."""
    if not ids:
        return []
    field = Instance._meta.get_field("id")
    raw = [field.get_db_prep_value(one, connection) for one in ids]
    some = f"({', '.join(['%s'] * len(raw))})"
    with connection.cursor() as cursor:
        cursor.execute(_ROWS + some, raw)
        rows: dict[Any, Row] = {row[0]: row for row in cursor.fetchall()}
        cursor.execute(f"{_METERS}{some} ORDER BY id", raw)
        for meter in cursor.fetchall():
            if meter[0] in rows:
                rows[meter[0]] += meter
    return [rows[one] for one in raw if one in rows]


def _as_uuid(raw: Any) -> UUID:
    """SQLite stores ids as text."""
    return raw if isinstance(raw, UUID) else UUID(raw)


_pieces = _Pieces()
