"""Carries a call to Novita: breaker, pace, attempts, and a record of each attempt.

A read is tried again with exponential backoff and full jitter; a write is sent once, whatever happens.
"""

import json
import logging
import random
import time
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit

import requests

from instances.novita.answers import read_answer
from instances.novita.breaker import Breaker, CallKind, LocalBreaker
from instances.novita.coerce import Json, Malformed
from instances.novita.errors import (
    BreakerOpen,
    NovitaError,
    PaceExceeded,
    RateLimited,
    Rejected,
    Unavailable,
    Unknown,
)
from instances.novita.exchange import Bearer, Limits, exchange, new_session, read_tail, unreadable
from instances.novita.pace import LocalPace, Pace, Rank

logger = logging.getLogger(__name__)
Outcome = TypeVar("Outcome")

request_id: ContextVar[str] = ContextVar("novita_request_id", default="")
"""Sent as X-Request-ID and kept on errors and records; without one every call makes its own."""

LONGEST_RETRY_WAIT = 20.0
_SHORTEST_READ_BUDGET = 10.0
_PAUSE_AFTER_429 = 10.0
# Seconds after which a write that waited for the pace, or whose process slept, is not sent any more: whoever asked for it
# holds a claim that outlives the call by twice as much.
LATEST_WRITE = 5.0
_PATIENCE = {Rank.WRITE: LATEST_WRITE, Rank.LIST: 30.0, Rank.REST: 30.0}
_AWAY = {
    "CONNECT_TIMEOUT",
    "READ_TIMEOUT",
    "CONNECTION_REFUSED",
    "CONNECTION_RESET",
    "NAME_RESOLUTION",
    "TLS_FAILED",
    "PROXY_FAILED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One thing to ask of Novita. With a `body` it is a write, without one a read."""

    kind: CallKind
    operation: str
    path: str
    rank: Rank = Rank.REST
    params: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    instance_id: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def is_write(self) -> bool:
        return self.body is not None

    @property
    def method(self) -> str:
        return "POST" if self.is_write else "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """What one attempt came to; no secrets, no query, no body. `status` is None without an HTTP answer."""

    kind: CallKind
    operation: str
    method: str
    path: str
    status: int | None
    milliseconds: int
    request_id: str
    error_code: str
    attempt: int
    instance_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """Time-outs and waits in seconds, sizes in bytes. `retry_attempts` counts the first try too."""

    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    retry_attempts: int = 3
    retry_delay: float = 1.0
    pool_size: int = 32
    max_response_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where time and chance come from: epoch seconds, a sleep, and a number from 0 to 1."""

    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    rng: Callable[[], float] = random.random

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)


class Transport:
    """Safe to share between threads; no lock is held during a call."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        manners: Manners,
        sources: Sources,
        pace: Pace | None,
        breaker: Breaker | None,
        on_call: Callable[[CallRecord], None] | None,
    ) -> None:
        if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise ValueError("the API key must be printable ASCII without spaces")
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the base URL must be http(s)://host")
        self.base_url = base_url.rstrip("/")
        self.sources = sources
        self._api_key = api_key
        self._manners = manners
        self._pace = pace or LocalPace(100, clock=sources.clock)
        self._breaker = breaker or LocalBreaker(clock=sources.clock)
        self._on_call = on_call
        self._session = new_session(manners.pool_size)

    def __repr__(self) -> str:
        return f"Transport({self.base_url!r})"

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()

    def send(self, call: Call, make: Callable[[Json], Outcome]) -> Outcome:
        """What `make` reads from the JSON answer (None if empty); raises NovitaError.

        Takes at most the connect and read time-outs together (for reads 10 s if that is more), all attempts
        included, and beyond that only what the pace asks.
        """
        sent_id = _current_request_id()
        budget = self._manners.connect_timeout + self._manners.read_timeout
        if call.is_write:
            return self._attempt(call, make, 1, sent_id, budget)
        left = max(budget, _SHORTEST_READ_BUDGET)
        attempt = 1
        while True:
            began = time.monotonic()
            try:
                return self._attempt(call, make, attempt, sent_id, left)
            except (BreakerOpen, PaceExceeded):
                raise
            except (Unavailable, Unknown) as error:
                left -= time.monotonic() - began
                wait = self._wait_before(attempt + 1, error)
                if wait is None or wait >= left:
                    raise
            self.sources.sleep(wait)
            left -= wait
            attempt += 1

    def tail(self, address: str, tail_bytes: int, seconds: float) -> tuple[int, bytes, bool]:
        """GET a log address: status, last bytes, whether that is all. The key goes to our own origin only."""
        key = self._api_key if _origin(address) == _origin(self.base_url) else ""
        sent_id = _current_request_id()
        request = requests.Request("GET", address, headers={"X-Request-ID": sent_id}, auth=Bearer(key))
        call = Call(kind=CallKind.LOGS, operation="container_log", path=urlsplit(address).path)
        limits = self._limits(seconds)

        def read() -> tuple[int, tuple[int, bytes, bool]]:
            found = read_tail(self._session, request, limits, tail_bytes)
            if found[0] >= 500 or found[0] == 429:
                raise Unavailable("the log's host answers with an error", status=found[0], reason="LOG_HOST")
            return found[0], found

        self._breaker.before(call.kind)
        return self._watched(call, 1, sent_id, read)

    def _attempt(self, call: Call, make: Callable[[Json], Outcome], attempt: int, sent_id: str, seconds: float) -> Outcome:
        request = requests.Request(
            call.method,
            self.base_url + call.path,
            params={name: value for name, value in call.params.items() if value != ""},
            data=json.dumps(call.body) if call.is_write else None,
            # Novita's documentation wants the content type on reads too.
            headers={
                "X-Request-ID": sent_id,
                "Accept": "application/json",
                "Content-Type": "application/json",
            },
            auth=Bearer(self._api_key),
        )

        def ask() -> tuple[int, Outcome]:
            limits = self._limits(seconds)
            answer = exchange(self._session, request, limits, is_write=call.is_write)
            raw = read_answer(
                answer,
                is_write=call.is_write,
                request_id=sent_id,
                now=self.sources.now(),
                secrets=(self._api_key, *call.secrets),
            )
            return answer.status, _made(make, raw, call, answer.status)

        entered = self.sources.clock()
        self._breaker.before(call.kind)
        self._wait_for_pace(call.rank)
        if call.is_write and self.sources.clock() - entered > LATEST_WRITE:
            raise Unavailable("it was held up on its way out and not sent", reason="NOT_SENT")
        return self._watched(call, attempt, sent_id, ask)

    def _watched(self, call: Call, attempt: int, sent_id: str, ask: Callable[[], tuple[int, Outcome]]) -> Outcome:
        began = time.monotonic()
        try:
            status, found = ask()
        except NovitaError as error:
            error.request_id = sent_id
            self._tell(call, attempt, sent_id, began, error.status, error)
            raise
        self._tell(call, attempt, sent_id, began, status, None)
        return found

    def _limits(self, seconds: float) -> Limits:
        manners = self._manners
        return Limits(
            connect=manners.connect_timeout,
            silence=manners.read_timeout,
            total=seconds,
            body_bytes=manners.max_response_bytes,
        )

    def _wait_for_pace(self, rank: Rank) -> None:
        patience = _PATIENCE[rank]
        while (wait := self._pace.take(rank)) > 0:
            if wait > patience:
                raise PaceExceeded(
                    f"the pace towards Novita has no room for a {rank.value} call for {wait:.0f} s",
                    reason="PACE_EXCEEDED",
                    retry_at=self.sources.now() + timedelta(seconds=min(wait, 3600.0)),
                )
            self.sources.sleep(wait)
            patience -= wait

    def _wait_before(self, attempt: int, error: NovitaError) -> float | None:
        """Seconds to wait before that attempt of a read, or None to give up."""
        manners = self._manners
        if attempt > manners.retry_attempts or error.reason in ("BODY_TOO_LARGE", "NOT_SENT"):
            return None
        longest = min(manners.retry_delay * 2.0 ** (attempt - 2), LONGEST_RETRY_WAIT)
        wait = self.sources.rng() * longest
        if error.retry_at is None:
            return wait
        asked = (error.retry_at - self.sources.now()).total_seconds()
        return None if asked > LONGEST_RETRY_WAIT else max(wait, asked)

    def _tell(
        self,
        call: Call,
        attempt: int,
        sent_id: str,
        began: float,
        status: int | None,
        error: NovitaError | None,
    ) -> None:
        record = CallRecord(
            kind=call.kind,
            operation=call.operation,
            method=call.method,
            path=call.path,
            status=status,
            milliseconds=round((time.monotonic() - began) * 1000),
            request_id=sent_id,
            error_code=error.code if error else "",
            attempt=attempt,
            instance_id=call.instance_id,
        )
        try:
            self._keep_books(call.kind, error)
            if self._on_call is not None:
                self._on_call(record)
        except Exception:
            # The answer of a paid write is in hand: a broken book-keeper must not lose the new instance's id.
            logger.exception("provider.bookkeeping_failed", extra={"operation": call.operation})

    def _keep_books(self, kind: CallKind, error: NovitaError | None) -> None:
        if error is not None and counts_as_failure(error):
            self._breaker.failure(kind)
        else:
            self._breaker.success(kind)
        if isinstance(error, RateLimited):
            until = error.retry_at or self.sources.now() + timedelta(seconds=_PAUSE_AFTER_429)
            self._pace.slow_down(until)


def counts_as_failure(error: NovitaError) -> bool:
    """Whether Novita did wrong: 5xx, time-out, 429, or it was away. A refusal never is."""
    if isinstance(error, Rejected):
        return False
    if error.status is None:
        return error.reason in _AWAY
    return error.status >= 500 or error.status in (408, 429)


def _made(make: Callable[[Json], Outcome], raw: Json, call: Call, status: int) -> Outcome:
    try:
        return make(raw)
    except Malformed:
        failure = unreadable(is_write=call.is_write, status=status)
    raise failure


def _current_request_id() -> str:
    given = "".join(char for char in request_id.get() if char.isascii() and char.isprintable()).strip()
    return given[:128] or uuid.uuid4().hex


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
