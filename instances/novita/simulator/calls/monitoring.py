"""Metrics."""

from instances.novita.simulator import metrics, validation
from instances.novita.simulator.calls.context import Answer, Context
from instances.novita.simulator.commands import find

DEFAULT_SPAN = 60


def instance_metrics(context: Context) -> Answer:
    """Times that make no sense fall back to the defaults without a word, as the provider documents."""
    world = context.world
    instance = find(world, validation.text(context.query, "instanceId", required=True))
    mode = instance.loads[-1].metrics if instance.loads else "ok"
    if mode == "missing":
        return metrics.empty()
    now, span = int(context.now), max(1, round(DEFAULT_SPAN / world.speed))
    end = _lenient(context, "endTime")
    end = end if 0 < end <= now else now
    start = _lenient(context, "startTime")
    start = start if 0 < start <= end - span else now - span
    asked = _lenient(context, "interval")
    grain = asked if asked > world.timings.metrics_grain else world.timings.metrics_grain
    lag = world.timings.metrics_lag / world.speed
    window = metrics.Window(start, min(end, int(context.now - lag)), max(1, round(grain / world.speed)))
    return metrics.series(instance, window)


def _lenient(context: Context, field: str) -> int:
    value = context.query.get(field, "")
    return int(value) if value.isascii() and value.isdigit() else 0
