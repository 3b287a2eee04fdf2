"""One POST to a judged address: one connection, no redirect, no proxy, nothing read but the head of the answer.

All of it but the look-up of the name happens within a total time-out.
"""

import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from instances.webhooks.addresses import Destination

SECONDS = 15.0
_LONGEST_HEAD = 16_384
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")
_GONE, _NO_CONTENT_YET = 410, 200
_UNWELL = (408, 425, 429)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one attempt: a status, or `error` alone where none came. `retry_after` is what the receiver asked for.

    `ours`: nothing was sent, for a reason that says nothing of the receiver.
    """

    status: int | None = None
    error: str = ""
    retry_after: timedelta | None = None
    milliseconds: int = 0
    ours: bool = False

    @property
    def accepted(self) -> bool:
        return not self.error

    @property
    def gone(self) -> bool:
        return self.status == _GONE

    @property
    def unwell(self) -> bool:
        """Whether it speaks of the receiver as a whole rather than of this one delivery."""
        return not self.ours and (self.status is None or self.status >= 500 or self.status in _UNWELL)


def post(place: Destination, body: bytes, headers: Mapping[str, str], *, now: datetime, seconds: float = SECONDS) -> Answer:
    """Never raises for what the other side does."""
    began = time.monotonic()
    end = began + seconds
    try:
        with _connect(place, end) as connection:
            connection.settimeout(_left(end))
            connection.sendall(_request(place, body, headers))
            status, fields = _head(connection, end)
    except TimeoutError:
        return Answer(error=f"no answer within {seconds:g} s", milliseconds=_since(began))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(error=_reason(error), milliseconds=_since(began))
    return Answer(
        status=status,
        error=_refusal(status),
        retry_after=retry_after(fields.get("Retry-After", ""), now),
        milliseconds=_since(began),
    )


def retry_after(text: str, now: datetime) -> timedelta | None:
    """Of seconds or an HTTP date; None for anything else or what is past."""
    if text.isascii() and text.strip().isdigit() and len(text) < 10:
        return timedelta(seconds=int(text))
    try:
        at = parsedate_to_datetime(text)
        wait = at - now
    except (ValueError, TypeError):
        return None
    return wait if wait > timedelta(0) else None


def _refusal(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"HTTP {status}: redirects are not followed, give the address it points to"
    return f"HTTP {status}"


def _connect(place: Destination, end: float) -> socket.socket:
    plain = socket.create_connection((place.address, place.url.port), timeout=_left(end))
    if place.url.scheme != "https":
        return plain
    try:
        plain.settimeout(_left(end))
        return _tls().wrap_socket(plain, server_hostname=place.url.host)
    except BaseException:
        plain.close()
        raise


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The machine's authorities, and those that come with the packages where it has none."""
    context = ssl.create_default_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


def _request(place: Destination, body: bytes, headers: Mapping[str, str]) -> bytes:
    fields = {
        "Host": place.url.authority,
        "User-Agent": "novita-manager",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    lines = [f"POST {place.url.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def _head(connection: socket.socket, end: float) -> tuple[int, http.client.HTTPMessage]:
    """Status and headers; interim answers are passed over."""
    data = b""
    while True:
        head, found, rest = data.partition(b"\r\n\r\n")
        if found:
            line = _STATUS_LINE.match(head + found)
            if line is None:
                raise ValueError("answers something that is not HTTP")
            if int(line[1]) >= _NO_CONTENT_YET:
                return int(line[1]), http.client.parse_headers(io.BytesIO(head[line.end() :] + found))
            data = rest
            continue
        if len(data) > _LONGEST_HEAD:
            raise ValueError("answers with headers that never end")
        connection.settimeout(_left(end))
        piece = connection.recv(4096)
        if not piece:
            raise ValueError("closes the connection without an answer" if not data else "answers something that is not HTTP")
        data += piece


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"[:200]
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text[:200] or error.__class__.__name__
