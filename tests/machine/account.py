"""An account that people, rules, Novita and power cuts act on, in one process and on a clock that only we move.

What was asked and accepted is kept in a record, so that what came of it can be judged; all that was done is counted.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from time import time
from typing import Any, TypeVar
from unittest import mock
from uuid import UUID

from autostop import passes
from autostop.models import Evaluation, PassRun
from instances import catalogue, failpoints, operations, person_verbs, provider
from instances.executor.claims import due_jobs
from instances.executor.run import BATCH, carry_out, derive_missing
from instances.models import Instance, Job, PeriodicWork
from instances.novita.errors import NovitaError
from instances.operations import OperationRefused
from instances.utilisation.reads import Answer, MetricsSource, Question, ask
from sync import deadlines, reclaims, watch
from sync.listing import run_list
from tests.chaos.judge import base_name
from tests.chaos.record import Record
from tests.driving import Drive
from tests.factories import PERSON
from tests.instances.novita.simulator.driver import INSTANCE, create_body

Found = TypeVar("Found")
SHOWN_BUSY_WITHIN = timedelta(minutes=4)  # a sample's greatest age, and a minute

PLENTY = 1000
NOTED = ("start", "stop", "delete", "restart", "migrate", "adopt", "release")


def read_here(questions: Sequence[Question], source: MetricsSource, *, seconds: float) -> dict[int, Answer]:
    """Metrics one after the other, in the one thread that sees this database."""
    answers = ((one.machine_id, ask(one, source)) for one in questions)
    return {machine_id: answer for machine_id, answer in answers if answer is not None}


def auto_stop(now: datetime) -> object:
    with mock.patch.object(passes, "read", read_here):
        return passes.run_if_due(now)


# What the lanes do beside the jobs; the catalogue is read once, when the account is opened.
WORKS: dict[str, Callable[[datetime], object]] = {
    "poll": watch.poll_if_due,
    "watch": watch.watch_if_due,
    "details": watch.read_details_if_due,
    "deadlines": deadlines.mark_overdue,
    "auto_stop": auto_stop,
    "reclaims": reclaims.act_if_due,
}
LAPSE = 70  # seconds: a lease and a little


class PowerCut(BaseException):
    """In place of a kill: nothing of the worker's own goes on after it."""


@dataclass(slots=True)
class Account:
    """`named` counts the creates, so that no name comes twice; `console` the calls that were none of the product's."""

    drive: Drive
    record: Record = field(default_factory=Record)
    did: Counter[str] = field(default_factory=Counter)
    console_calls: Counter[str] = field(default_factory=Counter)
    named: int = 0
    armed: tuple[str, str] | None = None  # a failpoint, and what happens there: dies or stalls
    busy: dict[str, datetime] = field(default_factory=dict)  # since when, by the id at Novita
    stopped_busy: list[str] = field(default_factory=list)
    hangs_for: int = 0  # seconds that a stalled worker hangs once its lease has lapsed

    def open(self) -> None:
        """The catalogue is known, and two instances run that may sleep soon: the first one's GPU is busy."""
        catalogue.refresh_if_due(self.drive.now)
        for _ in range(2):
            self.create(auto_stop_threshold=timedelta(minutes=5))
        for seconds in (1, 5, 30, 10):
            self.work(seconds)
        self.occupy(0)

    # what people ask of the product

    def create(self, **fields: Any) -> None:
        self.named += 1
        name = f"worker-{self.named}"
        asked_at = time()
        self.drive.create(name, ports=(), health_check=None, **fields)
        self.record.accept(name, "create", asked_at)
        self.did["create"] += 1

    def ask(self, verb: str, pick: int) -> None:
        """A person's verb, asked of one of those a page would offer it for; of any where it is offered for none."""
        found = self.instances()
        instance = chosen([one for one in found if verb in person_verbs.offered(one)] or found, pick)
        if instance is not None:
            self.request(verb, instance, person_verbs.VERBS[verb].ask)

    def request(self, verb: str, instance: Instance, ask: Callable[..., object], **arguments: Any) -> None:
        asked_at = time()
        try:
            ask(instance.pk, actor=PERSON, reason="a test", now=self.drive.now, **arguments)
        except OperationRefused as refusal:
            self.did[f"{verb} refused"] += 1
            self.did[f"refused: {refusal.code}"] += 1
            return
        self.did[verb] += 1
        if verb in NOTED:
            self.record.accept(instance.name, verb, asked_at)

    def edit(self, pick: int, gigabytes: int) -> None:
        instance = chosen([one for one in self.instances() if one.managed], pick)
        if instance is not None:
            self.request("edit", instance, operations.request_edit, expand_rootfs_gb=gigabytes)

    def change(self, pick: int, changes: dict[str, Any]) -> None:
        instance = chosen([one for one in self.instances() if one.managed], pick)
        if instance is not None:
            self.request("settings", instance, partial(operations.change_settings, changes=changes))

    def pause(self, length: timedelta) -> None:
        now = self.drive.now
        operations.pause_automation(until=now + length, reason="a test", actor=PERSON, now=now)
        self.did["pause"] += 1

    def cancel(self, pick: int) -> None:
        job = chosen(list(Job.objects.filter(finished_at=None).select_related("instance").order_by("created_at")), pick)
        if job is not None:
            asked_at = time()
            try:
                operations.cancel_job(job.pk, actor=PERSON, reason="a test", now=self.drive.now)
            except OperationRefused:
                self.did["cancel refused"] += 1
                return
            self.did["cancel"] += 1
            self.record.accept(job.instance.name, "cancel", asked_at)

    def sync(self) -> None:
        """A list asked for by a person, at whatever moment."""
        try:
            run_list(provider.novita(), trigger="manual", actor=PERSON)
        except NovitaError:
            self.did["sync failed"] += 1
            return
        self.did["sync"] += 1

    def instances(self) -> list[Instance]:
        """Those that live, oldest first."""
        found = Instance.objects.not_ended().select_related("machine").order_by("created_at", "name")
        return list(found)

    # what happens at Novita without the product

    def console(self, verb: str, pick: int) -> None:
        """Somebody acts in Novita's own console, on a machine where Novita lets them."""
        fits = {"start": ("exited",), "stop": ("running",), "restart": ("running",)}.get(verb)
        row = chosen([one for one in self.drive.living() if fits is None or one["status"] in fits], pick)
        if row is None:
            return
        self.record.accept(base_name(row["name"]), "console", time())
        with self.fair_weather():
            self.console_calls[verb] += 1
            if self.drive.novita.command(verb, row["id"]).ok:
                self.did[f"console {verb}"] += 1

    def foreign(self) -> None:
        self.named += 1
        with self.fair_weather():
            self.console_calls["create"] += 1
            made = self.drive.novita.write(f"{INSTANCE}/create", **create_body(name=f"foreign-{self.named}"))
        self.did["foreign"] += made.ok

    def take_back(self, action: str, pick: int) -> None:
        spots = [one for one in self.drive.living() if one["billing_mode"] == "spot" and one["status"] == "running"]
        row = chosen(spots, pick)
        if row is not None:
            self.drive.novita.turn("spot", instance=row["id"], action=action, deadline_seconds=20, give_back_stock=True)
            self.did[f"spot {action}"] += 1

    def crash(self, pick: int) -> None:
        row = chosen([one for one in self.drive.living() if one["status"] == "running"], pick)
        if row is not None:
            self.drive.novita.turn("load", instance=row["id"], crash="OOM")
            self.did["crash"] += 1

    def occupy(self, pick: int) -> None:
        """A program begins that keeps the GPU busy for good."""
        row = chosen([one for one in self.drive.living() if one["status"] == "running"], pick)
        if row is not None:
            self.drive.novita.turn("load", instance=row["id"], gpu_percent=90)
            self.busy.setdefault(row["id"], self.drive.now)
            self.did["busy"] += 1

    def stock(self, gpus: int) -> None:
        shelves = self.drive.novita.look("stock")["stock"]
        self.drive.novita.turn("stock", stock={cluster: dict.fromkeys(shelf, gpus) for cluster, shelf in shelves.items()})

    def weather(self, *faults: dict[str, Any]) -> None:
        self.drive.faults(*faults)
        for fault in faults:
            self.did[f"weather {fault['kind']}"] += 1

    @contextmanager
    def fair_weather(self) -> Iterator[None]:
        """People's own calls meet no fault, and use none up."""
        faults = self.drive.novita.look("faults")["faults"]
        self.drive.faults()
        yield
        self.drive.faults(*faults)

    # the product at work

    def work(self, seconds: float) -> None:
        """So much later, all that is due is done once, as the lanes would; a worker may die or stall in a job."""
        self.drive.clock.shift(timedelta(seconds=seconds))
        now = self.drive.now
        derive_missing(now)
        for job_id in due_jobs(now, BATCH):
            self.carry_out(job_id)
        waits = set(PeriodicWork.objects.filter(next_due_at__gt=now).values_list("name", flat=True))
        for name, work in WORKS.items():
            if name not in waits and work(self.drive.now):
                self.did[name] += 1
                if name == "auto_stop" and self.busy:
                    self._judge_of_busy()
        self.did["work"] += 1

    def _judge_of_busy(self) -> None:
        """What the newest pass did with those that have been busy for long enough to be seen so."""
        run = PassRun.objects.latest("started_at")
        for novita_id, since in self.busy.items():
            if run.started_at - since < SHOWN_BUSY_WITHIN:
                continue
            theirs = {"instance__machine__novita_id": novita_id}
            if run.decisions.filter(acted=True, **theirs).exists():
                self.stopped_busy.append(f"{novita_id} is busy since {since} and a rule stopped it at {run.started_at}")
            self.did["busy and kept"] += Evaluation.objects.filter(code="gpu_active", **theirs).count()

    def carry_out(self, job_id: UUID) -> None:
        if self.armed is None:
            carry_out(job_id)
            return
        place, what = self.armed
        with mock.patch.dict(os.environ, FAILPOINT=place), mock.patch("os.kill", self._struck):
            failpoints._arrivals.clear()
            try:
                carry_out(job_id)
            except PowerCut:
                self.did[f"{what} at {place.partition('.')[2]}"] += 1

    def _struck(self, pid: int, number: int) -> None:
        assert (pid, number) == (os.getpid(), signal.SIGKILL)
        assert self.armed is not None
        place, what = self.armed
        self.armed = None
        if what == "dies":
            raise PowerCut(place)
        # It hangs until its lease has lapsed, and longer; other workers do what is due meanwhile.
        self.did[f"{what} at {place.partition('.')[2]}"] += 1
        with mock.patch.dict(os.environ, FAILPOINT=""):
            self.work(LAPSE)
            for _ in range(0, self.hangs_for, 10):
                self.work(10)


def chosen(found: Sequence[Found], pick: int) -> Found | None:
    return found[pick % len(found)] if found else None
