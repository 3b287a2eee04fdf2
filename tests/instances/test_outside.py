"""Ports, image and disk changed at Novita: taken over with one event each, nothing sent, nothing of ours taken for it."""

from typing import Any

import pytest

from instances.models import Instance
from instances.novita.remote import PortMapping
from tests.factories import NOW, make_instance, make_job
from tests.instances.reads import SECOND, machine_of, show

pytestmark = pytest.mark.django_db
LATER = NOW + 100 * SECOND
PORTS = [{"port": 8080, "type": "http"}, {"port": 9000, "type": "tcp"}]
WIRE = {"ports": (PortMapping(port=8080, type="http"), PortMapping(port=9000, type="tcp"))}
SAME = {"ports": (PortMapping(port=8080, type="http"),)}


def settled(**columns: Any) -> Instance:
    return make_instance(rootfs_size_gb=60, machine={"rootfs_size_gb": 60}, **columns)


def changes(instance: Instance) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    told = instance.events.filter(type="instance.changed_outside").order_by("id")
    return [(event.before, event.after) for event in told]


@pytest.mark.parametrize(
    ("shown", "column", "old", "new"),
    [
        (WIRE, "ports", [PORTS[0]], PORTS),
        ({**SAME, "image_url": "busybox:2"}, "image_url", "docker.io/library/busybox:1", "busybox:2"),
        ({**SAME, "rootfs_size_gb": 200}, "rootfs_size_gb", 60, 200),
    ],
)
def test_each_is_taken_over_with_before_and_after(shown: dict[str, Any], column: str, old: Any, new: Any) -> None:
    instance = settled()

    show(instance, "running", LATER, **shown)
    show(instance, "running", LATER + SECOND, **shown)

    assert changes(instance) == [({column: old}, {column: new})]
    assert getattr(instance, column) == getattr(machine_of(instance), column) == new
    assert (instance.wanted, instance.met, instance.jobs.count()) == ("running", True, 0)


def test_two_at_once_are_two_events() -> None:
    instance = settled()

    show(instance, "running", LATER, **WIRE, rootfs_size_gb=100)

    assert [sorted(after) for _, after in changes(instance)] == [["ports"], ["rootfs_size_gb"]]


def test_an_image_changed_while_novita_resets_it_is_told_too() -> None:
    instance = settled()

    show(instance, "toReset", LATER, **SAME, image_url="busybox:2")

    assert changes(instance) == [({"image_url": "docker.io/library/busybox:1"}, {"image_url": "busybox:2"})]


def test_what_becomes_known_while_it_comes_up_is_no_change() -> None:
    instance = make_instance(status="pulling", machine={"ports": [], "image_url": "", "rootfs_size_gb": 0})

    show(instance, "running", LATER, **WIRE, image_url="docker.io/library/busybox:1", rootfs_size_gb=60)

    assert changes(instance) == []


def test_ports_of_its_tools_that_come_late_are_as_wanted() -> None:
    tools = [{"name": "Jupyter", "port": 9000, "type": "tcp"}]
    instance = settled(tools=tools)

    show(instance, "running", LATER, **WIRE)

    assert changes(instance) == []


@pytest.mark.parametrize("state", ["confirming", "succeeded"])
def test_what_an_edit_of_ours_changed_is_ours(state: str) -> None:
    instance = settled()
    make_job(instance, verb="edit", state=state, arguments={"ports": PORTS}, called_at=LATER, call_ended_at=LATER)

    show(instance, "running", LATER + SECOND, **WIRE)

    assert changes(instance) == []


def test_of_one_that_nobody_adopted_nothing_is_told() -> None:
    instance = make_instance(managed=False)

    show(instance, "running", LATER, **WIRE)

    assert changes(instance) == []
