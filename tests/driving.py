"""The core against a Novita over a socket, driven by one thread: a clock that moves only as far as a test lets it.

Everything due is done at each step by the functions the lanes call, so that the cadence, the gaps and the settle period are
the product's own; minutes pass in milliseconds because nobody waits for them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import time_machine
from django.utils import timezone

from instances import catalogue, health_checks, host_clock, provider
from instances.executor.claims import due_jobs
from instances.executor.run import BATCH, carry_out, derive_missing
from instances.models import Alarm, Instance, Job
from instances.novita.simulator.server import SimulatorServer
from instances.operations import InstanceSpec, request_create
from sync import deadlines, reclaims, watch
from tests.factories import NOW, PERSON
from tests.instances.novita.simulator.driver import Driver

LONG = 300.0  # seconds of the moved clock
STEP = 6.0  # just over the gap of the watch, so that each step lists what moves, and none passes with nothing to do


@dataclass(slots=True, kw_only=True)
class Drive:
    """One simulator, the client of the settings, and the clock both live by."""

    novita: Driver
    clock: time_machine.Traveller
    with_reclaims: bool = False  # whether reclaims are acted on, and Novita's own moving is switched off
    before_job: Callable[[UUID], None] | None = None  # what a test does just before a job is carried out

    @property
    def now(self) -> datetime:
        return timezone.now()

    def create(self, name: str = "worker", **fields: Any) -> Instance:
        """A request as the API would make it; nothing is sent before the next step."""
        values: dict[str, Any] = {
            "product_name": "RTX 4090",
            "image_url": "pytorch/pytorch:latest",
            "ports": ({"port": 8080, "type": "http"},),
        }
        return request_create(InstanceSpec(name=name, **values | fields), actor=PERSON, reason="a test", now=self.now)

    def ready(self, name: str = "worker", **fields: Any) -> Instance:
        instance = self.create(name, **fields)
        return self.until_phase(instance, "ready", step=10.0)

    def step(self, seconds: float = 1.0) -> None:
        """Move the clock, then do all that is due."""
        self.clock.shift(timedelta(seconds=seconds))
        host_clock.follow(self.now)
        derive_missing(self.now)
        self.do_jobs()
        for work in (
            catalogue.refresh_if_due,
            watch.poll_if_due,
            watch.watch_if_due,
            watch.read_details_if_due,
            deadlines.mark_overdue,
        ):
            work(self.now)
        if self.with_reclaims:
            reclaims.act_if_due(self.now)
        self.check_health()

    def do_jobs(self) -> None:
        for job_id in due_jobs(self.now, BATCH):
            if self.before_job is not None:
                self.before_job(job_id)
            carry_out(job_id)

    def check_health(self) -> None:
        """Probe what is due and store the results, however long the threads take."""
        health_checks.check_due(self.now)
        until = monotonic() + 10
        while not health_checks.probe_pool.is_idle:
            assert monotonic() < until, "probes do not end"
            sleep(0.001)
        health_checks.store_finished(health_checks.probe_pool.finished())

    def until(self, met: Callable[[], Any], *, seconds: float = LONG, step: float = STEP) -> None:
        """Step until it is true; fails once so many seconds of the moved clock are over."""
        ends_at = self.now + timedelta(seconds=seconds)
        while not met():
            assert self.now < ends_at, f"not within {seconds:g} s; {self.story()}"
            self.step(step)

    def let_pass(self, seconds: float, *, step: float = STEP) -> None:
        ends_at = self.now + timedelta(seconds=seconds)
        while (left := (ends_at - self.now).total_seconds()) > 0:
            self.step(min(step, left))

    def until_phase(self, instance: Instance, *phases: str, seconds: float = LONG, step: float = STEP) -> Instance:
        def shown() -> bool:
            instance.refresh_from_db(from_queryset=Instance.objects.defer("envs"))
            return instance.phase in phases

        self.until(shown, seconds=seconds, step=step)
        return instance

    def until_idle(self, *, seconds: float = LONG, step: float = STEP) -> None:
        """Until no job is open."""
        self.until(lambda: not Job.objects.filter(finished_at=None).exists(), seconds=seconds, step=step)

    def job(self, instance: Instance) -> Job:
        """Its newest job."""
        return Job.objects.filter(instance=instance).order_by("-created_at", "-called_at")[0]

    def faults(self, *rows: dict[str, Any]) -> None:
        self.novita.turn("faults", faults=list(rows))

    def calls(self, call: str) -> list[dict[str, Any]]:
        """What Novita was asked of that kind since the start or the last `forget_calls`."""
        return [one for one in self.novita.look("calls")["requests"] if one["call"] == call]

    def count(self, call: str) -> int:
        return int(self.novita.look("calls")["counts"].get(call, 0))

    def forget_calls(self) -> None:
        self.novita.turn("calls", reset=True)

    def machines(self, name: str = "") -> list[dict[str, Any]]:
        """Whatever Novita ever made under the name, the gone ones too."""
        return [one for one in self.novita.look("state")["instances"] if one["name"].startswith(name)]

    def living(self, name: str = "") -> list[dict[str, Any]]:
        return [one for one in self.machines(name) if not one["is_gone"]]

    def alarms(self, kind: str) -> list[Alarm]:
        return list(Alarm.objects.filter(kind=kind, cleared_at=None))

    def story(self) -> str:
        """What a failed wait shows."""
        instances = [f"{one.name}: {one.phase} ({one.phase_reason})" for one in Instance.objects.all()[:5]]
        jobs = [f"{one.verb} {one.state} {one.error_detail} at {one.next_attempt_at}" for one in Job.objects.all()[:5]]
        return f"{self.now}: {instances}; {jobs}"


def event_types(instance: Instance) -> list[str]:
    return list(instance.events.order_by("id").values_list("type", flat=True))


@contextmanager
def driving(settings: Any, **options: Any) -> Iterator[Drive]:
    """A simulator at provider speed 1 (`options` are its own), and the settings' client pointed at it.

    Time-outs are real time and short; every other duration is the product's default.
    """
    settings.NOVITA_CONNECT_TIMEOUT = settings.NOVITA_READ_TIMEOUT = timedelta(seconds=0.5)
    settings.NOVITA_RETRY_ATTEMPTS = 2
    settings.NOVITA_RETRY_DELAY = timedelta(0)
    with time_machine.travel(NOW, tick=True) as clock:
        server = SimulatorServer(**{"speed": 1.0, **options})
        server.start()
        settings.NOVITA_API_BASE_URL = server.url
        provider.forget_client()
        client, novita = provider.novita(), Driver(server.url, server)
        # Where the client waits, for the pace or before it reads again, the clock moves too.
        transport = client._transport
        transport.sources = replace(transport.sources, sleep=lambda seconds: clock.shift(timedelta(seconds=seconds)))
        try:
            yield Drive(novita=novita, clock=clock)
        finally:
            client.close()
            provider.forget_client()
            novita.session.close()
            server.stop()
