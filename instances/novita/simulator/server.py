"""The HTTP server: threads, keep-alive, and a stop that leaves nothing behind."""

import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from select import select
from threading import Lock, Thread
from time import monotonic, time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from instances.novita.simulator.application import Application, Reply, Request
from instances.novita.simulator.fleet import seed_fleet
from instances.novita.simulator.listeners import Listeners
from instances.novita.simulator.store import Store
from instances.novita.simulator.world import World

TICK_SECONDS = 0.1
LARGEST_BODY = 4_000_000
SSH = ("ssh", 22)


class SimulatorServer:
    """A Novita inside this process. The same `state` file continues where it was; None keeps it in memory.

    `speed`, `seed`, `balance_usd` and `fleet` (`empty`, `demo` or a number) count at the first start only, but a
    `speed` that is given always does.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        state: Path | None = None,
        speed: float | None = None,
        seed: int = 1,
        fleet: str = "empty",
        api_key: str | None = None,
        page_base: int = 1,
        balance_usd: float = 250.0,
    ) -> None:
        now = time()
        self.store = Store(state)
        self.world = World(self.store, seed=seed, balance_usd=balance_usd, now=now, speed=speed or 1.0)
        if speed is not None and self.world.speed != speed:
            self.world.change_speed(speed, now)
        seed_fleet(self.world, fleet, now)
        self.world.flush()
        self._address = (host, port)
        self._host = "127.0.0.1" if host in ("", "0.0.0.0") else host  # noqa: S104 - compared, not bound
        self._key_and_base = (api_key, page_base)
        self._server: _Server | None = None
        self._threads: list[Thread] = []
        self.url = ""

    def start(self) -> None:
        """Listens when it returns; raises OSError when the port is taken."""
        server = _Server(self._address, _Handler)
        listeners = Listeners(self._host)
        listeners.set_ports(SSH[0], {SSH[1]}, is_up=True)
        api_key, page_base = self._key_and_base
        app = Application(self.world, listeners, api_key=api_key, page_base=page_base)
        self.url = f"http://{self._host}:{server.server_address[1]}"
        app.addresses = app.addresses.__class__(
            base_url=self.url, host=self._host, ssh_port=listeners.port(*SSH) or 0, tcp_port=listeners.port
        )
        server.app = app
        app.tick()
        self._server = server
        self._threads = [
            Thread(target=server.serve_forever, args=(0.05,), name="simulator-http", daemon=True),
            Thread(target=_tick, args=(app,), name="simulator-clock", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends every connection, also those a fault holds open, and closes the state file."""
        server, self._server = self._server, None
        if server is None:
            return
        server.app.stopping.set()
        server.shutdown()
        server.server_close()
        server.close_connections()
        for thread in self._threads:
            thread.join(timeout=5)
        server.app.listeners.close()
        with self.world.lock:
            self.world.flush()
            self.store.close()


def _tick(app: Application) -> None:
    while not app.stopping.wait(TICK_SECONDS):
        app.tick()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    app: Application

    def __init__(self, *args: Any) -> None:
        self._connections: dict[socket.socket, Thread] = {}
        self._connections_lock = Lock()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._connections_lock:
            self._connections[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no error of ours; anything else is shown by the base class."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        with self._connections_lock:
            open_now = dict(self._connections)
        for connection in open_now:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        until = monotonic() + 5
        for thread in open_now.values():
            thread.join(timeout=max(0.0, until - monotonic()))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65_536
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Silent: `/_simulator/calls` is the log."""

    def _answer(self) -> None:
        said = self.headers.get("Content-Length") or "0"
        length = int(said) if said.isascii() and said.isdigit() else LARGEST_BODY + 1
        if length > LARGEST_BODY:
            self.close_connection = True
            self._send(Reply(status=413, body=b'{"code":413,"message":"body too large"}'))
            return
        url = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            body=self.rfile.read(length) if length else b"",
            content_type=self.headers.get("Content-Type") or "",
            authorization=self.headers.get("Authorization") or "",
            client=self.client_address[0],
        )
        reply = self.server.app.handle(request)
        if reply.hang:
            self._hang(reply.hang)
        elif reply.reset:
            self._reset()
        else:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _hang(self, seconds: float) -> None:
        """Says nothing until the time is over, the caller leaves or the simulator stops."""
        self.close_connection = True
        until = monotonic() + seconds
        while monotonic() < until and not self.server.app.stopping.wait(0.05):
            readable, _, _ = select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return

    def _reset(self) -> None:
        """Closing with nothing to linger for sends RST; detached first, so that nobody says goodbye politely."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())
