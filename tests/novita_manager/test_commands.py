"""create_api_key and pause_automation."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from instances.models import AutomationPause, Event
from novita_manager.models import ApiKey
from tests.factories import client_of

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_a_key_is_made_and_shown_once() -> None:
    shown = json.loads(run("create_api_key", "ci", "--scope", "read", "--scope", "secrets", "--owner", "ops", "--json"))

    row = ApiKey.objects.get()
    assert (row.name, row.scopes, row.owner, row.expires_at) == ("ci", ["read", "secrets"], "ops", None)
    assert client_of(shown["key"]).get("/api/v1/instances").status_code == 200
    assert "nvm_" in run("create_api_key", "for people", "--scope", "admin")


def test_a_key_may_expire() -> None:
    run("create_api_key", "short", "--scope", "read", "--expires", "2h")

    expires_at = ApiKey.objects.get().expires_at
    assert expires_at is not None
    assert timedelta(hours=1) < expires_at - datetime.now(UTC) <= timedelta(hours=2)


@pytest.mark.parametrize(
    "arguments",
    [("x", "--scope", "everything"), ("x",), ("", "--scope", "read"), ("x", "--scope", "read", "--expires", "soon")],
)
def test_a_key_that_makes_no_sense_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run("create_api_key", *arguments)
    assert not ApiKey.objects.exists()


def test_automation_pauses_and_resumes() -> None:
    paused = json.loads(run("pause_automation", "2h", "--reason", "a demo", "--json"))

    row = AutomationPause.objects.get()
    assert (row.reason, row.actor_kind) == ("a demo", "command")
    assert row.holds(datetime.now(UTC))
    assert paused["paused_until"].endswith("Z")
    assert "is on" in run("pause_automation", "--resume")
    assert not AutomationPause.objects.get().holds(datetime.now(UTC))
    assert Event.objects.filter(type__startswith="automation.").count() == 2


@pytest.mark.parametrize("arguments", [(), ("2h", "--resume"), ("8d",), ("0s",), ("two hours",), ("-1h",)])
def test_a_pause_that_makes_no_sense_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run("pause_automation", *arguments)
    assert not AutomationPause.objects.exists()
