"""The worker dies between an event's commit and its delivery, and its successor tells all of it."""

import time
from pathlib import Path

import pytest

from instances.webhooks.kinds import telling_of
from tests.conftest import StartProduct, StartSimulator
from tests.instances.webhooks.receiver import Got, receiving
from tests.processes.fleet import QUICK, SPEED, ask_for, story, wait_for_phase

pytestmark = pytest.mark.process


def test_workers_killed_between_commit_and_send_lose_no_webhook(
    product: StartProduct, simulator: StartSimulator, tmp_path: Path
) -> None:
    with receiving() as receiver:
        running = product(
            "production",
            simulator=simulator(speed=SPEED),
            WEBHOOK_URL=receiver.url,
            WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
            FAILPOINT="webhook.before_call",
            FAILPOINT_MARK=str(tmp_path / "first"),
            **QUICK,
        )
        instance = ask_for(running, "told")
        running.wait_for(lambda: running.pid("worker") is None, 60, "the worker dies")
        assert (tmp_path / "first").exists()
        # What its successor brings forward is told as well, by another.
        running.restart("worker", {"FAILPOINT": "webhook.before_fan_out", "FAILPOINT_MARK": str(tmp_path / "second")})
        running.wait_for(lambda: running.pid("worker") is None, 60, "its successor dies")
        assert (tmp_path / "second").exists()
        running.restart("worker")
        wait_for_phase(running, instance, "ready", seconds=60)

        def to_tell() -> set[int]:
            return {event["id"] for event in story(running, instance) if telling_of(event["type"]).webhook}

        def told() -> set[int]:
            return {got.json["data"]["event_id"] for got in receiver.got}

        running.wait_for(lambda: to_tell() == told(), 120, "all is told")

        types = {got.json["type"] for got in receiver.got}
        assert {"instance.created", "instance.running", "instance.ready"} <= types
        ids = {(got.headers["webhook-id"], got.json["data"]["event_id"]) for got in receiver.got}
        assert len(ids) == len(told())  # one told twice has the same id


FLEET = 200


def test_a_receiver_that_hangs_holds_back_no_other_and_a_burst_needs_no_many_ticks(
    product: StartProduct, simulator: StartSimulator
) -> None:
    quick, slow = "/hooks", "/hooks/slow"

    def answer(got: Got) -> tuple[int, dict[str, str]]:
        if got.path == slow:
            time.sleep(5)
        return 200, {}

    with receiving() as receiver:
        receiver.answer = answer
        running = product(
            "embedded", simulator=simulator(speed=SPEED, fleet="empty"), WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8", **QUICK
        )
        for path in (slow, quick):
            url = receiver.url.removesuffix("/hooks") + path
            assert running.api.post("webhooks", {"url": url, "types": ["instance.discovered"]}).status_code == 201
        running.manage("shell", "-c", TELL.format(count=FLEET))
        began = time.monotonic()
        running.wait_for(lambda: sum(got.path == quick for got in receiver.got) == FLEET, 60, "all is told")

        assert time.monotonic() - began < 30
        assert sum(got.path == slow for got in receiver.got) < FLEET
        running.wait_for(lambda: any(got.path == slow for got in receiver.got), 30, "the slow one is told too")


# As many machines as a list may bring, all found in one transaction.
TELL = """
from django.db import transaction
from django.utils import timezone
from instances.events import OUTSIDE, record
from instances.models import Instance
now = timezone.now()
with transaction.atomic():
    for number in range({count}):
        instance = Instance.objects.create(name=f"found-{{number}}", managed=False, created_at=now, phase_since=now)
        record("instance.discovered", at=now, actor=OUTSIDE, instance=instance)
"""
