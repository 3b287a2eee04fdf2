"""Counts that all processes share: added up in memory, and every few seconds put on top of one row per series.

A row only ever grows, by `value = value + what came since`, so any number of processes tell one truth, a request costs no
write, and a process that is lost loses seconds. Whoever counts declares a Counter or a Histogram; the metrics page shows
those it lists. It is for rates and alarms: history is what events are for.
"""

import atexit
import contextlib
import json
import threading
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction

log = structlog.get_logger("tally")

FLUSH_SECONDS = 3.0
INFINITE = "+Inf"
Series = tuple[str, ...]  # a name and the values of its labels
# The same words on SQLite and PostgreSQL.
_PUT_ON_TOP = """
    INSERT INTO instances_tally (series, value) VALUES (%s, %s)
    ON CONFLICT (series) DO UPDATE SET value = instances_tally.value + excluded.value
"""


class _Memory:
    """What this process counted since it last flushed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._amounts: defaultdict[Series, float] = defaultdict(float)
        self.is_flushed = False

    def add(self, amounts: dict[Series, float]) -> None:
        with self._lock:
            for series, amount in amounts.items():
                self._amounts[series] += amount

    def take(self) -> dict[Series, float]:
        with self._lock:
            taken, self._amounts = self._amounts, defaultdict(float)
        return dict(taken)


memory = _Memory()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """How often something happened, by a few words of which there are never many."""

    name: str  # without `_total`
    help: str
    labels: tuple[str, ...]

    def add(self, *values: str) -> None:
        memory.add({_series(self.name, self.labels, values): 1.0})


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How long something took, in seconds. Each bucket is stored for itself, the page adds those below it."""

    name: str
    help: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...]

    @property
    def edges(self) -> tuple[str, ...]:
        """The upper bound of each bucket as its label tells it."""
        return (*(str(bound) for bound in self.bounds), INFINITE)

    def observe(self, *values: str, seconds: float) -> None:
        series = _series(self.name, self.labels, values)
        edge = self.edges[bisect_left(self.bounds, seconds)]
        memory.add({(f"{self.name}_bucket", *series[1:], edge): 1.0, (f"{self.name}_sum", *series[1:]): seconds})


def flush() -> int:
    """Put what was counted on top of the shared rows; how many rows. What could not be stored is kept for the next time."""
    amounts = memory.take()
    if not amounts:
        return 0
    # In one order everywhere, so that two processes never wait for each other.
    rows = [(json.dumps(series), amount) for series, amount in sorted(amounts.items())]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(_PUT_ON_TOP, rows)
    except Exception:
        memory.add(amounts)
        raise
    return len(rows)


def flush_last() -> None:
    """At the end of a process, whatever state it is in."""
    with contextlib.suppress(DatabaseError, InterfaceError, RuntimeError):
        flush()


def keep_flushing() -> None:
    """From now on to the end of this process, in a thread of its own. Once is enough; more often is harmless."""
    if not memory.is_flushed:
        memory.is_flushed = True
        atexit.register(flush_last)
        threading.Thread(target=_loop, name="tally", daemon=True).start()


def _loop() -> None:
    ticks = threading.Event()
    while not ticks.wait(FLUSH_SECONDS):
        try:
            close_old_connections()
            flush()
        except (DatabaseError, InterfaceError) as error:
            log.debug("tally.not_stored", error=str(error)[:200])
        finally:
            connection.close()


def _series(name: str, labels: tuple[str, ...], values: tuple[str, ...]) -> Series:
    if len(values) != len(labels):
        raise ValueError(f"{name} is counted by {', '.join(labels)}")
    return (name, *values)
