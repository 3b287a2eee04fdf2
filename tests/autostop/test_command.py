import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from instances.models import Job
from instances.periodic import claim
from tests.autostop.metrics_server import Load, MetricsServer
from tests.autostop.rows import running_instance

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def live(provider: MetricsServer) -> MetricsServer:
    provider.now = timezone.now()
    return provider


def run(*words: str) -> tuple[int, str]:
    """Exit status and what was printed."""
    out = StringIO()
    try:
        call_command("auto_stop", *words, stdout=out, stderr=out)
    except SystemExit as left:
        return int(left.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_a_rehearsal_shows_every_instance_with_its_reason_and_stops_none() -> None:
    running_instance("idle")
    running_instance("odd[name]", protected=True)

    status, text = run("--dry-run")

    assert status == 0
    assert "nothing is changed" in text
    assert "would_stop" in text
    assert "odd[name]" in text
    assert "it is protected" in text
    assert not Job.objects.exists()


def test_a_pass_stops_what_is_idle_and_json_tells_it() -> None:
    running_instance("idle")

    status, text = run("--json")

    result: dict[str, Any] = json.loads(text)
    assert status == 0
    assert (result["stopped"], result["trigger"], result["results"][0]["code"]) == (1, "command", "idle")
    assert Job.objects.count() == 1


def test_the_exit_status_tells_that_something_could_not_be_judged(live: MetricsServer) -> None:
    running_instance("dark")
    live.loads["novita-dark"] = Load(empty=True)

    assert run("--dry-run")[0] == 2


def test_the_exit_status_tells_that_another_pass_is_under_way() -> None:
    claim("auto_stop", every=timedelta(hours=1), lease=timedelta(hours=1), now=timezone.now())

    status, text = run()

    assert status == 3
    assert "another auto-stop pass" in text


def test_a_warning_is_a_line_of_the_table_too() -> None:
    running_instance(
        "ends-soon", at=timezone.now(), last_used_at=timezone.now(), stop_at=timezone.now() + timedelta(minutes=3)
    )

    status, text = run()

    assert status == 0
    assert "warned" in text
