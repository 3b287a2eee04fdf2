"""What is told at adoption names the policy that really applies, by its name or by labels."""

from datetime import time, timedelta
from typing import Any

import pytest

from autostop.models import Policy
from instances.automation_words import automation_of
from instances.models import Instance
from tests.autostop.rows import NOW

pytestmark = pytest.mark.django_db


def policy(name: str = "labs", **columns: Any) -> None:
    given = {"name": name, "mode": "enforce", "labels": {"team": "labs"}, "threshold": timedelta(minutes=7)}
    Policy.objects.create(**{**given, "created_at": NOW, "changed_at": NOW, **columns})


def told(**columns: Any) -> str:
    return automation_of(Instance(**{"name": "box", "labels": {"team": "labs"}, **columns}))[0]


def test_without_a_policy_the_default_is_told(settings: Any) -> None:
    settings.AUTO_STOP_THRESHOLD = timedelta(minutes=20)
    assert told() == "Auto-stop stops it after 20 min without use, where its GPUs and CPUs are idle too."


def test_the_policy_that_its_labels_choose_is_named_with_its_threshold() -> None:
    policy()
    assert told() == "Auto-stop stops it after 7 min without use (policy labs), where its GPUs and CPUs are idle too."
    assert "20 min without use, where" in told(labels={})
    assert "after 3 min without use (policy labs)" in told(auto_stop_threshold=timedelta(minutes=3))
    assert "Auto-stop only observes: after 7 min without use (policy labs) it" in told(auto_stop_mode="observe")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"mode": "observe"}, "Auto-stop only observes: after 7 min without use (policy labs)"),
        ({"mode": "off"}, "Auto-stop is off by policy labs: nothing stops it"),
        ({"mode": "canary", "canary_count": 1}, "only observes the others."),
        ({"holds": {"use": None}}, "however busy its GPUs and CPUs are."),
        ({"time_zone": "Nowhere/At-All"}, "Auto-stop is off by policy labs"),
    ],
    ids=str,
)
def test_its_mode_and_its_signals_are_told(columns: dict[str, Any], words: str) -> None:
    policy(**columns)
    assert words in told()


def test_what_stops_it_whatever_it_does_is_told_too() -> None:
    policy(max_age=timedelta(hours=12), schedule_mode="once_at", schedule_stop=time(19))
    sentences = automation_of(Instance(name="box", labels={"team": "labs"}))
    assert "Policy labs stops it once it has run for 12 h, whatever it does." in sentences
    assert any("has working hours" in one for one in sentences)
    observed = automation_of(Instance(name="box", labels={"team": "labs"}, auto_stop_mode="observe"))
    assert not any("whatever it does" in one for one in observed)
