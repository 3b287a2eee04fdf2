"""A real server on 127.0.0.1 that misbehaves in ways a mock cannot: silence, resets, drips, floods."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

Behaviour = Callable[[socket.socket, threading.Event], None]


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class FaultServer:
    """Answers each request by the next behaviour of `script`; the last one repeats."""

    def __init__(self, *script: Behaviour) -> None:
        self._script = list(script)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.connections = 0
        self.seen: list[Seen] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection.makefile("rb") as reader:
            while line := reader.readline():
                method, target, _ = line.decode().split(" ", 2)
                headers: dict[str, str] = {}
                while (header := reader.readline().decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = reader.read(int(headers.get("content-length", "0")))
                with self._lock:
                    self.seen.append(Seen(method, target, headers, body))
                    behaviour = self._script.pop(0) if len(self._script) > 1 else self._script[0]
                behaviour(connection, self._stopping)


@contextmanager
def fault_server(*script: Behaviour) -> Iterator[FaultServer]:
    server = FaultServer(*script)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def refused_url() -> str:
    """An address nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def answer(body: bytes, status: int = 200, *headers: str) -> Behaviour:
    def behave(connection: socket.socket, stopping: threading.Event) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)

    return behave


def hang(connection: socket.socket, stopping: threading.Event) -> None:
    stopping.wait(10)


def reset(connection: socket.socket, stopping: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # The reader made from this socket still holds it; closing for real is what sends the reset.
    socket.socket(fileno=connection.detach()).close()


def hang_up(connection: socket.socket, stopping: threading.Event) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def truncated(connection: socket.socket, stopping: threading.Event) -> None:
    connection.sendall(b'HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n{"id": "')
    connection.shutdown(socket.SHUT_RDWR)


def drip(start: bytes, piece: bytes, every: float = 0.03) -> Behaviour:
    """Sends `start` at once and then `piece` again and again, never silent long and never done."""

    def behave(connection: socket.socket, stopping: threading.Event) -> None:
        connection.sendall(start)
        while not stopping.wait(every):
            connection.sendall(piece)

    return behave


def flood(connection: socket.socket, stopping: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")
    while not stopping.is_set():
        connection.sendall(b" " * 65536)
