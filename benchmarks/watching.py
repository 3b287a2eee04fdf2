"""What it costs to watch 1,000 running instances, and what the API costs beside a view that does nothing."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from urllib.request import Request, urlopen

from django.conf import settings
from django.core.management import call_command
from django.db import connection, reset_queries
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks.table import Row
from instances import provider
from instances.models import Instance, Machine
from instances.novita.simulator.server import SimulatorServer
from novita_manager.models import ApiKey
from sync.listing import run_list
from sync.watch import in_motion, read_details_if_due

FLEET = 1000
LATENCY_SECONDS = 0.05
PAGES_ALLOWED = FLEET // 100 + 1


def watching(folder: Path) -> list[Row]:
    server = SimulatorServer(port=0, state=folder / "simulator.sqlite3", fleet=str(FLEET), speed=100)
    server.start()
    try:
        settings.NOVITA_API_BASE_URL = server.url
        provider.forget_client()
        call_command("migrate", verbosity=0)
        return [*_sync(server.url), *_api()]
    finally:
        server.stop()


def _sync(url: str) -> list[Row]:
    client = provider.novita()
    first_seconds, _ = _timed(lambda: run_list(client, trigger="person"))
    while Machine.objects.filter(details_due=True).exists():
        read_details_if_due(timezone.now())
    run_list(client, trigger="person")
    _control(url, "faults", {"faults": [{"call": "*", "kind": "latency", "seconds": LATENCY_SECONDS}]})
    before = _calls(url)
    reset_queries()
    with CaptureQueriesContext(connection) as queries:
        seconds, _ = _timed(lambda: run_list(client, trigger="poll"))
    after = _calls(url)
    _control(url, "faults", {"faults": []})
    pages = after.get("list", 0) - before.get("list", 0)
    others = sum(after.values()) - sum(before.values()) - pages
    writes = sum(query["sql"].startswith('UPDATE "instances_machine"') for query in queries.captured_queries)
    floor = pages * LATENCY_SECONDS
    return [
        Row(what=f"first sync of {FLEET:,} instances nobody made here", figure=f"{first_seconds:.2f} s"),
        Row(
            what=f"a poll of {FLEET:,} running instances, nothing moves: list pages",
            figure=str(pages),
            limit=f"≤ {PAGES_ALLOWED}",
            ok=pages <= PAGES_ALLOWED,
        ),
        Row(what="  provider calls per instance in it", figure=str(others), limit="0", ok=others == 0),
        Row(what="  SQL statements in it", figure=str(len(queries)), limit="> 0", ok=len(queries) > 0),
        Row(what="  machine rows written in it", figure=str(writes), limit="0", ok=writes == 0),
        Row(
            what=f"  its time at {LATENCY_SECONDS * 1000:.0f} ms a call",
            figure=f"{seconds:.2f} s",
            ratio=f"{seconds / floor:.2f} of pages by latency",
        ),
        Row(what="  anything in motion afterwards", figure="yes" if in_motion() else "no", limit="no", ok=not in_motion()),
    ]


def _api() -> list[Row]:
    _, key = ApiKey.objects.issue(name="bench", scopes=["admin"])
    caller = Client(headers={"authorization": f"Bearer {key}"})
    one = Instance.objects.first()
    bare = _rate(lambda: caller.get("/health/live"))
    rows = [Row(what="GET /health/live, a view that does nothing", figure=f"{bare:.0f}/s", ratio="1.00")]
    for what, path in (
        ("list of 100", "/api/v1/instances?limit=100"),
        ("one instance", f"/api/v1/instances/{one.pk if one else ''}"),
    ):
        reset_queries()
        with CaptureQueriesContext(connection) as queries:
            answer = caller.get(path)
        counted = len(queries)  # the next request empties the log
        rate = _rate(lambda path=path: caller.get(path))  # type: ignore[misc]
        rows.append(
            Row(
                what=f"GET {what} out of {FLEET:,}: {counted} queries",
                figure=f"{rate:.0f}/s",
                ratio=f"{rate / bare:.2f} of the bare view",
                ok=answer.status_code == 200,
            )
        )
    return rows


def _timed(act: Callable[[], object]) -> tuple[float, object]:
    started = time.perf_counter()
    result = act()
    return time.perf_counter() - started, result


def _rate(act: Callable[[], object], *, rounds: int = 30) -> float:
    return 1 / median(_timed(act)[0] for _ in range(rounds))


def _calls(url: str) -> dict[str, int]:
    with urlopen(f"{url}/_simulator/calls", timeout=10) as answer:  # noqa: S310 - our own simulator on loopback
        counts: dict[str, int] = json.load(answer)["counts"]
    return counts


def _control(url: str, what: str, body: dict[str, object]) -> None:
    request = Request(f"{url}/_simulator/{what}", data=json.dumps(body).encode(), method="PUT")  # noqa: S310
    request.add_header("Content-Type", "application/json")
    with urlopen(request, timeout=10):  # noqa: S310 - our own simulator on loopback
        pass
