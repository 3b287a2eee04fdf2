"""What runs inside the instances, as seen from outside: HTTP services and logs. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime

from instances.novita.simulator.records import Instance

WORK_EVERY = 5.0
MOST_WORK_LINES = 2000


def http_answer(instance: Instance | None, port: str) -> tuple[int, str]:
    """Status and text of a visit: 502 while nothing listens, 404 for an instance or port that is not exposed."""
    if instance is None:
        return 404, "no such instance"
    is_exposed = port == "terminal" or any(str(p) == port and t == "http" for p, t in instance.all_ports)
    if not is_exposed:
        return 404, "port not exposed"
    if not is_serving(instance):
        return 502, "nothing listens"
    return 200, f"{instance.name or instance.id} serves port {port}"


def is_serving(instance: Instance) -> bool:
    return instance.status == "running" and instance.service_up and not instance.service_down


def log_lines(instance: Instance, source: str, now: float) -> list[str]:
    """The system's log tells the transitions, the instance's what the container printed."""
    lines = _system(instance) if source == "system" else _printed(instance, now)
    return [f"{_stamp(at)} {line}" for at, line in lines if at <= now]


def _system(instance: Instance) -> Iterator[tuple[float, str]]:
    previous = ""
    for moment in instance.history:
        if moment.status != previous:
            detail = f" {instance.image_url}" if moment.status == "pulling" else ""
            yield moment.at, f"{moment.status}{detail}"
        elif moment.spot_status == "notified":
            yield moment.at, f"spot reclaim announced for {_stamp(moment.reclaim_at)}"
        previous = moment.status


def _printed(instance: Instance, now: float) -> Iterator[tuple[float, str]]:
    for number, moment in enumerate(instance.history):
        if moment.status != "running" or (number and instance.history[number - 1].status == "running"):
            continue
        after = (m.at for m in instance.history[number + 1 :] if m.status != "running")
        end = next(after, now)
        yield moment.at, f"starting {instance.command or 'entrypoint of ' + instance.image_url}"
        steps = int((end - moment.at) // WORK_EVERY)
        for step in range(max(1, steps - MOST_WORK_LINES), steps + 1):
            at = moment.at + step * WORK_EVERY
            load = next((load for load in reversed(instance.loads) if load.at <= at), None)
            percent = max(load.gpu.values(), default=0.0) if load else 0.0
            if percent > 1:
                yield at, f"step {step}: gpu {percent:.0f} %"
            elif step % 60 == 0:
                yield at, "waiting for work"


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
