"""A small load generator over keep-alive sockets: it must cost much less than what it measures."""

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

CONNECTIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as it goes over the wire, and the status each answer must have."""

    what: str
    method: str
    path: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def wire(self, host: str) -> bytes:
        headers = {"Host": host, **self.headers}
        if self.method in ("POST", "PUT"):
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode() + self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Of one call: answers per second, and seconds each answer took."""

    per_second: float
    seconds: Sequence[float]

    def percentile(self, share: float) -> float:
        ranked = sorted(self.seconds)
        return ranked[min(len(ranked) - 1, int(len(ranked) * share))]


def measure(call: Call, *, host: str, port: int, seconds: float) -> Measured:
    """Send it over a few connections for that long. Raises RuntimeError for any other status."""
    wire = call.wire(f"{host}:{port}")
    taken: list[float] = []
    wrong: list[str] = []
    began = time.perf_counter()
    until = began + seconds

    def drive() -> None:
        with socket.create_connection((host, port), timeout=20) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (sent := time.perf_counter()) < until and not wrong:
                connection.sendall(wire)
                status, head = _answer(connection)
                taken.append(time.perf_counter() - sent)
                if status != call.status:
                    wrong.append(head)

    threads = [threading.Thread(target=drive) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong or not taken:
        raise RuntimeError(f"{call.method} {call.path}: {wrong[:1]}")
    return Measured(per_second=len(taken) / (time.perf_counter() - began), seconds=taken)


def _answer(connection: socket.socket) -> tuple[int, str]:
    """The status of one answer, read to its end, and its head."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _piece(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    left = _length(text) - len(body)
    while left > 0:
        left -= len(_piece(connection))
    return int(text.split(" ", 2)[1]), text


def _piece(connection: socket.socket) -> bytes:
    piece = connection.recv(1 << 18)
    if not piece:
        raise ConnectionError("the server closed the connection")
    return piece


def _length(head: str) -> int:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0
