"""A disk that grew in spite of a lost answer is not grown again by a retry: it cannot shrink, and is billed every day."""

import pytest

from instances import provider
from instances.models import Instance, Job
from instances.operations import request_edit, retry_job
from tests.driving import Drive
from tests.factories import PERSON

UNANSWERED = {"call": "edit", "kind": "timeout", "when": "before", "count": 1, "seconds": 1.0}
PORTS = [{"port": 9000, "type": "http"}]


@pytest.fixture
def failed(drive: Drive) -> Job:
    """Asked to grow from 60 to 100 GB, and failed since nothing showed it in time."""
    instance = drive.ready()
    drive.faults(UNANSWERED)
    request_edit(instance.pk, expand_rootfs_gb=40, actor=PERSON, reason="", now=drive.now)
    drive.until_idle()
    job = drive.job(instance)
    assert (job.state, job.error_code) == ("failed", "unclear")
    return job


def carried_out_late(drive: Drive, job: Job) -> None:
    """Novita does what it never answered to."""
    machine = job.instance.machine
    assert machine is not None
    assert machine.novita_id is not None
    provider.novita().edit_instance(machine.novita_id, expand_root_disk_gb=40)
    drive.forget_calls()


def retried(drive: Drive, job: Job) -> tuple[Instance, Job]:
    retry_job(job.pk, actor=PERSON, reason="", now=drive.now)
    drive.until_idle()
    return Instance.objects.get(pk=job.instance_id), drive.job(job.instance)


@pytest.mark.parametrize("seconds", [0, 60], ids=["before a list tells it", "after a list told it"])
def test_what_was_done_by_now_is_not_asked_for_again(drive: Drive, failed: Job, seconds: int) -> None:
    carried_out_late(drive, failed)
    drive.let_pass(seconds)

    instance, again = retried(drive, failed)

    assert (again.state, again.attempts, drive.count("edit")) == ("succeeded", 0, 0)
    assert drive.machines()[0]["rootfs_gb"] == instance.rootfs_size_gb == 100


def test_the_rest_of_the_edit_goes_on_without_the_growth(drive: Drive, failed: Job) -> None:
    carried_out_late(drive, failed)
    Job.objects.filter(pk=failed.pk).update(arguments=failed.arguments | {"ports": PORTS})

    instance, again = retried(drive, failed)

    [machine] = drive.machines()
    assert (again.state, drive.count("edit")) == ("succeeded", 1)
    assert (machine["rootfs_gb"], machine["ports"]) == (100, [[9000, "http"]])
    assert (instance.rootfs_size_gb, instance.ports) == (100, PORTS)


def test_what_was_never_done_is_asked_for_again(drive: Drive, failed: Job) -> None:
    drive.forget_calls()

    instance, again = retried(drive, failed)

    assert (again.state, drive.count("edit")) == ("succeeded", 1)
    assert drive.machines()[0]["rootfs_gb"] == instance.rootfs_size_gb == 100
