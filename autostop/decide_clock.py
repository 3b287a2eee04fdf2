"""Since when an instance is idle and when that stops it; and when it is stopped whatever it does. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from autostop.decide_facts import Clock, Code, Deadlines, Facts, SignalName
from autostop.words import clock_words, duration_words
from instances.lifecycle import Wanted

_WORDS = {
    SignalName.USE: "its last use",
    SignalName.GPU: "its GPU was last busy",
    SignalName.CPU: "its CPU was last busy",
    SignalName.HEARTBEAT: "its last heartbeat",
}


def idle_clock(facts: Facts) -> Clock | None:
    """None where it has not begun: on its way to ready and not overdue. A start resets it, by ready, run and wish."""
    begin = run_begin(facts)
    if begin is None:
        return None
    unlimited = [begin, *_activity(facts, limited=False)]
    base = max(unlimited, key=_since)
    limited = (
        Clock(since=min(one.since, base.since + limit), by=one.by, signal=one.signal)
        for one in _activity(facts, limited=True)
        if one.signal is not None and (limit := facts.rules.holds[one.signal]) is not None
    )
    return max((base, *limited), key=_since)


def run_begin(facts: Facts) -> Clock | None:
    """The begin of what the clock can measure: ready, or the end of the time to become so, in the run that is wanted."""
    if facts.ready_at is not None:
        moments = [Clock(since=facts.ready_at, by="it became ready")]
    elif facts.startup_deadline_at is not None and facts.now >= facts.startup_deadline_at:
        moments = [Clock(since=facts.startup_deadline_at, by="its start-up deadline passed")]
    else:
        return None
    if facts.running_since is not None:
        moments.append(Clock(since=facts.running_since, by="it began to run"))
    if facts.wanted == Wanted.RUNNING and facts.wanted_since is not None:
        moments.append(Clock(since=facts.wanted_since, by="it was last wanted running"))
    return max(moments, key=_since)


def sample_floor(facts: Facts) -> datetime | None:
    """Samples up to this moment tell nothing of this run: ready, or the run's begin for one that never became ready."""
    return facts.ready_at or facts.running_since


def metrics_may_hold(facts: Facts) -> bool:
    """Whether what metrics show can still matter: not where neither may hold it, or both have for as long as they may."""
    begin = run_begin(facts)
    if begin is None:
        return False
    base = max([begin, *_activity(facts, limited=False)], key=_since).since
    limits = [facts.rules.holds[name] for name in (SignalName.GPU, SignalName.CPU) if name in facts.rules.holds]
    return any(limit is None or base + limit + facts.rules.threshold > facts.now for limit in limits)


def deadlines(facts: Facts) -> Deadlines:
    """Both stop times. Being kept until a time moves each that comes before it."""
    clock = idle_clock(facts)
    idle_at, idle_by = (None, "") if clock is None else _idle_stop(facts, clock)
    hard = min(_hard(facts), key=lambda one: one[0], default=None)
    keep = facts.keep_until
    if idle_at is not None and keep is not None and keep > idle_at:
        idle_at, idle_by = keep, _kept(facts)
    hard_at, hard_by, hard_code = hard or (None, "", None)
    if hard_at is not None and keep is not None and keep > hard_at:
        hard_at, hard_by = keep, f"{hard_by}, {_kept(facts)}"
    return Deadlines(clock=clock, idle_at=idle_at, idle_by=idle_by, hard_at=hard_at, hard_by=hard_by, hard_code=hard_code)


def warning_lead(facts: Facts) -> timedelta:
    """How long before a stop people are warned: at most half the threshold, or a warning would always stand."""
    return min(facts.rules.warning_lead, facts.rules.threshold / 2)


def _idle_stop(facts: Facts, clock: Clock) -> tuple[datetime, str]:
    rules = facts.rules
    times = [(clock.since + rules.threshold, f"{duration_words(rules.threshold)} after {clock.by}")]
    if facts.running_since is not None and rules.grace_after_start:
        words = f"{duration_words(rules.grace_after_start)} of grace after it began to run"
        times.append((facts.running_since + rules.grace_after_start, words))
    if facts.ready_at is not None and rules.grace_after_ready:
        words = f"{duration_words(rules.grace_after_ready)} of grace after it became ready"
        times.append((facts.ready_at + rules.grace_after_ready, words))
    return max(times, key=lambda one: one[0])


def _hard(facts: Facts) -> Iterator[tuple[datetime, str, Code]]:
    """A stop time that passed before the present wish was made has been overruled by it."""
    if facts.stop_at is not None and (facts.wanted_since is None or facts.stop_at > facts.wanted_since):
        yield facts.stop_at, "its stop time", Code.STOP_AT_PASSED
    if facts.rules.max_age is not None and facts.running_since is not None:
        words = f"{duration_words(facts.rules.max_age)} since it began to run, the longest it may"
        yield facts.running_since + facts.rules.max_age, words, Code.MAX_AGE
    if facts.scheduled_stop_at is not None:
        yield facts.scheduled_stop_at, "its working hours end", Code.SCHEDULE


def _kept(facts: Facts) -> str:
    why = f" ({facts.keep_reason})" if facts.keep_reason else ""
    until = clock_words(facts.keep_until) if facts.keep_until else ""
    return f"kept until {until}{why}"


def _activity(facts: Facts, *, limited: bool) -> list[Clock]:
    """The newest activity of each signal that may hold it, of those with a limit or of those without."""
    usage = facts.usage
    known = (
        (SignalName.USE, facts.last_used_at),
        (SignalName.GPU, usage.gpu_active_at if usage else None),
        (SignalName.CPU, usage.cpu_active_at if usage else None),
        (SignalName.HEARTBEAT, facts.beat_active_at),
    )
    holds = facts.rules.holds
    return [
        Clock(since=at, by=_WORDS[name], signal=name)
        for name, at in known
        if at is not None and name in holds and (holds[name] is not None) == limited
    ]


def _since(clock: Clock) -> datetime:
    return clock.since
