"""A restart or an edit whose answer is lost, or that Novita takes and does not do, is done only where a read shows it."""

from typing import Any

import pytest

from instances import provider
from instances.models import Instance, Job
from instances.operations import request_edit, request_restart, retry_job
from tests.driving import Drive
from tests.factories import PERSON

BOTH = [{"port": 8080, "type": "http"}, {"port": 9000, "type": "http"}]
ONE = BOTH[:1]
JUPYTER = {"name": "Jupyter", "port": 8888, "type": "http"}


def lost(call: str, when: str) -> dict[str, Any]:
    return {"call": call, "kind": "timeout", "when": when, "count": 1, "seconds": 1.0}


def restarted(drive: Drive, instance: Instance) -> Job:
    request_restart(instance.pk, actor=PERSON, reason="", now=drive.now)
    drive.until_idle()
    return drive.job(instance)


def with_ports(drive: Drive, instance: Instance, ports: list[dict[str, Any]]) -> Job:
    request_edit(instance.pk, ports=ports, actor=PERSON, reason="", now=drive.now)
    drive.until_idle(seconds=900, step=5)
    instance.refresh_from_db()
    return drive.job(instance)


def test_a_restart_that_never_reached_novita_is_not_called_done(drive: Drive) -> None:
    instance = drive.ready()
    drive.faults(lost("restart", "before"))

    job = restarted(drive, instance)

    assert (job.state, job.error_code, drive.count("restart")) == ("failed", "unclear", 1)


def test_a_restart_whose_answer_was_lost_is_done_once_it_is_seen_to_run_anew(drive: Drive) -> None:
    instance = drive.ready()
    drive.faults(lost("restart", "after"))

    job = restarted(drive, instance)

    assert (job.state, job.call_outcome, drive.count("restart")) == ("succeeded", "unclear", 1)


@pytest.mark.parametrize("tools", [(), (JUPYTER,)], ids=["no tool", "a tool"])
@pytest.mark.parametrize(
    ("when", "state", "ports"), [("before", "failed", BOTH), ("after", "succeeded", ONE)], ids=["not done", "done"]
)
def test_a_port_is_taken_away_only_where_a_read_shows_it_gone(
    drive: Drive, when: str, state: str, ports: list[dict[str, Any]], tools: tuple[dict[str, Any], ...]
) -> None:
    instance = drive.ready(ports=tuple(BOTH), tools=tools)
    drive.faults(lost("edit", when))

    job = with_ports(drive, instance, ONE)

    assert (job.state, job.error_code) == (state, "" if state == "succeeded" else "unclear")
    assert instance.ports == ports
    assert drive.machines()[0]["ports"] == [[one["port"], one["type"]] for one in ports]


def test_a_removal_that_novita_took_and_does_not_do_fails_and_the_port_stays_on_record(drive: Drive) -> None:
    instance = drive.ready(ports=tuple(BOTH))
    drive.novita.turn("speed", timings={"editing": 100_000})

    job = with_ports(drive, instance, ONE)

    assert (job.state, job.error_code, job.call_outcome) == ("failed", "not_shown", "accepted")
    assert instance.ports == BOTH


def test_the_same_removal_asked_for_while_it_is_under_way_is_the_same_job(drive: Drive) -> None:
    instance = drive.ready(ports=tuple(BOTH))
    for _ in range(2):
        request_edit(instance.pk, ports=ONE, actor=PERSON, reason="", now=drive.now)
        drive.do_jobs()

    assert instance.jobs.filter(verb="edit").count() == drive.count("edit") == 1


def test_a_removal_tried_again_with_a_disk_that_grew_meanwhile_is_asked_for_again(drive: Drive) -> None:
    instance = drive.ready(ports=tuple(BOTH))
    drive.faults(lost("edit", "before"))
    request_edit(instance.pk, ports=ONE, expand_rootfs_gb=40, actor=PERSON, reason="", now=drive.now)
    drive.until_idle()
    failed = drive.job(instance)
    assert failed.error_code == "unclear"
    instance.refresh_from_db()
    assert instance.machine is not None
    provider.novita().edit_instance(instance.machine.novita_id or "", expand_root_disk_gb=40)

    retry_job(failed.pk, actor=PERSON, reason="", now=drive.now)
    drive.until_idle()

    [machine] = drive.machines()
    assert (machine["rootfs_gb"], machine["ports"]) == (100, [[8080, "http"]])
