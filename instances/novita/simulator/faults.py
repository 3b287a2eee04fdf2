"""Faults set while it runs: which calls they hit, how often, and what they do to the answer.

Seconds here are wall clock, whatever the speed: they are the transport's, not the provider's.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from instances.novita.simulator.errors import RefusedError, invalid, no_balance, no_capacity
from instances.novita.simulator.lifecycle import MOVE_ENDINGS

ERRORS: dict[str, Callable[[], RefusedError]] = {
    "500": lambda: RefusedError("UNKNOWN", "unknown error", status=500),
    "502": lambda: RefusedError("", "bad gateway", status=502),
    "401": lambda: RefusedError("UNAUTHORIZED", "unauthorized", status=401),
    "429": lambda: RefusedError("RATE_LIMIT_EXCEEDED", "rate limit exceeded", status=429),
    "no_capacity": no_capacity,
    "no_balance": no_balance,
}
TRANSPORT = frozenset({"timeout", "reset", "bad_json", "wrong_content_type"})
EFFECTS = frozenset({"never_stops", "never_deletes", "never_pulls", *MOVE_ENDINGS})
DELAYS = frozenset({"slow", "latency"})
READS = frozenset(
    {"missing_fields", "no_spot_fields", "unknown_words", "stale_list", "empty_list", "page_gap", "page_repeat"}
)
KINDS = frozenset(ERRORS) | TRANSPORT | EFFECTS | DELAYS | READS
DEFAULT_SECONDS = {"timeout": 120.0, "slow": 5.0, "latency": 0.1, "stale_list": 60.0}
_LIST_KEYS = ("instances", "jobs", "template", "data", "networks")


@dataclass(slots=True, kw_only=True)
class Fault:
    """`count` is how often it may still strike, None for ever; `rate` strikes by chance."""

    call: str
    kind: str
    when: str = "before"
    count: int | None = None
    rate: float | None = None
    retry_after: float | None = None
    seconds: float = 0.0
    instance: str = ""
    fired: int = 0

    def hits(self, call: str, instance_id: str, random: Random) -> bool:
        """A fault of one instance strikes lists too, where it changes that one entry only."""
        if self.call not in ("*", call) or self.count == 0:
            return False
        if self.instance and self.instance != instance_id and self.kind not in READS:
            return False
        return self.rate is None or random.random() < self.rate


class FaultSet:
    """All faults in force; `struck` answers and counts those that hit a call."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"{seed}/faults")
        self.faults: list[Fault] = []

    def replace(self, rows: object) -> None:
        """Raises RefusedError and changes nothing when one of them makes no sense."""
        if not isinstance(rows, list):
            raise invalid("faults", "an array is required")
        self.faults = [_parse(row) for row in rows]

    def rows(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.faults]

    def struck(self, call: str, instance_id: str) -> list[Fault]:
        """All delays and effects that hit, and the first of the others."""
        found: list[Fault] = []
        has_main = False
        for fault in self.faults:
            is_main = fault.kind not in DELAYS | EFFECTS
            if (is_main and has_main) or not fault.hits(call, instance_id, self._random):
                continue
            has_main = has_main or is_main
            fault.fired += 1
            if fault.count is not None:
                fault.count -= 1
            found.append(fault)
        return found


def _parse(row: object) -> Fault:
    if not isinstance(row, dict):
        raise invalid("faults", "an array of objects is required")
    unknown = set(row) - {"call", "kind", "when", "count", "rate", "retry_after", "seconds", "instance", "fired"}
    kind, when, count = str(row.get("kind")), row.get("when") or "before", row.get("count")
    if unknown:
        raise invalid(sorted(unknown)[0], "no such member")
    if kind not in KINDS:
        raise invalid("kind", "one of " + ", ".join(sorted(KINDS)) + " is required")
    if when not in ("before", "after"):
        raise invalid("when", "before or after is required")
    if count is not None and (not isinstance(count, int) or count < 0):
        raise invalid("count", "a whole number is required")
    rate, seconds = row.get("rate"), row.get("seconds")
    return Fault(
        call=str(row.get("call") or "*"),
        kind=kind,
        when=when,
        count=count,
        rate=None if rate is None else float(rate),
        retry_after=row.get("retry_after"),
        seconds=DEFAULT_SECONDS.get(kind, 0.0) if seconds is None else float(seconds),
        instance=str(row.get("instance") or ""),
    )


def spoiled(fault: Fault, answer: Any, previous_page: Callable[[], Any]) -> Any:
    """The answer as the fault leaves it; the original is not touched. `previous_page` is asked for repeats."""
    if fault.kind == "page_repeat":
        return previous_page()
    spoil = _SPOILERS.get(fault.kind)
    return spoil(copy.deepcopy(answer), fault) if spoil else answer


def _entries(answer: Any) -> tuple[str, list[dict[str, Any]]]:
    """The list inside an answer, or the answer itself as a list of one."""
    if isinstance(answer, dict) and "id" not in answer:
        for key in _LIST_KEYS:
            if isinstance(answer.get(key), list):
                return key, answer[key]
    return "", [answer] if isinstance(answer, dict) else []


def _meant(fault: Fault, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [e for e in entries if fault.instance in ("", e.get("id"), e.get("instanceId"))]


def _without_fields(answer: Any, fault: Fault) -> Any:
    for entry in _meant(fault, _entries(answer)[1]):
        for field in ("status", "productId", "billingMode", "portMappings", "price", "name", "availableBalance"):
            entry.pop(field, None)
    if not fault.instance and isinstance(answer, dict):
        answer.pop("total", None)
    return answer


def _without_spot_fields(answer: Any, fault: Fault) -> Any:
    """As the provider may answer a read by id: it promises them in lists alone."""
    for entry in _meant(fault, _entries(answer)[1]):
        for field in ("spotStatus", "spotReclaimTime"):
            entry.pop(field, None)
    return answer


def _with_unknown_words(answer: Any, fault: Fault) -> Any:
    words = {"status": "hibernating", "spotStatus": "wavering", "inventoryState": "plenty", "type": "teleport"}
    for entry in _meant(fault, _entries(answer)[1]):
        for field, word in words.items():
            if field in entry:
                entry[field] = word
    return answer


def _emptied(answer: Any, _: Fault) -> Any:
    key, _entries_found = _entries(answer)
    if key:
        answer[key] = []
        if "total" in answer:
            answer["total"] = 0
    return answer


def _with_gap(answer: Any, fault: Fault) -> Any:
    """One entry is missing while the total still counts it."""
    key, entries = _entries(answer)
    if key:
        gone = _meant(fault, entries)[:1]
        answer[key] = [entry for entry in entries if entry not in gone]
    return answer


_SPOILERS: dict[str, Callable[[Any, Fault], Any]] = {
    "missing_fields": _without_fields,
    "no_spot_fields": _without_spot_fields,
    "unknown_words": _with_unknown_words,
    "empty_list": _emptied,
    "page_gap": _with_gap,
}
