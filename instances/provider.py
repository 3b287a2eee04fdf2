"""The provider client built from settings, with a pace and breakers that all processes share through the database."""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache

import structlog
from django.conf import settings
from django.utils import timezone

from instances.models import ProviderBreaker, ProviderPace
from instances.novita.breaker import (
    BreakerLimits,
    BreakerState,
    CallKind,
    after_failure,
    after_success,
    breaker_open,
    may_call,
)
from instances.novita.client import Novita
from instances.novita.pace import PaceState, Rank, full_pace, slowed, take_token
from instances.novita.transport import CallRecord
from instances.tally import Counter, Histogram

log = structlog.get_logger("novita")

CALLS = Counter(
    name="novita_manager_provider_calls",
    help="Attempts of calls to Novita, by kind and by HTTP status, or what went wrong where there was no answer.",
    labels=("kind", "status"),
)
CALL_SECONDS = Histogram(
    name="novita_manager_provider_call_duration_seconds",
    help="How long attempts of calls to Novita took, by kind.",
    labels=("kind",),
    bounds=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)

_TRIES = 20  # a lost compare-and-set means that another process made progress


class SharedPace:
    """One token bucket for every process: a row changed by compare-and-set."""

    def take(self, rank: Rank) -> float:
        waits: list[float] = []

        def step(state: PaceState, now: float) -> PaceState:
            state, wait = take_token(state, rank, now, settings.NOVITA_REQUESTS_PER_MINUTE)
            waits.append(wait)
            return state

        self._change(step)
        return waits[-1]

    def slow_down(self, until: datetime) -> None:
        self._change(lambda state, now: slowed(state, until.timestamp(), now, settings.NOVITA_REQUESTS_PER_MINUTE))

    def _change(self, step: Callable[[PaceState, float], PaceState]) -> None:
        for _ in range(_TRIES):
            row = ProviderPace.objects.filter(pk=1).first() or ProviderPace.objects.get_or_create(pk=1)[0]
            now = time.time()
            state = PaceState(**row.state) if row.state else full_pace(now, settings.NOVITA_REQUESTS_PER_MINUTE)
            changed = asdict(step(state, now))
            if ProviderPace.objects.filter(pk=1, version=row.version).update(state=changed, version=row.version + 1):
                return


class SharedBreaker:
    """One breaker per kind of call for every process: rows changed by compare-and-set, read before each call."""

    def __init__(self) -> None:
        self._limits = BreakerLimits(
            failures=settings.NOVITA_BREAKER_FAILURES, reset_seconds=settings.NOVITA_BREAKER_RESET.total_seconds()
        )

    def before(self, kind: CallKind) -> None:
        waits: list[float] = [0.0]

        def step(state: BreakerState) -> BreakerState:
            state, wait = may_call(state, time.time(), self._limits)
            waits.append(wait)
            return state

        self._change(kind, step)
        if waits[-1] > 0:
            raise breaker_open(kind, time.time(), waits[-1])

    def success(self, kind: CallKind) -> None:
        self._change(kind, after_success)

    def failure(self, kind: CallKind) -> None:
        self._change(kind, lambda state: after_failure(state, time.time(), self._limits))

    def _change(self, kind: CallKind, step: Callable[[BreakerState], BreakerState]) -> None:
        for _ in range(_TRIES):
            row = ProviderBreaker.objects.filter(pk=kind.value).first()
            known = BreakerState(**row.state) if row and row.state else BreakerState()
            changed = step(known)
            if changed == known:
                return
            if row is None:
                row, _ = ProviderBreaker.objects.get_or_create(pk=kind.value)
            won = ProviderBreaker.objects.filter(pk=kind.value, version=row.version).update(
                state=asdict(changed), version=row.version + 1, changed_at=timezone.now()
            )
            if won:
                if changed.is_open != known.is_open:
                    log.warning("novita.breaker_moved", kind=kind.value, open=changed.is_open, failures=changed.failures)
                return


def note_call(call: CallRecord) -> None:
    """Count an attempt, and log it in one line: what, how it went, how long; ids, and never a secret."""
    CALLS.add(call.kind.value, str(call.status or call.error_code))
    CALL_SECONDS.observe(call.kind.value, seconds=call.milliseconds / 1000)
    fields = {
        "operation": call.operation,
        "kind": call.kind.value,
        "status": call.status,
        "ms": round(call.milliseconds, 1),
        "provider_request_id": call.request_id,
        "attempt": call.attempt,
        "novita_id": call.instance_id or None,
        "error": call.error_code or None,
    }
    write = log.warning if call.error_code else log.info
    write("novita.call", **{name: value for name, value in fields.items() if value is not None})


def key_fingerprint() -> str:
    """Tells one key from another, and nothing of it."""
    return hashlib.sha256(settings.NOVITA_API_KEY.encode()).hexdigest()[:16]


_building = threading.Lock()


@lru_cache(maxsize=1)
def _client() -> Novita:
    return Novita(
        api_key=settings.NOVITA_API_KEY or "sk_simulator",
        base_url=settings.NOVITA_API_BASE_URL,
        connect_timeout=settings.NOVITA_CONNECT_TIMEOUT.total_seconds(),
        read_timeout=settings.NOVITA_READ_TIMEOUT.total_seconds(),
        retry_attempts=settings.NOVITA_RETRY_ATTEMPTS,
        retry_delay=settings.NOVITA_RETRY_DELAY.total_seconds(),
        pace=SharedPace(),
        breaker=SharedBreaker(),
        on_call=note_call,
    )


def novita() -> Novita:
    """The client of this process, its connections pooled. Safe to call from any thread."""
    with _building:
        return _client()


def forget_client() -> None:
    """Build the client anew at the next call: settings changed, or the process was forked."""
    _client.cache_clear()
