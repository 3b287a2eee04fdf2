"""Real TCP sockets for exposed tcp ports: bound while the instance runs, listening while its service is up.

A bound socket that does not listen refuses connections, as a container does whose service is not up yet.
"""

import selectors
import socket
from threading import Event, Lock, Thread

BANNER = b"simulated service\n"
Key = tuple[str, int]


class Listeners:
    """One thread accepts for all; each visitor gets a line and is let go."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._lock = Lock()
        self._sockets: dict[Key, socket.socket] = {}
        self._listening: set[Key] = set()
        self._selector = selectors.DefaultSelector()
        self._stopped = Event()
        self._thread = Thread(target=self._accept_all, name="simulated-tcp-ports", daemon=True)
        self._thread.start()

    def port(self, instance_id: str, port: int) -> int | None:
        """The outside port; None when nothing is bound."""
        bound = self._sockets.get((instance_id, port))
        return int(bound.getsockname()[1]) if bound else None

    def set_ports(self, instance_id: str, ports: set[int], *, is_up: bool) -> None:
        """Opens and closes until exactly `ports` are bound, listening or not; a silenced port keeps its number."""
        with self._lock:
            for key in [k for k in self._sockets if k[0] == instance_id]:
                if key[1] not in ports:
                    self._close(key)
                elif key in self._listening and not is_up:
                    number = self.port(*key) or 0
                    self._close(key)
                    self._bind(key, number)
            for port in ports:
                self._open((instance_id, port), is_up=is_up)

    def close(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=5)
        with self._lock:
            for key in list(self._sockets):
                self._close(key)
            self._selector.close()

    def _open(self, key: Key, *, is_up: bool) -> None:
        if key not in self._sockets:
            self._bind(key, 0)
        if is_up and key in self._sockets and key not in self._listening:
            self._sockets[key].listen(16)
            self._selector.register(self._sockets[key], selectors.EVENT_READ)
            self._listening.add(key)

    def _bind(self, key: Key, number: int) -> None:
        """Without a free port or descriptor the instance has no endpoint, which is what a caller then sees."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        try:
            bound.bind((self._host, number))
        except OSError:
            bound.close()
            return
        self._sockets[key] = bound

    def _close(self, key: Key) -> None:
        bound = self._sockets.pop(key)
        if key in self._listening:
            self._listening.discard(key)
            self._selector.unregister(bound)
        bound.close()

    def _accept_all(self) -> None:
        while not self._stopped.is_set():
            if not self._listening:
                self._stopped.wait(0.05)
                continue
            for found, _ in self._selector.select(timeout=0.1):
                _greet(found.fileobj)


def _greet(listener: object) -> None:
    """The socket may have been closed since it was selected."""
    if not isinstance(listener, socket.socket):
        return
    try:
        visitor, _ = listener.accept()
    except OSError:
        return
    with visitor:
        try:
            visitor.settimeout(1)
            visitor.sendall(BANNER)
        except OSError:
            return
