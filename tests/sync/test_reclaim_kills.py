"""A worker that dies at any step of bringing an instance back: whoever comes next ends with one machine, and one only."""

from typing import Any

import pytest

from instances import failpoints
from instances.failpoints import MOMENTS
from instances.models import Instance, Reclaim
from instances.operations import request_delete
from tests.driving import Drive
from tests.factories import PERSON
from tests.sync.reclaiming import HOUR, novita_id, settled, spot

pytestmark = pytest.mark.django_db

NO_START = {"call": "start", "kind": "no_capacity", "count": 3}
NO_MOVE = {"call": "migrate", "kind": "no_capacity", "count": 1}
LEADS_TO: dict[str, tuple[dict[str, Any], ...]] = {"start": (), "migrate": (NO_START,), "replace": (NO_START, NO_MOVE)}
STEP = 15
OF_REPLACE = ("after_swap", "before_delete", "after_delete")
STEPS = [
    *((verb, f"reclaim.{verb}.{moment}") for verb in LEADS_TO for moment in ("before_store", "after_store")),
    *((verb, f"{verb}.{moment}") for verb in LEADS_TO for moment in MOMENTS),
    *(("replace", f"replace.{moment}") for moment in OF_REPLACE),
]


class Died(BaseException):
    """Signal 9: whatever was not committed is undone, and nothing else of the step happens."""


class Death:
    def __init__(self, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.deaths = 0
        monkeypatch.setenv("FAILPOINT", at)
        monkeypatch.setattr(failpoints, "_arrivals", {})
        monkeypatch.setattr("instances.failpoints.os.kill", self._kill)

    def _kill(self, _pid: int, _signal: int) -> None:
        self.deaths += 1
        raise Died


def lived(drive: Drive) -> bool:
    """One worker follows another; False where it dies."""
    try:
        drive.step(STEP)
    except Died:
        return False
    return True


def live_on(drive: Drive, death: Death, instance: Instance) -> None:
    """Until it is well and nothing is open."""
    for _ in range(150):
        if not lived(drive):
            continue
        instance.refresh_from_db()
        if death.deaths and instance.phase == "ready" and Reclaim.objects.exclude(ended_at=None).exists():
            return
    raise AssertionError(f"{death.deaths} deaths; {drive.story()}; {Reclaim.objects.values()}")


@pytest.mark.parametrize(("verb", "step"), STEPS)
def test_whoever_comes_next_ends_with_one_machine(
    drive: Drive, monkeypatch: pytest.MonkeyPatch, verb: str, step: str
) -> None:
    drive.with_reclaims = True
    instance = settled(drive)
    drive.faults(*LEADS_TO[verb])
    death = Death(step, monkeypatch)

    spot(drive, instance, "reclaim", give_back_stock=True)
    live_on(drive, death, instance)
    drive.let_pass(60, step=20)

    assert death.deaths == 1
    assert [one["id"] for one in drive.living() if one["status"] == "running"] == [novita_id(instance)]
    assert len(drive.living()) == 1
    assert Reclaim.objects.filter(outcome="back").count() == 1
    assert drive.count("create") <= 2
    assert drive.count("migrate") <= 2


@pytest.mark.parametrize("step", ["replace.before_delete", "replace.after_delete"])
def test_whoever_comes_next_lets_the_new_one_go_where_all_was_to_be_deleted(
    drive: Drive, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    drive.with_reclaims = True
    instance = settled(drive, on_reclaim={"on_notice": "replace"})
    spot(drive, instance, "notify", deadline_seconds=HOUR)
    drive.until(lambda: len(drive.living()) == 2, seconds=60)
    death = Death(step, monkeypatch)

    request_delete(instance.pk, actor=PERSON, reason="enough", now=drive.now)
    for _ in range(40):
        lived(drive)

    instance.refresh_from_db()
    assert death.deaths == 1
    assert (instance.phase, drive.living(), drive.alarms("surplus_machine")) == ("deleted", [], [])
