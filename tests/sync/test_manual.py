"""A sync a person asks for: by command and by API, against a simulator over a socket."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from instances import provider
from instances.models import Instance, Machine, ProviderAccount
from instances.novita.simulator.server import SimulatorServer
from instances.periodic import claim
from sync.models import SyncRun
from sync.watch import poll_interval
from tests.factories import client_of, make_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def novita(settings: Any) -> Iterator[SimulatorServer]:
    server = SimulatorServer(port=0, state=None, fleet="7", speed=100)
    server.start()
    settings.NOVITA_API_BASE_URL = server.url
    provider.forget_client()
    yield server
    provider.forget_client()
    server.stop()


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("sync_instances", *arguments, stdout=out, stderr=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.usefixtures("novita")
def test_a_rehearsal_names_what_it_found_and_writes_nothing() -> None:
    status, shown = run("--dry-run", "--json")

    result = json.loads(shown)
    assert status == 0
    assert (result["seen"], result["counts"], result["dry_run"]) == (7, {"discover": 7}, True)
    assert not Instance.objects.exists()
    assert not SyncRun.objects.exists()
    assert not ProviderAccount.objects.exists()


@pytest.mark.usefixtures("novita")
def test_what_was_found_is_taken_over_once() -> None:
    first_status, first = run("--json")
    second_status, second = run("--json")

    assert (first_status, second_status) == (0, 0)
    assert json.loads(first)["counts"] == {"discover": 7}
    assert json.loads(second)["counts"] == {}
    assert Instance.objects.filter(managed=False, wanted="").count() == 7
    assert Machine.objects.filter(billed_since__isnull=False).count() == 7
    assert list(SyncRun.objects.values_list("trigger", "actor_kind")) == [("person", "command")] * 2


def test_a_provider_that_is_away_is_told_by_the_exit_status(settings: Any) -> None:
    settings.NOVITA_API_BASE_URL = "http://127.0.0.1:9"
    settings.NOVITA_RETRY_ATTEMPTS = 1
    provider.forget_client()

    status, shown = run()

    provider.forget_client()
    assert status == 1
    assert "Novita did not answer" in shown
    assert not Instance.objects.exists()


@pytest.mark.usefixtures("novita")
def test_two_syncs_at_once_are_refused(settings: Any) -> None:
    assert claim("poll", every=poll_interval(), lease=settings.JOB_LEASE, now=timezone.now()) is not None

    status, shown = run()

    assert status == 3
    assert "ask again" in shown


@pytest.mark.usefixtures("novita")
def test_the_api_answers_with_the_result_itself() -> None:
    _, key = make_key("operate")
    caller = client_of(key)

    rehearsal = caller.post("/api/v1/sync/runs", {"dry_run": True}, content_type="application/json")
    assert rehearsal.status_code == 200
    assert rehearsal.json()["counts"] == {"discover": 7}
    assert not Instance.objects.exists()

    done = caller.post("/api/v1/sync/runs", {}, content_type="application/json")
    assert done.json()["counts"] == {"discover": 7}
    listed = caller.get("/api/v1/sync/runs").json()["results"]
    assert [(run["trigger"], run["actor_kind"], run["seen"]) for run in listed] == [("person", "key", 7)]


@pytest.mark.parametrize(("body", "field"), [({"dryrun": True}, "dryrun"), ({"dry_run": "yes"}, "dry_run")])
def test_a_mistyped_rehearsal_is_refused_before_novita_is_asked(body: dict[str, object], field: str) -> None:
    _, key = make_key("operate")

    answer = client_of(key).post("/api/v1/sync/runs", body, content_type="application/json")

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_read_key_may_look_and_not_sync() -> None:
    _, key = make_key("read")
    caller = client_of(key)

    assert caller.get("/api/v1/sync/runs").status_code == 200
    assert caller.post("/api/v1/sync/runs", {}, content_type="application/json").status_code == 403
