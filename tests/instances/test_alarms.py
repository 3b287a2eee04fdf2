"""Alarms are told once, again when they grow worse or nobody answers, and not while somebody knows."""

from datetime import datetime, timedelta

import pytest

from instances.alarms import acknowledge, clear_alarm, raise_alarm
from instances.models import Alarm, Event
from tests.factories import NOW, PERSON

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def see(at: datetime, *, level: int = 0, repeat: timedelta | None = None, text: str = "it burns") -> Alarm:
    raise_alarm("fire", "house", text=text, remedy="put it out", now=at, level=level, repeat=repeat)
    return Alarm.objects.get(kind="fire", cleared_at=None)


def told() -> list[str]:
    return list(Event.objects.order_by("id").values_list("type", flat=True))


def know(at: datetime, until: datetime | None = None) -> None:
    acknowledge(Alarm.objects.get().pk, actor=PERSON, reason="they are on their way", until=until, now=at)


def test_a_condition_that_goes_on_is_told_once_and_its_text_kept_fresh() -> None:
    see(NOW)
    alarm = see(NOW + HOUR, text="it still burns")

    assert told() == ["alarm.opened"]
    assert (alarm.text, alarm.last_seen_at, alarm.opened_at) == ("it still burns", NOW + HOUR, NOW)


def test_a_higher_level_is_told_anew_once_and_undoes_an_acknowledgement() -> None:
    see(NOW, level=1)
    know(NOW)
    see(NOW + HOUR, level=2)
    alarm = see(NOW + 2 * HOUR, level=2)

    assert told() == ["alarm.opened", "alarm.acknowledged", "alarm.escalated"]
    assert (alarm.level, alarm.acknowledged_by) == (2, "")
    see(NOW + 3 * HOUR, level=1)
    see(NOW + 4 * HOUR, level=2)
    assert told().count("alarm.escalated") == 2


def test_it_is_repeated_until_somebody_knows_and_again_once_that_has_run_out() -> None:
    day = 24 * HOUR
    for hours in range(0, 50):
        see(NOW + hours * HOUR, repeat=day)
    assert told().count("alarm.repeated") == 2

    know(NOW + 50 * HOUR, until=NOW + 100 * HOUR)
    for hours in range(51, 100):
        see(NOW + hours * HOUR, repeat=day)
    assert told().count("alarm.repeated") == 2

    alarm = see(NOW + 100 * HOUR, repeat=day)
    assert told().count("alarm.repeated") == 3
    assert alarm.acknowledged_by == ""


def test_an_acknowledgement_without_an_end_is_silent_for_ever() -> None:
    see(NOW)
    know(NOW)
    see(NOW + 1000 * HOUR, repeat=HOUR)

    assert told() == ["alarm.opened", "alarm.acknowledged"]
    assert clear_alarm("fire", "house", now=NOW)
    assert not clear_alarm("fire", "house", now=NOW)
