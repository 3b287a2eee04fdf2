"""What an HTTP answer of Novita means: JSON, or an error of the right class."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from instances.novita.coerce import Json, to_int, to_text
from instances.novita.errors import NovitaError, Unavailable, Unknown, classify
from instances.novita.exchange import Answer, unreadable

_SHORTEST_SECRET = 4
_LONGEST_RETRY_AFTER = 24 * 3600


def read_answer(answer: Answer, *, is_write: bool, request_id: str, now: datetime, secrets: Iterable[str] = ()) -> Json:
    """The JSON of a success (None for an empty body); raises NovitaError for everything else.

    An error inside a 200 is an error. `secrets` are blotted out of Novita's texts.
    """
    if 300 <= answer.status < 400:
        kind = Unknown if is_write else Unavailable
        text = "Novita answered with a redirect, which is not followed"
        raise kind(text, status=answer.status, reason="REDIRECT", request_id=request_id)
    raw, is_json = _parsed(answer.body)
    status = answer.status
    if 200 <= status < 300:
        if not is_json:
            raise unreadable(is_write=is_write, status=status, request_id=request_id)
        status = _status_inside(raw)
        if not status:
            return raw
    retry_at = retry_time(answer.headers.get("retry-after", ""), now)
    raise _error(raw, status, is_write, request_id, retry_at, tuple(secrets))


def retry_time(header: str, now: datetime) -> datetime | None:
    """The aware time of a Retry-After header (seconds or a date), at most a day from now; None if unreadable."""
    text = header.strip()
    if not text:
        return None
    latest = now + timedelta(seconds=_LONGEST_RETRY_AFTER)
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        return min(now + timedelta(seconds=min(float(text), _LONGEST_RETRY_AFTER)), latest)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(at if at.tzinfo else at.replace(tzinfo=UTC), now), latest)


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` with the secrets blotted out; too short ones would blot out half of every text."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text


def _parsed(body: bytes) -> tuple[Json, bool]:
    if not body.strip():
        return None, True
    try:
        return json.loads(body), True
    except (ValueError, RecursionError):
        return None, False


def _status_inside(raw: Json) -> int:
    """The status an error inside a 200 stands for, or 0 if there is none."""
    if not isinstance(raw, dict):
        return 0
    code = to_int(raw.get("code"))
    if code >= 400:
        return code if code < 600 else 400
    return 400 if raw.get("error") else 0


def _error(
    raw: Json, status: int, is_write: bool, request_id: str, retry_at: datetime | None, secrets: tuple[str, ...]
) -> NovitaError:
    reason, message, metadata = _said(raw)
    reason, message = redact(reason, secrets), redact(message, secrets)
    kind = classify(status, reason, message, is_write=is_write)
    return kind(
        message or reason or f"Novita answered {status} and nothing more",
        status=status,
        reason=reason,
        request_id=request_id,
        retry_at=retry_at,
        metadata={key: redact(value, secrets) for key, value in metadata.items()},
    )


def _said(raw: Json) -> tuple[str, str, dict[str, str]]:
    """Reason, message and metadata of an error body, in any of the forms seen."""
    if not isinstance(raw, dict):
        return "", "", {}
    inner = raw.get("error")
    nested = inner if isinstance(inner, dict) else {}
    reason = to_text(raw.get("reason")) or to_text(nested.get("reason")) or _word(nested.get("code"))
    message = to_text(raw.get("message")) or to_text(nested.get("message")) or to_text(inner)
    found = raw.get("metadata")
    metadata = {key: to_text(value) for key, value in found.items()} if isinstance(found, dict) else {}
    return reason, message or to_text(raw.get("title")), metadata


def _word(value: Json) -> str:
    """A code that is a name rather than a number."""
    text = to_text(value)
    return "" if text.isdecimal() else text
