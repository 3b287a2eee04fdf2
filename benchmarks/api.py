"""What the API costs beside a bare Django view, on the product's own web server and over real sockets."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from django.conf import settings
from django.db import connection, reset_queries
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks.load import Call, Measured, measure
from benchmarks.table import Row
from instances import operations
from instances.events import Actor
from instances.models import Instance
from novita_manager.embedded.broker import server_binary, server_command, socket_path
from novita_manager.embedded.children import end_group, spawn
from novita_manager.embedded.ports import any_free
from novita_manager.embedded.programs import Shape, web
from novita_manager.embedded.readiness import answers_http, wait_until
from novita_manager.models import ApiKey

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent
ROUNDS, SECONDS = 7, 1.0
MOST_QUERIES = 5
NOT_MODIFIED = 304
# Of the bare view's rate.
PROMISED = {"list of 100": 0.25, "list of 100, not modified": 0.5, "last-used": 0.5}


def api(folder: Path) -> list[Row]:
    """On the fleet that is in the database already."""
    _, key = ApiKey.objects.issue(name="bench", scopes=["admin"])
    one = _managed_one()
    calls = _calls(key, one)
    with _server(folder) as port:
        _settle(calls, port)
        measured = _measured(calls, port)
    rows = [_row(call, measured[call.what], measured["a bare view"], _queries(call)) for call in calls]
    used = Instance.objects.get(pk=one.pk).last_used_at
    kept = used is not None and abs((timezone.now() - used).total_seconds()) < ROUNDS * len(calls) * SECONDS * 2
    return [*rows, Row(what="  the last use told is the one stored", figure="yes" if kept else "no", ok=kept)]


def _managed_one() -> Instance:
    instance = Instance.objects.filter(managed=False).order_by("pk")[0]
    actor = Actor(kind="command", name="bench")
    return operations.adopt(instance.pk, name="bench-one", settings={}, actor=actor, reason="to measure", now=timezone.now())


def _calls(key: str, one: Instance) -> list[Call]:
    by_key = {"Authorization": f"Bearer {key}"}
    listed, shown = "/api/v1/instances?limit=100", f"/api/v1/instances/{one.pk}"
    return [
        Call(what="a bare view", method="GET", path="/bare", status=200),
        Call(what="list of 100", method="GET", path=listed, status=200, headers=by_key),
        Call(
            what="list of 100, not modified",
            method="GET",
            path=listed,
            status=NOT_MODIFIED,
            headers=by_key,
        ),
        Call(what="one instance", method="GET", path=shown, status=200, headers=by_key),
        Call(
            what="one instance, not modified",
            method="GET",
            path=shown,
            status=NOT_MODIFIED,
            headers=by_key,
        ),
        Call(what="last-used", method="PUT", path=f"{shown}/last-used", status=200, headers=by_key, body=b"{}"),
    ]


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    """The product's own web server and broker, as `make run` starts them."""
    port, apart = any_free(HOST), folder / "api"
    apart.mkdir()
    with (apart / "web.log").open("ab") as log:
        binary = server_binary()
        redis_url, processes = "", []
        if binary:
            address = socket_path(apart)
            redis_url = f"unix://{address}"
            processes.append(
                spawn(server_command(binary, socket=address, data=apart), environment={}, folder=ROOT, output=log)
            )
        shape = Shape(manage=ROOT / "manage.py", account=apart, host=HOST, port=port, log_level="INFO", redis_url=redis_url)
        program = web(shape)
        given = {
            **program.environment,
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "LOG_LEVEL": "INFO",
            "REDIS_URL": redis_url,
            "RATE_LIMIT_READ": "1000000/m",
            "RATE_LIMIT_WRITE": "1000000/m",
            "NOVITA_API_BASE_URL": str(settings.NOVITA_API_BASE_URL),
        }
        processes.append(spawn(program.command, environment=given, folder=ROOT, output=log))
        try:
            if not wait_until(lambda: answers_http(HOST, port, "/health/live"), seconds=60):
                raise RuntimeError(f"the web server does not answer: {(apart / 'web.log').read_text()[-2000:]}")
            yield port
        finally:
            for process in processes:
                end_group(process)
                process.wait()


def _settle(calls: Sequence[Call], port: int) -> None:
    """The first answers load modules and fill caches; none of that is measured."""
    for call in calls:
        measure(_with_tag(call, port), host=HOST, port=port, seconds=0.3)


def _measured(calls: Sequence[Call], port: int) -> dict[str, list[Measured]]:
    """Round by round, each beside the others, so that a busy moment of the machine hits all alike."""
    rounds: dict[str, list[Measured]] = {call.what: [] for call in calls}
    for _ in range(ROUNDS):
        for call in calls:
            rounds[call.what].append(measure(_with_tag(call, port), host=HOST, port=port, seconds=SECONDS))
    return rounds


def _with_tag(call: Call, port: int) -> Call:
    """Who asks whether it was modified names the tag that it has now."""
    if call.status != NOT_MODIFIED:
        return call
    connection = HTTPConnection(HOST, port, timeout=20)
    connection.request("GET", call.path, headers=call.headers)
    tag = connection.getresponse().headers["ETag"]
    connection.close()
    return replace(call, headers={**call.headers, "If-None-Match": tag})


def _queries(call: Call) -> int:
    """Statements of one answer that is made anew, since something was written meanwhile; counted in this process."""
    caller = Client(headers=call.headers)

    def ask() -> None:
        if call.method == "PUT":
            caller.put(call.path, data=call.body, content_type="application/json")
        else:
            caller.get(call.path)

    ask()
    ApiKey.objects.filter(name="bench").update(owner=call.what)
    ask()
    ApiKey.objects.filter(name="bench").update(owner="")
    caller.get("/api/v1/jobs")  # looks the key up again
    reset_queries()
    with CaptureQueriesContext(connection) as queries:
        ask()
    return sum(not query["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")) for query in queries)


def _row(call: Call, rounds: Sequence[Measured], bare: Sequence[Measured], queries: int) -> Row:
    """The share is the median of the rounds' own: a machine is not equally fast in all of them."""
    measured = Measured(
        per_second=median(one.per_second for one in rounds), seconds=[taken for one in rounds for taken in one.seconds]
    )
    share = median(one.per_second / beside.per_second for one, beside in zip(rounds, bare, strict=True))
    promised = PROMISED.get(call.what)
    few = not call.what.startswith("list") or queries <= MOST_QUERIES
    limit = f"≥ {promised:g} of the bare view" if promised else ""
    return Row(
        what=f"{call.method} {call.what}: {queries} queries",
        figure=(
            f"{measured.per_second:.0f}/s, p50 {measured.percentile(0.5) * 1000:.1f} ms, "
            f"p99 {measured.percentile(0.99) * 1000:.1f} ms"
        ),
        ratio=f"{share:.2f} of the bare view",
        limit=f"{limit}; ≤ {MOST_QUERIES} queries" if limit and call.what.startswith("list") else limit,
        ok=share >= (promised or 0) and few,
    )
