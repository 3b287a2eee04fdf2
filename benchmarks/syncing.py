"""A full sync of 100, 1,000 and 10,000 instances at 50 ms a call: the first, and one that finds everything unchanged."""

import gc
import resource
import time
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection, reset_queries
from django.test.utils import CaptureQueriesContext

from benchmarks.provider import control, simulator, timed
from benchmarks.table import Row
from instances import provider
from instances.models import Instance, ProviderAccount
from sync.listing import run_list
from sync.models import SyncRun

SIZES = (100, 1_000, 10_000)
LATENCY_SECONDS = 0.05
CONCURRENCY = 1  # pages are read one after the other: the next may depend on the one before
FACTOR = 1.5
CONSTANT_SECONDS = 2.0  # to compare, to write what changed, and for what the simulator itself takes
ROUNDS = 5
FLAT_MEGABYTES = 20.0


def syncing() -> list[Row]:
    return [row for size in SIZES for row in _size(size)]


def _size(size: int) -> list[Row]:
    with simulator(size) as url:
        settings.NOVITA_API_BASE_URL = url
        provider.forget_client()
        call_command("flush", interactive=False, verbosity=0)
        control(url, "faults", {"faults": [{"call": "list", "kind": "latency", "seconds": LATENCY_SECONDS}]})
        client = provider.novita()
        first, _ = timed(lambda: run_list(client, trigger="person"))
        found = Instance.objects.count()
        run_list(client, trigger="poll")
        reset_queries()
        with CaptureQueriesContext(connection) as queries:
            run_list(client, trigger="poll")
        writes = _writes([query["sql"] for query in queries.captured_queries])
        before = _megabytes()
        used = time.process_time()
        seconds = min(timed(lambda: run_list(client, trigger="poll"))[0] for _ in range(ROUNDS))
        used = (time.process_time() - used) / ROUNDS
        grown = _megabytes() - before
        return [*_times(size, first, seconds, used, found), *_unchanged(size, writes, grown)]


def _times(size: int, first: float, seconds: float, used: float, found: int) -> list[Row]:
    pages = SyncRun.objects.latest("id").pages
    floor = pages * LATENCY_SECONDS / CONCURRENCY
    limit = FACTOR * floor + CONSTANT_SECONDS
    return [
        Row(
            what=f"first sync of {size:,} instances at {LATENCY_SECONDS * 1000:.0f} ms a call",
            figure=f"{first:.2f} s",
            ratio=f"{(first - floor) / size * 1000:.2f} ms each beside the calls",
            limit="all found",
            ok=found == size,
        ),
        Row(
            what=f"  a full sync of them, nothing changed ({pages} pages)",
            figure=f"{seconds:.2f} s",
            ratio=f"{seconds / floor:.2f} of pages by latency; {used:.2f} s of processor",
            limit=f"≤ {FACTOR} x pages x latency + {CONSTANT_SECONDS:g} s = {limit:.2f} s",
            ok=seconds <= limit,
        ),
    ]


def _unchanged(size: int, writes: int, grown: float) -> list[Row]:
    believed = ProviderAccount.objects.get().complete_list_at is not None
    return [
        Row(what="  instance and machine rows written in it", figure=str(writes), limit="0", ok=writes == 0 and believed),
        Row(
            what=f"  memory grown over {ROUNDS} of them",
            figure=f"{grown:.1f} MB",
            limit=f"≤ {FLAT_MEGABYTES:g} MB",
            ok=grown <= FLAT_MEGABYTES,
        ),
    ]


def _writes(statements: list[str]) -> int:
    beginnings = [f'{verb} "instances_{table}"' for verb in ("UPDATE", "INSERT INTO") for table in ("instance", "machine")]
    return sum(sql.startswith(tuple(beginnings)) for sql in statements)


def _megabytes() -> float:
    """What this process holds now; where the system does not tell, the most it ever held."""
    gc.collect()
    told = Path("/proc/self/statm")
    if told.exists():
        return int(told.read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
