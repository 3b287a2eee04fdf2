"""A receiver of webhooks on this machine: it keeps what it gets and answers what a test says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Receiver:
    """`answer` is asked for the status and the headers of each reply; what it refuses is kept too, in `refused`."""

    url: str
    answer: Callable[[Got], tuple[int, dict[str, str]]] = lambda _: (204, {})
    got: list[Got] = field(default_factory=list)
    refused: list[Got] = field(default_factory=list)

    def says(self, status: int, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = lambda _: (status, named)

    @property
    def types(self) -> list[str]:
        return [one.json["type"] for one in self.got]


def verified(got: Got, secret: str) -> Any:
    """Its body, once the library of Standard Webhooks has verified it."""
    return Webhook(secret).verify(got.body, got.headers)


class _Server(ThreadingHTTPServer):
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        got = Got(path=self.path, headers=dict(self.headers.items()), body=self.rfile.read(length))
        receiver = self.server.receiver
        status, headers = receiver.answer(got)
        (receiver.got if 200 <= status < 300 else receiver.refused).append(got)
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hooks")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server.receiver
    finally:
        server.shutdown()
        server.server_close()
