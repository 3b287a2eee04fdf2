"""How busy an instance is and what it cost over time: asked for once the page is there, so that it waits for nobody."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET

from instances.api.live_reads import utilisation as read_utilisation
from instances.api.problems import Problem
from instances.models import Instance, Machine, RunningInterval
from instances.models.machine import interval_usd
from instances.operations import WrongPhase
from instances.words import percent, usd, usd_per_hour
from novita_manager.pages.access import needs
from novita_manager.pages.chart_lines import (
    Chart,
    Interval,
    Line,
    Points,
    TableRow,
    cost_chart,
    cumulative_cost,
    nearest,
    path_of,
    thinned,
    times_between,
)
from novita_manager.pages.parts import instance_or_404, part

SPANS = {30: "30 min", 180: "3 h", 1440: "24 h"}
_MOST_INTERVALS = 500
_SERIES = (("GPU", "gpu", "gpu_percent"), ("CPU", "cpu", "cpu_percent"), ("GPU memory", "memory", "gpu_memory_percent"))


@require_GET
@needs("read")
def utilisation(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """The last minutes as Novita measured them, or in words why there are none."""
    now, instance = timezone.now(), instance_or_404(instance_id)
    asked = request.GET.get("minutes", "")
    minutes = int(asked) if asked in map(str, SPANS) else min(SPANS)
    context: dict[str, Any] = {"instance": instance, "minutes": minutes, "spans": SPANS.items(), "now": now}
    status = 200
    try:
        read = read_utilisation(instance, minutes=minutes, now=now)
        context["chart"] = utilisation_chart(read, instance.machine, minutes=minutes, now=now)
        context["read_at"] = parse_datetime(read["read_at"])
    except WrongPhase as refusal:
        context["problem"] = f"Nothing to measure: {refusal.detail}."
    except Problem as problem:
        context["problem"], status = f"{problem.detail}.", problem.status_code
    return part(request, "instance/utilisation.html", context, title="Utilisation", status=status)


@require_GET
@needs("read")
def cost(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """What it cost over time, by our own meter."""
    now, instance = timezone.now(), instance_or_404(instance_id)
    context: dict[str, Any] = {"instance": instance, "chart": cost_chart_of(instance, now), "now": now}
    return part(request, "instance/cost.html", context, title="Cost")


def utilisation_chart(read: Mapping[str, Any], machine: Machine | None, *, minutes: int, now: datetime) -> Chart | None:
    """GPU, CPU and GPU memory in percent; the CPU as a share of all its cores where their number is known."""
    cores = machine.cpu_num if machine else 0
    start = now - timedelta(minutes=minutes)
    series = {name: _points(read[key], cores if name == "CPU" else 0) for name, _, key in _SERIES}
    if not any(series.values()):
        return None
    lines = tuple(
        Line(
            name=name,
            tone=tone,
            path=path_of(series[name], start=start, end=now, top=100.0),
            area="",
            latest=percent(series[name][-1][1]) if series[name] else "no data",
        )
        for name, tone, _ in _SERIES
    )
    moments = sorted({at for points in series.values() for at, _ in points})
    told = "; ".join(f"{line.name} {line.latest}" for line in lines)
    return Chart(
        title=f"Utilisation of the last {SPANS[minutes]}",
        told=f"Newest values: {told}. Auto-stop calls a GPU idle below {settings.AUTO_STOP_GPU_PERCENT:g} %.",
        lines=lines,
        tops=("100 %", "50 %", "0 %"),
        times=times_between(start, now),
        mark=100.0 - settings.AUTO_STOP_GPU_PERCENT,
        columns=tuple(series),
        rows=tuple(_row(at, list(series.values())) for at in thinned(moments)),
    )


def _points(raw: Sequence[Mapping[str, Any]], cores: int) -> Points:
    found = [(parse_datetime(one["at"]), float(one["value"]) / max(1, cores)) for one in raw]
    return [(at, value) for at, value in found if at is not None]


def _row(at: datetime, series: Sequence[Points]) -> TableRow:
    values = [nearest(points, at) for points in series]
    return TableRow(at=at, cells=tuple("-" if value is None else percent(value) for value in values))


def cost_chart_of(instance: Instance, now: datetime) -> Chart | None:
    """The newest intervals are drawn; what older ones cost is where the line begins."""
    rows = list(RunningInterval.objects.filter(machine__instance=instance).order_by("-started_at")[:_MOST_INTERVALS])
    intervals = [
        Interval(start=row.started_at, end=row.ended_at, usd_per_hour=row.price_usd_per_hour or Decimal(0)) for row in rows
    ]
    total = instance.cost_usd(now)
    drawn = sum((interval_usd(one.start, one.end or now, one.usd_per_hour) for one in intervals), Decimal(0))
    points = cumulative_cost(intervals, spent_before=max(Decimal(0), total - drawn), now=now)
    open_rate = sum((one.usd_per_hour for one in intervals if one.end is None), Decimal(0))
    rate = f"{usd_per_hour(open_rate)} per hour now" if open_rate else "not billed now"
    return cost_chart(points, told=f"{usd(total)} for GPUs so far, {rate}; disks apart.")
