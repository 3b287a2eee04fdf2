"""The worker dies between an event's commit and its delivery, and its successor tells all of it."""

from pathlib import Path

import pytest

from instances.webhooks.kinds import telling_of
from tests.conftest import StartProduct, StartSimulator
from tests.instances.webhooks.receiver import receiving
from tests.processes.fleet import QUICK, SPEED, ask_for, story, wait_for_phase

pytestmark = pytest.mark.process


@pytest.mark.parametrize("moment", ["before_fan_out", "before_call"])
def test_a_worker_killed_between_commit_and_send_loses_no_webhook(
    product: StartProduct, simulator: StartSimulator, tmp_path: Path, moment: str
) -> None:
    mark = tmp_path / "died"
    with receiving() as receiver:
        running = product(
            "embedded",
            simulator=simulator(speed=SPEED),
            WEBHOOK_URL=receiver.url,
            WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
            FAILPOINT=f"webhook.{moment}",
            FAILPOINT_MARK=str(mark),
            **QUICK,
        )
        instance = ask_for(running, "told")
        wait_for_phase(running, instance, "ready", seconds=60)

        def to_tell() -> set[int]:
            return {event["id"] for event in story(running, instance) if telling_of(event["type"]).webhook}

        def told() -> set[int]:
            return {got.json["data"]["event_id"] for got in receiver.got}

        running.wait_for(mark.exists, 60, "the worker dies")
        running.wait_for(lambda: to_tell() == told(), 120, "all is told")

        types = {got.json["type"] for got in receiver.got}
        assert {"instance.created", "instance.running", "instance.ready"} <= types
        ids = {(got.headers["webhook-id"], got.json["data"]["event_id"]) for got in receiver.got}
        assert len(ids) == len(told())  # one told twice has the same id
