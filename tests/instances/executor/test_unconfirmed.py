"""A stop that Novita takes and never does: asked without end, ever more slowly, and told ever more loudly what it costs."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from instances.models import Event
from instances.operations import request_stop
from tests.driving import Drive, driving
from tests.factories import PERSON

HOUR = 3600


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, speed=5) as one:
        yield one


def test_it_is_repeated_at_growing_gaps_and_told_with_each_doubling(drive: Drive) -> None:
    instance = drive.ready(ports=())
    drive.faults({"call": "stop", "kind": "never_stops"})

    request_stop(instance.pk, actor=PERSON, reason="", now=drive.now)
    drive.let_pass(HOUR / 6, step=30)
    drive.let_pass(2 * HOUR - HOUR / 6, step=60)

    asked = [one["at"] for one in drive.calls("stop")]
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps[:4] == sorted(gaps[:4])
    assert 600 <= gaps[-1] <= 700  # and never longer
    told = list(Event.objects.filter(after__kind="unconfirmed").order_by("id").values_list("type", "reason"))
    assert [type_ for type_, _ in told] == ["alarm.opened", *["alarm.escalated"] * 3]  # at 2, 4, 8 and 16 calls
    [alarm] = drive.alarms("unconfirmed")
    assert "still billing at $0." in alarm.text
    spent = [float(text.split("per hour: $")[1].split(" ")[0]) for text in (told[0][1], alarm.text)]
    assert spent[0] < spent[1]
    instance.refresh_from_db()
    assert (instance.phase, instance.met) == ("stopping", False)
