"""Four lanes of due work, each with threads of its own, so that none waits for another.

A lane is poked about once a second: by Celery beat through the broker, and by a plain loop in every worker process when no
poke came for two ticks. So two beats, no beat or no broker all do each due thing once: every piece of work claims what is
due by a conditional UPDATE before it does it.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone

from autostop import passes
from instances import catalogue, health_checks
from instances.executor import run as executor
from instances.models import PeriodicWork
from instances.webhooks import sender as webhooks
from novita_manager import heartbeat
from sync import deadlines, reclaims, watch

log = structlog.get_logger("lanes")

TICK_SECONDS = 1.0
HEARTBEAT = timedelta(seconds=5)

Work = Callable[[datetime], object]


@dataclass(frozen=True, slots=True)
class Lane:
    """Named pieces of work that may run side by side; each at most once at a time in a process."""

    name: str
    works: dict[str, Work]


LANES = {
    lane.name: lane
    for lane in (
        Lane("jobs", {"jobs": executor.run_due, "derive": executor.derive_missing}),
        Lane(
            "observe",
            {
                "poll": watch.poll_if_due,
                "watch": watch.watch_if_due,
                "details": watch.read_details_if_due,
                "deadlines": deadlines.mark_overdue,
                "auto_stop": passes.run_if_due,
                "reclaims": reclaims.revive_if_due,
            },
        ),
        Lane(
            "checks",
            {
                "health": health_checks.check_due,
                "catalogue": catalogue.refresh_if_due,
                "balance": watch.read_balance_if_due,
            },
        ),
        Lane("deliveries", {"webhooks": webhooks.run_due, "heartbeat": heartbeat.send_if_due}),
    )
}


class LaneThreads:
    """The threads of one process's lanes, and when each lane was last poked."""

    def __init__(self) -> None:
        self._pools = {
            name: ThreadPoolExecutor(max_workers=max(1, len(lane.works)), thread_name_prefix=f"lane-{name}")
            for name, lane in LANES.items()
        }
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._poked_at: dict[str, float] = {}
        self._stopping = threading.Event()
        self._beaten_at = 0.0

    def poke(self, lane: str) -> None:
        """Start whatever work of the lane is not running already, and return at once."""
        self._poked_at[lane] = time.monotonic()
        for name, work in LANES[lane].works.items():
            with self._lock:
                if name in self._busy or self._stopping.is_set():
                    continue
                self._busy.add(name)
            self._pools[lane].submit(self._run, name, work)

    def loop(self) -> None:
        """Poke every lane that nobody poked for two ticks, until `stop`; and show that this worker lives."""
        while not self._stopping.wait(TICK_SECONDS):
            for lane in LANES:
                if time.monotonic() - self._poked_at.get(lane, 0.0) >= 2 * TICK_SECONDS:
                    self.poke(lane)
            if time.monotonic() - self._beaten_at >= HEARTBEAT.total_seconds():
                self._beaten_at = time.monotonic()
                _guarded("heartbeat", lambda now: show_alive("worker", now))

    def stop(self) -> None:
        """Take no new work. What is in hand ends by itself or by its lease."""
        self._stopping.set()
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        health_checks.close()
        webhooks.close()

    def _run(self, name: str, work: Work) -> None:
        try:
            _guarded(name, work)
        finally:
            with self._lock:
                self._busy.discard(name)


def _guarded(name: str, work: Work) -> None:
    """Run one pass. Whatever goes wrong is logged and ends that pass only."""
    try:
        close_old_connections()
        work(timezone.now())
    except DatabaseError as error:
        log.warning("lane.database_away", work=name, error=str(error)[:200])
    except Exception:
        log.exception("lane.pass_failed", work=name)
    finally:
        if not settings.SQLITE:
            connection.close()


def show_alive(name: str, now: datetime) -> None:
    """A sign of life that health reads: `worker` by every worker's loop, `beat` by the tasks beat sends."""
    PeriodicWork.objects.update_or_create(
        name=name,
        defaults={"finished_at": now, "succeeded_at": now},
        create_defaults={"next_due_at": now, "finished_at": now},
    )
