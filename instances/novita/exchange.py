"""One HTTP exchange: send, read the answer within a deadline and a size, or say what may have happened."""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy

import requests
from requests import exceptions as failures
from requests.auth import AuthBase
from urllib3 import exceptions as low_failures

from instances.novita.deadline import DeadlineAdapter, deadline
from instances.novita.errors import NovitaError, Unavailable, Unknown

_CHUNK = 64 * 1024
_BEFORE_SENDING = (
    failures.InvalidURL,
    failures.MissingSchema,
    failures.InvalidSchema,
    failures.InvalidHeader,
    failures.InvalidJSONError,
    low_failures.LocationValueError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status, headers (names in lower case) and body of an HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds to connect, for one silence, and for the whole exchange; and the largest body in bytes."""

    connect: float
    silence: float
    total: float
    body_bytes: int


class Bearer(AuthBase):
    """Puts the key into the request, or with '' nothing; either way .netrc has no say."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._api_key:
            request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


class _TooLarge(Exception):
    pass


def new_session(pool_size: int) -> requests.Session:
    """A session with pooled connections that keeps no cookies, so that threads share nothing but the pool."""
    session = requests.Session()
    adapter = DeadlineAdapter(pool_size)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def exchange(
    session: requests.Session,
    request: requests.Request,
    limits: Limits,
    *,
    is_write: bool = False,
) -> Answer:
    """Send and read the whole answer; raises Unavailable or Unknown, without any address in their text."""
    try:
        with deadline(limits.total), _send(session, request, limits) as response:
            body = b"".join(_chunks(response, limits.body_bytes))
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(status=response.status_code, headers=headers, body=body)
    except _TooLarge:
        failure = _too_large(limits.body_bytes)
    except (failures.RequestException, low_failures.HTTPError, OSError) as error:
        failure = failure_of(error, is_write=is_write)
    # Raised out here, so that the library's exception, which carries the request, is no part of it.
    raise failure


def read_tail(
    session: requests.Session, request: requests.Request, limits: Limits, tail_bytes: int
) -> tuple[int, bytes, bool]:
    """Status, the last `tail_bytes` of what came in time, and whether that is all there is.

    A log stream may never end: once something came, the end of the time or of the allowed size is no error.
    """
    tail, total, status = b"", 0, 0
    try:
        with deadline(limits.total), _send(session, request, limits) as response:
            status = response.status_code
            # As it comes, not in full chunks: the deadline would lose what a chunk had gathered so far.
            for chunk in _pieces(response):
                total += len(chunk)
                tail = (tail + chunk)[-tail_bytes:]
                if total > limits.body_bytes:
                    return status, tail, False
        return status, tail, total <= tail_bytes
    except (failures.RequestException, low_failures.HTTPError, OSError) as error:
        if status:
            return status, tail, False
        failure = failure_of(error, is_write=False)
    raise failure


def failure_of(error: Exception, *, is_write: bool) -> NovitaError:
    """Our error for one of requests or urllib3. Its text names no address and holds nothing secret."""
    if isinstance(error, _BEFORE_SENDING):
        return Unavailable("the request could not be made", reason="NOT_SENT")
    if isinstance(error, failures.ConnectTimeout):
        return Unavailable("connecting took too long", reason="CONNECT_TIMEOUT")
    if isinstance(error, failures.ProxyError):
        return Unavailable("the proxy does not connect", reason="PROXY_FAILED")
    if isinstance(error, failures.ReadTimeout) or _cause(error, low_failures.ReadTimeoutError):
        return Unknown("no answer in time", reason="READ_TIMEOUT")
    if isinstance(error, failures.SSLError):
        return _tls_failure(error)
    if _cause(error, low_failures.NameResolutionError):
        return Unavailable("the host's name has no address", reason="NAME_RESOLUTION")
    if _cause(error, low_failures.NewConnectionError):
        return Unavailable("the connection was refused", reason="CONNECTION_REFUSED")
    if isinstance(error, failures.ContentDecodingError):
        return unreadable(is_write=is_write)
    return Unknown("the connection broke before the answer was complete", reason="CONNECTION_RESET")


def unreadable(*, is_write: bool, status: int | None = None, request_id: str = "") -> NovitaError:
    """For a success nobody can read: a write may well have happened."""
    kind = Unknown if is_write else Unavailable
    text = "the answer cannot be read"
    return kind(text, reason="UNREADABLE_BODY", status=status, request_id=request_id)


def _too_large(limit: int) -> NovitaError:
    return Unknown(f"the answer is larger than {limit} bytes", reason="BODY_TOO_LARGE")


def _send(session: requests.Session, request: requests.Request, limits: Limits) -> requests.Response:
    prepared = session.prepare_request(request)
    settings = session.merge_environment_settings(prepared.url or "", {}, True, None, None)
    timeout = (min(limits.connect, limits.total), min(limits.silence, limits.total))
    return session.send(prepared, timeout=timeout, allow_redirects=False, **settings)


def _chunks(response: requests.Response, limit: int) -> Iterator[bytes]:
    size = 0
    for chunk in response.iter_content(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise _TooLarge
        yield chunk


def _pieces(response: requests.Response) -> Iterator[bytes]:
    while piece := response.raw.read1(_CHUNK, decode_content=True):
        yield piece


def _tls_failure(error: failures.SSLError) -> NovitaError:
    certificate = _cause(error, ssl.SSLCertVerificationError)
    handshake = isinstance(certificate, ssl.SSLError) or "WRONG_VERSION_NUMBER" in str(error)
    if handshake:
        return Unavailable("no secure connection: the certificate or the protocol is wrong", reason="TLS_FAILED")
    return Unknown("the secure connection broke", reason="TLS_FAILED")


def _cause(error: object, kind: type[Exception]) -> BaseException | None:
    """The exception of that kind among this one and those it wraps, in args, `reason` or as its cause."""
    pending: list[object] = [error]
    for _ in range(20):
        if not pending:
            return None
        current = pending.pop()
        if isinstance(current, kind):
            return current
        if isinstance(current, BaseException):
            pending += [*current.args, getattr(current, "reason", None), current.__cause__]
    return None
