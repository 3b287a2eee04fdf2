"""A provider that answers metrics only, over a socket, as loaded as the test says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from instances.novita.client import Novita
from instances.novita.pace import Rank

GRAIN = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Percent per GPU and cores busy, with samples up to `lag` seconds ago; `status` other than 200 is a failure."""

    gpus: tuple[float, ...] = (0.0,)
    cpu_cores: float = 0.0
    lag: int = 60
    status: int = 200
    empty: bool = False


@dataclass(slots=True, kw_only=True)
class MetricsServer:
    """`loads` by Novita id, what is not named is idle; `asked` in the order of asking."""

    loads: dict[str, Load] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    now: datetime
    url: str = ""

    def client(self) -> Novita:
        """The real client, without its pace; its clock is the test's."""
        return Novita(
            api_key="sk_test",
            base_url=self.url,
            retry_attempts=1,
            pace=Unhurried(),
            clock=lambda: self.now.timestamp(),
        )


class Unhurried:
    def take(self, rank: Rank) -> float:
        return 0.0

    def slow_down(self, until: datetime) -> None:
        pass


@contextmanager
def metrics_server(now: datetime) -> Iterator[MetricsServer]:
    scene = MetricsServer(now=now)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            novita_id = query["instanceId"][0]
            scene.asked.append(novita_id)
            load = scene.loads.get(novita_id, Load())
            body = json.dumps(_answer(load, int(query["startTime"][0]), int(query["endTime"][0]))).encode()
            self.send_response(load.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    scene.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield scene
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _answer(load: Load, start: int, end: int) -> dict[str, Any]:
    if load.empty:
        return {"cpuUtilization": [], "gpuUtilization": {"avg": [], "gpuIds": []}}
    times = range(start, end - load.lag + 1, GRAIN)

    def series(value: float) -> list[dict[str, Any]]:
        return [{"timestamp": str(at), "value": value} for at in times]

    average = sum(load.gpus) / len(load.gpus)
    return {
        "cpuUtilization": series(load.cpu_cores * 100),
        "gpuUtilization": {
            "avg": series(average),
            "gpuIds": [{"gpuId": str(index), "items": series(value)} for index, value in enumerate(load.gpus)],
        },
    }
