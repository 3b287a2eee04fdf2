"""Four lanes of due work, each with threads of its own, so that none waits for another.

A lane is poked about once a second: by Celery beat through the broker, and by a plain loop in every worker process when no
poke came for two ticks. So two beats, no beat or no broker all do each due thing once: every piece of work claims what is
due by a conditional UPDATE before it does it.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.db import DatabaseError
from django.utils import timezone

from autostop import passes, safety
from instances import catalogue, health_checks, host_clock, periodic, tally
from instances.executor import claims
from instances.executor import run as executor
from instances.models import PeriodicWork
from instances.utilisation import collector
from instances.webhooks import sender as webhooks
from instances.work_pool import WorkPool
from novita_manager import broker_transport, health, heartbeat
from novita_manager.liveness import show_liveness
from sync import deadlines, history, money, reclaims, watch

log = structlog.get_logger("lanes")

TICK_SECONDS = 1.0
LOOK_SECONDS = 0.05
HEARTBEAT = timedelta(seconds=5)
SIGN_OF_LIFE = "sign of life"

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
                "reclaims": reclaims.act_if_due,
            },
        ),
        Lane(
            "checks",
            {
                "health": health_checks.check_due,
                "metrics": collector.collect_if_due,
                "watchdog": safety.watch_evaluations_if_due,
                "catalogue": catalogue.refresh_if_due,
                "balance": watch.read_balance_if_due,
                "health_states": health.note_states_if_due,
                "money": money.watch_if_due,
                "history": history.prune_if_due,
                "messages": broker_transport.end_alarm,
                "clock": host_clock.follow,
            },
        ),
        Lane("deliveries", {"webhooks": webhooks.run_due, "heartbeat": heartbeat.send_if_due}),
    )
}


class LaneThreads:
    """The threads of one process's lanes, and when each lane was last poked."""

    def __init__(self) -> None:
        self._pools: dict[str, WorkPool[str]] = {
            name: WorkPool(f"lane-{name}", threads=len(lane.works)) for name, lane in LANES.items()
        }
        self._pools[SIGN_OF_LIFE] = WorkPool("sign-of-life", threads=1)
        self._poked_at: dict[str, float] = {}
        self._stopping = threading.Event()
        self._beaten_at = 0.0

    def poke(self, lane: str) -> None:
        """Start whatever work of the lane is not running already, and return at once."""
        self._poked_at[lane] = time.monotonic()
        works = LANES[lane].works
        for name, work in works.items():
            self._pools[lane].hand_over(name, partial(_guarded, name, work), most=len(works))

    def loop(self) -> None:
        """Poke every lane that nobody poked for two ticks, until `stop`; and show that this worker lives."""
        while not self._stopping.wait(TICK_SECONDS):
            for lane in LANES:
                if time.monotonic() - self._poked_at.get(lane, 0.0) >= 2 * TICK_SECONDS:
                    self.poke(lane)
            if time.monotonic() - self._beaten_at >= HEARTBEAT.total_seconds():
                self._beaten_at = time.monotonic()
                show_liveness()
                alive = partial(_guarded, SIGN_OF_LIFE, partial(show_alive, "worker"))
                self._pools[SIGN_OF_LIFE].hand_over(SIGN_OF_LIFE, alive, most=1)

    def stop(self) -> None:
        """Take no new work. What is in hand goes on: see `end`."""
        self._stopping.set()
        for pool in self._pools.values():
            pool.close()
        executor.pool.close()
        webhooks.pool.close()
        health_checks.close()

    def end(self, within: timedelta) -> None:
        """After `stop`: wait for what is in hand. Ends the process where that takes longer, its leases given back."""
        until = time.monotonic() + within.total_seconds()
        while left := self._in_hand():
            if time.monotonic() > until:
                log.warning("lanes.cut_off", **left)
                _give_back()
                os._exit(0)  # Python would wait for the threads, and their calls may take longer than anybody waits for us
            time.sleep(LOOK_SECONDS)
        _give_back()  # a work that broke off may have kept its lease

    def _in_hand(self) -> dict[str, list[str]]:
        works = [name for pool in self._pools.values() for name in pool.in_hand()]
        jobs, deliveries = executor.pool.in_hand(), webhooks.pool.in_hand()
        found = {"works": sorted(works), "jobs": [str(one) for one in jobs], "deliveries": [str(one) for one in deliveries]}
        return found if any(found.values()) else {}


def _guarded(name: str, work: Work) -> None:
    """Run one pass. Whatever goes wrong is logged and ends that pass only."""
    with structlog.contextvars.bound_contextvars(work=name):
        began = time.perf_counter()
        try:
            result = work(timezone.now())
            _log_pass(result, time.perf_counter() - began)
        except DatabaseError as error:
            log.warning("lane.database_away", error=str(error)[:200])
        except Exception:
            log.exception("lane.pass_failed")


def _log_pass(result: object, seconds: float) -> None:
    """A line for a pass that tells what it did; those that only tell that they ran are details."""
    told = getattr(result, "summary", result)
    write = log.info if told and not isinstance(told, bool) else log.debug
    write("lane.pass", result=told, ms=round(seconds * 1000, 1))


def _give_back() -> None:
    """Leases to whoever comes next, and counts to those who ask."""
    with contextlib.suppress(DatabaseError):
        now = timezone.now()
        log.info("lanes.ended", works=periodic.give_back(now), jobs=claims.give_back(now))
    tally.flush_last()


def show_alive(name: str, now: datetime) -> None:
    """A sign of life that health reads: `worker` by every worker's loop, `beat` by the tasks beat sends."""
    PeriodicWork.objects.update_or_create(
        name=name,
        defaults={"finished_at": now, "succeeded_at": now},
        create_defaults={"next_due_at": now, "finished_at": now},
    )
