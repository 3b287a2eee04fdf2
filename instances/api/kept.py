"""Answers that are given again as they are, for as long as nothing at all was written to the database, a second at most.

The second bounds what moves with the clock alone: the cost so far. A tag stays the same while only the clock moves what it
stands for, so it is a weak one, and holds until something is written.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from instances.data_version import data_version

_LONGEST_SECONDS = 1.0
_MOST_ANSWERS = 64
_LARGEST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Made:
    """A body and what its tag stands for: all that is shown but what the clock alone moves."""

    body: bytes
    told: bytes


@dataclass(frozen=True, slots=True)
class _Answer:
    version: Any
    made_at: float
    body: bytes
    tag: str


class _Kept:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, _Answer] = OrderedDict()

    def get(self, address: str, version: Any) -> _Answer | None:
        """The answer that was made at this version of the data."""
        with self._lock:
            known = self._answers.get(address)
            return known if known is not None and version is not None and known.version == version else None

    def put(self, address: str, answer: _Answer) -> None:
        if answer.version is None or len(answer.body) > _LARGEST_BYTES:
            return
        with self._lock:
            self._answers[address] = answer
            self._answers.move_to_end(address)
            if len(self._answers) > _MOST_ANSWERS:
                self._answers.popitem(last=False)


_kept = _Kept()
_making = [threading.Lock() for _ in range(16)]


def kept_or_made(request: Request, make: Callable[[Any], Made]) -> HttpResponse:
    """The kept answer at this address, else the one that `make` gives, which is told the data version.

    Only for what every caller is shown alike.
    """
    address, version = request.build_absolute_uri(), data_version()
    answer = _known(request, address, version)
    if answer is not None:
        return answer
    with _making[hash(address) % len(_making)]:  # of many who ask at once, one makes it
        answer = _known(request, address, version)
        if answer is not None:
            return answer
        began, made = time.monotonic(), make(version)
        digest = hashlib.blake2b(made.told, digest_size=16).hexdigest()
        fresh = _Answer(version, began, made.body, f'W/"{digest}"')
        _kept.put(address, fresh)
    return _response(fresh)


def _known(request: Request, address: str, version: Any) -> HttpResponse | None:
    known = _kept.get(address, version)
    if known is None:
        return None
    if known.tag == request.META.get("HTTP_IF_NONE_MATCH"):
        return HttpResponse(status=304, headers={"ETag": known.tag})
    return _response(known) if time.monotonic() - known.made_at < _LONGEST_SECONDS else None


def _response(answer: _Answer) -> HttpResponse:
    return HttpResponse(answer.body, content_type="application/json", headers={"ETag": answer.tag})
