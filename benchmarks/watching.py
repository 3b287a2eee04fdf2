"""What it costs to watch 1,000 running instances; then what the API costs with this fleet."""

from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection, reset_queries
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks.api import api
from benchmarks.provider import calls, control, timed
from benchmarks.table import Row
from instances import provider
from instances.models import Machine
from instances.novita.simulator.server import SimulatorServer
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
        return [*_sync(server.url), *api(folder)]
    finally:
        server.stop()


def _sync(url: str) -> list[Row]:
    client = provider.novita()
    first_seconds, _ = timed(lambda: run_list(client, trigger="person"))
    while Machine.objects.filter(details_due=True).exists():
        read_details_if_due(timezone.now())
    run_list(client, trigger="person")
    control(url, "faults", {"faults": [{"call": "*", "kind": "latency", "seconds": LATENCY_SECONDS}]})
    before = calls(url)
    reset_queries()
    with CaptureQueriesContext(connection) as queries:
        seconds, _ = timed(lambda: run_list(client, trigger="poll"))
    after = calls(url)
    control(url, "faults", {"faults": []})
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
