"""A key that Novita refuses holds all writes, says so at once, and ends by itself with the first read that works."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from instances import operations, provider
from instances.executor.run import carry_out
from instances.models import Job, ProviderAccount
from instances.novita.errors import AuthFailed
from sync import watch
from sync.listing import run_list
from tests.driving import Drive, driving
from tests.factories import PERSON

STEP = 5.0


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, speed=5) as one:
        yield one


def refuse(drive: Drive, *calls: str) -> None:
    drive.faults(*({"call": call, "kind": "401"} for call in calls))


def refused_since() -> object:
    return ProviderAccount.objects.get().key_refused_since


def test_a_read_that_is_refused_holds_every_write(drive: Drive) -> None:
    first, second = drive.ready("one", ports=()), drive.ready("two", ports=())
    refuse(drive, "list")
    with pytest.raises(AuthFailed):
        run_list(provider.novita(), trigger="poll")
    assert refused_since() is not None
    assert "refuses the API key" in drive.alarms("provider_key_refused")[0].text
    drive.forget_calls()

    for instance in (first, second):
        operations.request_stop(instance.pk, actor=PERSON, reason="", now=drive.now)
        carry_out(drive.job(instance).pk)

    assert drive.count("stop") == 0
    assert {job.error_code for job in Job.objects.filter(verb="stop")} == {"auth_failed"}
    assert drive.job(first).state == "queued"

    drive.faults()
    run_list(provider.novita(), trigger="poll")
    assert (refused_since(), drive.alarms("provider_key_refused")) == (None, [])
    assert not Job.objects.filter(verb="stop", next_attempt_at__gt=timezone.now()).exists()
    drive.until_phase(first, "stopped", step=STEP)
    drive.until_phase(second, "stopped", step=STEP)


def test_a_write_that_is_refused_holds_the_others_and_reads_go_on(drive: Drive) -> None:
    first, second = drive.ready("one", ports=()), drive.ready("two", ports=())
    refuse(drive, "stop")
    drive.forget_calls()

    operations.request_stop(first.pk, actor=PERSON, reason="", now=drive.now)
    carry_out(drive.job(first).pk)
    operations.request_stop(second.pk, actor=PERSON, reason="", now=drive.now)
    carry_out(drive.job(second).pk)

    assert drive.count("stop") == 1
    assert refused_since() is not None
    drive.clock.shift(60)
    assert watch.poll_if_due(drive.now)


def test_a_refused_balance_says_so_too(drive: Drive) -> None:
    watch.poll_if_due(drive.now)
    refuse(drive, "balance")

    assert not watch.read_balance_if_due(drive.now)

    assert len(drive.alarms("provider_key_refused")) == 1
