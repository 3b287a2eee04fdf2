"""Whether an endpoint answers: probes with a hard deadline, and the threads that make them. Knows no database.

A probe sends no secret, follows no redirect and reads no more than a status line.
"""

import re
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar
from urllib.parse import SplitResult, quote, urlsplit

TIMEOUT = 3.0  # seconds, for all of a probe but the look-up of the name, which cannot be interrupted
THREADS = 64
BACKLOG = 192  # probes under way or waiting
LONGEST_ROUND = TIMEOUT * (1 + BACKLOG / THREADS)
"""How long the last of a full backlog may take: a claim must last longer."""

_LONGEST_STATUS_LINE = 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r|\n)")
_PATH_CHARACTERS = "/?&=%:@!$'()*+,;~[]"

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What to ask: `type` is http or tcp. An empty `url` is a port whose address Novita has not told.

    `path` is looked up below the url's own path, "" is that path itself; `status` None takes every HTTP status below 500.
    """

    port: int
    type: str
    url: str
    path: str = ""
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    port: int
    ok: bool
    detail: str


def probe(target: Target, *, timeout: float = TIMEOUT) -> Result:
    """Ask once. Never raises for what the other side does."""
    if not target.url:
        return Result(port=target.port, ok=False, detail="Novita has told no address for it")
    end = time.monotonic() + timeout
    try:
        if target.type == "http":
            return _http(target, end)
        with _connect(_split(target.url), end):
            return Result(port=target.port, ok=True, detail="accepts connections")
    except TimeoutError:
        return Result(port=target.port, ok=False, detail=f"no answer within {timeout:g} s")
    except (OSError, ValueError) as error:
        return Result(port=target.port, ok=False, detail=_reason(error))


def _reason(error: OSError | ValueError) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text[:100] or error.__class__.__name__


def _split(url: str) -> SplitResult:
    """Its parts; "host:port" without a scheme is one of TCP. Raises ValueError without a host."""
    parts = urlsplit(url if "://" in url else f"tcp://{url}")
    if not parts.hostname:
        raise ValueError("its address has no host")
    return parts


def _connect(parts: SplitResult, end: float) -> socket.socket:
    """A connection to the first address that takes one before the deadline."""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    if port is None:
        raise ValueError("its address has no port")
    problem: OSError = OSError("its name has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(_left(end))
            connection.connect(address)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise problem


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _http(target: Target, end: float) -> Result:
    parts = _split(target.url)
    if parts.scheme not in ("http", "https", "tcp"):
        raise ValueError(f"its address is {parts.scheme}, not http")
    with _connect(parts, end) as plain, _secured(plain, parts, end) as connection:
        connection.settimeout(_left(end))
        connection.sendall(_request(target, parts))
        status = _status(connection, end)
    expected = status == target.status if target.status is not None else status < 500
    wanted = f", expected {target.status}" if target.status is not None and not expected else ""
    return Result(port=target.port, ok=expected, detail=f"answers HTTP {status}{wanted}")


def _secured(plain: socket.socket, parts: SplitResult, end: float) -> socket.socket:
    """The connection with TLS where the address asks for it.

    The certificate is not verified: the question is whether the port answers, nothing secret is sent, and a service with
    a certificate of its own making answers too.
    """
    if parts.scheme != "https":
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain.settimeout(_left(end))
    return context.wrap_socket(plain, server_hostname=parts.hostname)


def _request(target: Target, parts: SplitResult) -> bytes:
    own = parts.path + (f"?{parts.query}" if parts.query else "")
    named = f"{parts.path.rstrip('/')}/{target.path.removeprefix('/')}" if target.path else ""
    path = quote(named or own or "/", safe=_PATH_CHARACTERS)
    host = parts.netloc.rpartition("@")[2].encode("idna").decode()
    lines = (
        f"GET /{path.removeprefix('/')} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: novita-manager health check",
        "Accept: */*",
        "Connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode()


def _status(connection: socket.socket, end: float) -> int:
    """The status of the answer, from its first line alone."""
    line = b""
    while b"\n" not in line and len(line) < _LONGEST_STATUS_LINE:
        connection.settimeout(_left(end))
        piece = connection.recv(_LONGEST_STATUS_LINE - len(line))
        if not piece:
            break
        line += piece
    found = _STATUS_LINE.match(line)
    if found is None:
        raise ValueError("closes the connection without an answer" if not line else "answers something that is not HTTP")
    return int(found[1])


@dataclass(frozen=True, slots=True)
class Finished(Generic[Key]):
    """All results of one key, in the order of its targets, and how long they took in seconds since `submit`."""

    key: Key
    results: tuple[Result, ...]
    seconds: float


class _Round(Generic[Key]):
    """The probes of one key, until the last has answered."""

    def __init__(self, key: Key, count: int) -> None:
        self.key = key
        self.began = time.monotonic()
        self.results: dict[int, Result] = {}
        self._missing = count
        self._lock = threading.Lock()

    def note(self, place: int, result: Result) -> bool:
        """Whether this was the last."""
        with self._lock:
            self.results[place] = result
            self._missing -= 1
            return self._missing == 0


class ProbePool(Generic[Key]):
    """Threads that probe, and the results they leave. Submitting never blocks; `room` says how much more is sensible.

    The threads start with the first probe, so a process may fork before it.
    """

    def __init__(self, *, threads: int = THREADS, backlog: int = BACKLOG, timeout: float = TIMEOUT) -> None:
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="probe")
        self._finished: SimpleQueue[Finished[Key]] = SimpleQueue()
        self._backlog = backlog
        self._timeout = timeout
        self._open = 0
        self._lock = threading.Lock()

    @property
    def room(self) -> int:
        """How many probes more may be submitted now; below zero where one key had many targets."""
        return self._backlog - self._open

    @property
    def is_idle(self) -> bool:
        return self._open == 0

    def submit(self, key: Key, targets: Sequence[Target]) -> None:
        """Probe all targets of a key, at least one."""
        work = _Round(key, len(targets))
        with self._lock:
            self._open += len(targets)
        for place, target in enumerate(targets):
            self._executor.submit(self._probe, work, place, target)

    def _probe(self, work: _Round[Key], place: int, target: Target) -> None:
        try:
            result = probe(target, timeout=self._timeout)
        except Exception as error:  # noqa: BLE001 - outermost frame of a thread: the round must still end
            result = Result(port=target.port, ok=False, detail=f"could not be checked: {error.__class__.__name__}")
        if work.note(place, result):
            results = tuple(work.results[number] for number in sorted(work.results))
            self._finished.put(Finished(work.key, results, time.monotonic() - work.began))
        with self._lock:
            self._open -= 1

    def finished(self) -> list[Finished[Key]]:
        """The keys whose probes have all ended since the last call."""
        found = []
        while True:
            try:
                found.append(self._finished.get_nowait())
            except Empty:
                return found

    def close(self) -> None:
        """Drop what has not begun and let the threads end."""
        self._executor.shutdown(wait=False, cancel_futures=True)
