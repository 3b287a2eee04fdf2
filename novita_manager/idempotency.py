"""Requests that may be sent again: a POST with an Idempotency-Key is carried out once and answered the same each time.

The record is claimed before the request is carried out and its reply is stored in the transaction of the effect. So a reply
is there exactly if the effect is; a claim whose process died is taken over after a minute. Refusals are not kept. A pass or
a sync on demand is many transactions: its reply is stored after them, and a repeat of one that died looks once more.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from instances.api.creation import refused_field
from instances.api.fields import has_control_characters
from instances.api.problems import Problem
from instances.failpoints import reach
from novita_manager.models import IdempotencyRecord, record_owner

KEPT = timedelta(hours=24)
_ABANDONED = timedelta(minutes=1)
_LONGEST_KEY = 255
_KEPT_HEADERS = ("Location",)


class Replayed(APIView):
    """Mixed into every view of the API."""

    _record: IdempotencyRecord | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        key = request.META.get("HTTP_IDEMPOTENCY_KEY") if request.method == "POST" else None
        if key is not None:
            handler = self.post  # type: ignore[attr-defined]  # the action that a viewset, or the class, has under the method
            vars(self)["post"] = lambda *given, **named: self._once(request, key, lambda: handler(*given, **named))

    def commit(self, act: Callable[[], Response]) -> Response:
        """Carry the change out and store its reply, both or neither."""
        if self._record is None:
            return act()
        with transaction.atomic():
            response = act()
            self._store(self._record, response)
        reach("reply.after_commit")
        return response

    def _once(self, request: Request, key: str, handle: Callable[[], Response]) -> Response:
        if not 1 <= len(key) <= _LONGEST_KEY or not key.isascii() or has_control_characters(key):
            raise refused_field("Idempotency-Key", "invalid", "write 1 to 255 printable ASCII characters")
        digest = _hash_of(request)
        record, reply = self._claim(request, key, digest)
        if reply is not None:
            return reply
        self._record = record
        done = False
        try:
            response = handle()
            done = response.status_code < 400
            if done:
                self._store(record, response)
            return response
        finally:
            if not done:
                IdempotencyRecord.objects.filter(pk=record.pk, finished_at=None, started_at=record.started_at).delete()

    def _claim(self, request: Request, key: str, digest: str) -> tuple[IdempotencyRecord, Response | None]:
        """Our record with None, or the earlier one with its reply. Raises Problem for another body or one in flight."""
        now, whose = timezone.now(), record_owner(request.auth)
        IdempotencyRecord.objects.filter(started_at__lt=now - KEPT).delete()
        try:
            with transaction.atomic():
                fresh = IdempotencyRecord(**whose, key=key, request_hash=digest, started_at=now)
                fresh.save(force_insert=True)
                return fresh, None
        except IntegrityError:
            known = IdempotencyRecord.objects.filter(**whose, key=key).first()
        if known is None:
            raise _in_flight()
        if known.request_hash != digest:
            raise Problem("this Idempotency-Key was used with another request", code="idempotency_mismatch", status=422)
        if known.finished_at is not None and known.reply:
            return known, _reply(known.reply)
        abandoned = IdempotencyRecord.objects.filter(
            pk=known.pk, finished_at=None, started_at=known.started_at, started_at__lt=now - _ABANDONED
        )
        if not abandoned.update(started_at=now):
            raise _in_flight()
        known.started_at = now
        return known, None

    def _store(self, record: IdempotencyRecord, response: Response) -> None:
        """Keep the reply. Raises Problem where another request took the record over meanwhile."""
        if record.finished_at is not None:
            return
        record.finished_at = timezone.now()
        headers = {name: response[name] for name in _KEPT_HEADERS if response.has_header(name)}
        record.reply = {"status": response.status_code, "headers": headers, "body": response.data}
        ours = IdempotencyRecord.objects.filter(pk=record.pk, finished_at=None, started_at=record.started_at)
        if not ours.update(finished_at=record.finished_at, reply=record.reply):
            raise _in_flight()


def _hash_of(request: Request) -> str:
    """Of method, address and body as it was parsed: spaces and the order of names do not matter."""
    text = f"{request.method} {request.get_full_path()} {_canonical(request.data)}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{name!r}:{_canonical(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    return repr(value)


def _in_flight() -> Problem:
    return Problem("a request with this Idempotency-Key is being carried out", code="in_flight", status=409, retry_after=1)


def _reply(kept: dict[str, Any]) -> Response:
    headers = {**kept["headers"], "Idempotent-Replayed": "true"}
    return Response(kept["body"], status=kept["status"], headers=headers)
