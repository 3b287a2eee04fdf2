"""Celery carries pokes, never state: one task per lane, sent every second by beat, each on a queue of its own."""

import os
import signal
import threading
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init, worker_shutdown, worker_shutting_down
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "novita_manager.settings")

import django
from django.core.exceptions import ImproperlyConfigured

try:
    django.setup()
except ImproperlyConfigured as error:
    raise SystemExit(f"novita-manager cannot start. {error}") from None

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from instances import tally
from novita_manager.broker_transport import use_for_redis
from novita_manager.lanes import LANES, LaneThreads, show_alive
from novita_manager.redis_address import celery_address
from sync.account import verify_account

use_for_redis()
app = Celery("novita_manager")
app.conf.update(
    broker_url=celery_address(settings.REDIS_URL),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # A lost message costs nothing: the next poke comes in a second. A kept one is worth nothing after two.
    broker_transport_options={
        "visibility_timeout": 60,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
    },
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    beat_scheduler="novita_manager.liveness:BeatScheduler",
    task_queues=[Queue(name) for name in LANES],
    task_default_queue="jobs",
    beat_schedule={
        f"poke {name}": {"task": "poke", "schedule": 1.0, "args": [name], "options": {"queue": name, "expires": 2}}
        for name in LANES
    }
    | {"beat lives": {"task": "beat_lives", "schedule": 5.0, "options": {"queue": "checks", "expires": 10}}},
)

_threads: LaneThreads | None = None


@app.task(name="poke")
def poke(lane: str) -> None:
    if _threads is not None:
        _threads.poke(lane)


@app.task(name="beat_lives")
def beat_lives() -> None:
    show_alive("beat", timezone.now())


@setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Django has configured logging; Celery must not do it again."""


# Celery's own handler closes the connection and raises, wherever beat is. In the middle of a message the error of the closed
# connection takes the place of the end, and beat goes on. It has nothing to finish: Redis forgets half a message.
@beat_init.connect
def _let_beat_end_where_it_is(**_: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))


# Before the broker is reached: a worker that starts while it is away goes by its own clock.
@worker_init.connect
def _start_lanes(**_: Any) -> None:
    global _threads
    try:
        verify_account()
    except ImproperlyConfigured as error:
        # Celery logs what a signal's receiver raises and goes on, unless it is this.
        raise SystemExit(f"novita-manager cannot start. {error}") from None
    except DatabaseError:
        pass  # it is away: the lanes say so, and go on when it is back
    tally.keep_flushing()
    _threads = LaneThreads()
    threading.Thread(target=_threads.loop, name="lanes", daemon=True).start()


@worker_shutting_down.connect
def _stop_lanes(**_: Any) -> None:
    if _threads is not None:
        _threads.stop()


@worker_shutdown.connect
def _end_lanes(**_: Any) -> None:
    if _threads is not None:
        _threads.end(settings.STOP_GRACE)
