"""What a pass over 10,000 running instances costs: deciding, and the queries around it."""

import time
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from django.core.management import call_command
from django.db import connection, reset_queries
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from autostop.decide import decide
from autostop.facts import Scene, considered, facts_of, samples_from
from autostop.passes import run_pass
from autostop.policies import read_policies
from benchmarks.table import Row
from instances.events import AUTO_STOP
from instances.models import Instance, Machine, UtilisationMinute, UtilisationWatch
from instances.utilisation.rollup import minute_of
from instances.utilisation.rows import samples_since

FLEET = 10_000
SMALL = 100
SECONDS_ALLOWED = 1.0
_MINUTES = 35


def auto_stop() -> list[Row]:
    """Half of it busy, the rest used a moment ago; nothing changes between the passes that are measured."""
    call_command("flush", interactive=False, verbosity=0)
    now = timezone.now()
    _rent(SMALL, now)
    few, _ = _pass(now)
    _rent(FLEET - SMALL, now)
    many, whole = _pass(now)
    deciding = _deciding(now)
    return [
        Row(
            what=f"auto-stop: deciding on {FLEET:,} running instances with {_MINUTES} minutes of samples each",
            figure=f"{deciding:.2f} s",
            limit=f"≤ {SECONDS_ALLOWED:g} s",
            ok=deciding <= SECONDS_ALLOWED,
        ),
        Row(what="  a whole pass over them, nothing changes", figure=f"{whole:.2f} s"),
        Row(
            what=f"  SQL statements in it, and in one over {SMALL}",
            figure=f"{many} and {few}",
            limit="the same",
            ok=many == few and few > 0,
        ),
    ]


def _pass(now: datetime) -> tuple[int, float]:
    """The statements and the seconds of a pass that finds nothing new."""
    run_pass(now=now, dry_run=False, actor=AUTO_STOP, trigger="schedule")
    reset_queries()
    began = time.perf_counter()
    with CaptureQueriesContext(connection) as queries:
        run_pass(now=now, dry_run=False, actor=AUTO_STOP, trigger="schedule")
    return len(queries), time.perf_counter() - began


def _deciding(now: datetime) -> float:
    """Seconds of work: from rows in memory to decisions."""
    policies, instances = read_policies(now), list(considered())
    scene = Scene(
        now=now, policies=policies, samples=samples_since(samples_from(instances, policies, now)), warns_first=True
    )
    began = time.process_time()  # of this process: who else uses the machine does not count
    decisions = [decide(facts_of(one, scene, open_verb="")) for one in instances]
    seconds = time.process_time() - began
    if len(decisions) != FLEET:
        raise RuntimeError(f"{len(decisions)} decisions instead of {FLEET}")
    return seconds


def _rent(count: int, now: datetime) -> None:
    began = now - timedelta(hours=5)
    instances = [
        Instance(
            id=uuid4(),
            name=f"bench-{uuid4().hex[:12]}",
            wanted="running",
            wanted_at=began,
            met_at=began,
            phase="ready",
            phase_since=began,
            ready_at=began,
            created_at=began,
            last_used_at=now if number % 2 else None,
        )
        for number in range(count)
    ]
    Instance.objects.bulk_create(instances, batch_size=500)
    machines = [
        Machine(
            instance=one,
            novita_id=uuid4().hex,
            status="running",
            running_since=began,
            created_at=began,
            observed_at=now,
            price_usd_per_hour=Decimal("0.35"),
        )
        for one in instances
    ]
    Machine.objects.bulk_create(machines, batch_size=500)
    for instance, machine in zip(instances, machines, strict=True):
        instance.machine = machine
    Instance.objects.bulk_update(instances, ["machine"], batch_size=500)
    UtilisationWatch.objects.bulk_create(
        [UtilisationWatch(machine=one, due_at=now, read_at=now, newest_at=now) for one in machines], batch_size=500
    )
    last = minute_of(now) - 1
    for begin in range(0, count, 500):
        UtilisationMinute.objects.bulk_create(
            [
                UtilisationMinute(
                    machine=machine,
                    minute=last - back,
                    seconds=60,
                    newest_at=(last - back) * 60 + 45,
                    busiest_gpu_percent=60.0,
                    ceiling_gpu_percent=60.0,
                    average_gpu_percent=60.0,
                    cpu_cores=0.2,
                )
                for machine in machines[begin : begin + 500]
                for back in range(_MINUTES)
            ],
            batch_size=2000,
        )
