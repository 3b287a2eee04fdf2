"""The few reads of Novita that a request may wait for: in a thread of their own, for a few seconds at most."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoAnswer
from typing import TypeVar

from django.db import connections

from instances.novita.errors import Unavailable

Value = TypeVar("Value")

# Few threads: when all of them wait for Novita, the next reader is told so instead of taking a server thread for long.
_pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="provider-read")


def ask(read: Callable[[], Value], *, seconds: float) -> Value:
    """The answer, if it comes in time. Raises NovitaError."""
    future = _pool.submit(_run, read)
    try:
        return future.result(timeout=seconds)
    except NoAnswer:
        future.cancel()
        raise Unavailable(f"Novita did not answer within {seconds:g} s", reason="SLOW") from None


def _run(read: Callable[[], Value]) -> Value:
    try:
        return read()
    finally:
        # Pace, breaker and a template's row live in the database; this thread's connection ends with the read.
        connections.close_all()
