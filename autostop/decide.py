"""When an instance may sleep: one pure function of values. No clock, no database, no network.

The first rule that matches decides. Every answer carries its reason in words, also for doing nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from autostop.judgement import Activity, Reading, judge
from autostop.words import clock_words, duration_words
from instances.lifecycle import BILLED, Observed, Verb, Wanted

SHORTEST_WINDOW = timedelta(minutes=3)

# Novita bills these and may yet have to stop them; what is stopping, removing or unfamiliar is left alone.
BILLED_RUNNING = BILLED - {Observed.STOPPING, Observed.REMOVING, Observed.UNKNOWN}
_ENDING_VERBS = (Verb.STOP, Verb.DELETE)
_ERRANDS = (Verb.RESTART, Verb.EDIT, Verb.MIGRATE, Verb.REPLACE, Verb.SAVE_IMAGE)


class Mode(StrEnum):
    OFF = "off"
    OBSERVE = "observe"
    ENFORCE = "enforce"


class Action(StrEnum):
    KEEP = "keep"
    READ_METRICS = "read_metrics"
    STOP = "stop"
    WOULD_STOP = "would_stop"


class Code(StrEnum):
    """Why, in one stable word."""

    UNMANAGED = "unmanaged"
    NOT_RUNNING = "not_running"
    UNKNOWN_STATUS = "unknown_status"
    STOP_UNDER_WAY = "stop_under_way"
    PROTECTED = "protected"
    OFF = "off"
    JOB_OPEN = "job_open"
    MOVING = "moving"
    STARTING = "starting"
    THRESHOLD_NOT_REACHED = "threshold_not_reached"
    METRICS_NEEDED = "metrics_needed"
    NO_DATA = "no_data"
    GPU_ACTIVE = "gpu_active"
    CPU_ACTIVE = "cpu_active"
    IDLE = "idle"
    NEVER_READY = "never_ready"
    STOP_AT_PASSED = "stop_at_passed"


class Hold(StrEnum):
    """What keeps a due stop from being done."""

    NONE = ""
    OBSERVE = "observe"
    PAUSED = "paused"
    FROZEN = "frozen"
    PACE = "pace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a decision depends on. Times are aware.

    `ready_at` is None unless it became ready in this run. `startup_deadline_at` is when a start-up that has not reached
    ready is overdue. `wanted_since` is when the present wish was made. `hold` and `hold_reason` say that rules may not
    act at all now (paused or frozen). `reading` is None until the metrics were read.
    """

    now: datetime
    managed: bool = True
    mode: Mode = Mode.ENFORCE
    protected: bool = False
    observed: Observed = Observed.RUNNING
    raw_status: str = "running"
    wanted: str = Wanted.RUNNING
    wanted_since: datetime | None = None
    open_verb: str = ""
    running_since: datetime | None = None
    ready_at: datetime | None = None
    startup_deadline_at: datetime | None = None
    last_used_at: datetime | None = None
    stop_at: datetime | None = None
    gpu_num: int = 1
    threshold: timedelta = timedelta(minutes=20)
    gpu_percent: float = 5.0
    cpu_cores: float = 0.5
    hold: Hold = Hold.NONE
    hold_reason: str = ""
    reading: Reading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do and why. `next_at` is the earliest time at which a stop may become due by time alone.

    WOULD_STOP is a stop that is due and held: `hold` says by what.
    """

    action: Action
    code: Code
    reason: str
    hold: Hold = Hold.NONE
    evidence: Mapping[str, object] = field(default_factory=dict)
    idle_since: datetime | None = None
    idle_for: timedelta | None = None
    next_at: datetime | None = None


def decide(facts: Facts) -> Decision:
    """The same answer for the same facts, whatever they are. What is unknown never stops anything."""
    for rule in _RULES:
        decision = rule(facts)
        if decision is not None:
            return decision
    return _judged(facts)


def idle_clock(facts: Facts) -> tuple[datetime, str] | None:
    """When the idle clock began and by what, or None where it has not: on its way to ready and not overdue.

    A start resets it, through ready, the run's begin and the wish.
    """
    if facts.ready_at is not None:
        moments = [(facts.ready_at, "it became ready")]
    elif facts.startup_deadline_at is not None and facts.now >= facts.startup_deadline_at:
        moments = [(facts.startup_deadline_at, "its start-up deadline passed")]
    else:
        return None
    if facts.running_since is not None:
        moments.append((facts.running_since, "it began to run"))
    if facts.wanted == Wanted.RUNNING and facts.wanted_since is not None:
        moments.append((facts.wanted_since, "it was last wanted running"))
    if facts.last_used_at is not None:
        moments.append((facts.last_used_at, "its last use"))
    return max(moments, key=lambda one: one[0])


def sample_floor(facts: Facts) -> datetime | None:
    """Samples up to this moment tell nothing of this run: ready, or the run's begin for one that never became ready."""
    return facts.ready_at or facts.running_since


def metrics_window(facts: Facts) -> tuple[datetime, datetime]:
    """The span whose metrics are judged: the larger of threshold and 3 minutes, not before ready."""
    start = facts.now - max(facts.threshold, SHORTEST_WINDOW)
    floor = sample_floor(facts)
    return (max(start, floor) if floor else start), facts.now


def paced(decision: Decision, limit: int, next_pass_at: datetime) -> Decision:
    """A due stop that waits because this pass has done its share."""
    return replace(
        decision,
        action=Action.WOULD_STOP,
        hold=Hold.PACE,
        reason=f"{decision.reason}; it waits for the next pass: one pass stops at most {limit}, longest idle first",
        next_at=next_pass_at,
    )


def _keep(code: Code, reason: str, next_at: datetime | None = None) -> Decision:
    return Decision(action=Action.KEEP, code=code, reason=reason, next_at=next_at)


def _not_ours_to_stop(facts: Facts) -> Decision | None:
    if not facts.managed:
        return _keep(Code.UNMANAGED, "it was not made here and nobody has adopted it: rules leave it alone")
    if facts.observed is Observed.UNKNOWN:
        return _keep(Code.UNKNOWN_STATUS, f"Novita reports the unfamiliar status {facts.raw_status!r}: nothing acts on it")
    return None


def _nothing_to_stop(facts: Facts) -> Decision | None:
    if facts.observed not in BILLED:
        return _keep(Code.NOT_RUNNING, "Novita does not bill it as running")
    ending = (
        facts.observed in (Observed.STOPPING, Observed.REMOVING)
        or facts.wanted in (Wanted.STOPPED, Wanted.DELETED)
        or facts.open_verb in _ENDING_VERBS
    )
    return _keep(Code.STOP_UNDER_WAY, "a stop or delete of it is wanted or under way already") if ending else None


def _left_alone(facts: Facts) -> Decision | None:
    if facts.protected:
        return _keep(Code.PROTECTED, "it is protected: rules leave it alone")
    if facts.mode is Mode.OFF:
        ignored = f"; its stop_at of {clock_words(facts.stop_at)} does not apply either" if facts.stop_at else ""
        return _keep(Code.OFF, f"auto-stop is off for it{ignored}")
    if facts.open_verb in _ERRANDS:
        return _keep(Code.JOB_OPEN, f"its {facts.open_verb} job is open: a stop would cut it short")
    return None


def _stop_time(facts: Facts) -> Decision | None:
    """The hard stop time. One that passed before the present wish was made has been overruled by it."""
    stop_at = _pending_stop_at(facts)
    if stop_at is None or stop_at > facts.now:
        return None
    return _due(facts, Code.STOP_AT_PASSED, f"its stop time {clock_words(stop_at)} has passed")


def _on_its_way(facts: Facts) -> Decision | None:
    stop_at = _pending_stop_at(facts)
    if facts.observed in (Observed.RESTARTING, Observed.MIGRATING):
        return _keep(Code.MOVING, f"Novita reports {facts.raw_status}: it is judged when it runs again", stop_at)
    if idle_clock(facts) is not None:
        return None
    deadline = facts.startup_deadline_at
    if deadline is None:
        return _keep(Code.STARTING, "it is not ready yet, and when it began to start is not known", stop_at)
    return _keep(
        Code.STARTING,
        f"it is not ready yet and has until {clock_words(deadline)} for that",
        _earlier(deadline + facts.threshold, stop_at),
    )


def _not_idle_long_enough(facts: Facts) -> Decision | None:
    clock = idle_clock(facts)
    if clock is None:
        return None
    since, what = clock
    idle_for = facts.now - since
    if idle_for >= facts.threshold:
        return None
    reason = (
        f"{duration_words(max(idle_for, timedelta(0)))} since {what}; it may sleep after {duration_words(facts.threshold)}"
    )
    kept = _keep(Code.THRESHOLD_NOT_REACHED, reason, _earlier(since + facts.threshold, _pending_stop_at(facts)))
    return _with_clock(kept, facts)


_RULES: tuple[Callable[[Facts], Decision | None], ...] = (
    _not_ours_to_stop,
    _nothing_to_stop,
    _left_alone,
    _stop_time,
    _on_its_way,
    _not_idle_long_enough,
)


def _judged(facts: Facts) -> Decision:
    """A candidate by its last use: the metrics have the last word."""
    since, what = idle_clock(facts) or (facts.now, "now")
    unused = f"{duration_words(facts.now - since)} since {what}, threshold {duration_words(facts.threshold)}"
    stop_at = _pending_stop_at(facts)
    if facts.reading is None:
        needed = Decision(action=Action.READ_METRICS, code=Code.METRICS_NEEDED, reason=f"{unused}; its metrics are not read")
        return replace(_with_clock(needed, facts), next_at=stop_at)
    judgement = judge(
        facts.reading,
        now=facts.now,
        after=sample_floor(facts),
        gpu_num=facts.gpu_num,
        gpu_percent=facts.gpu_percent,
        cpu_cores=facts.cpu_cores,
    )
    held = {Activity.GPU: Code.GPU_ACTIVE, Activity.CPU: Code.CPU_ACTIVE, Activity.UNKNOWN: Code.NO_DATA}
    if judgement.activity in held:
        kept = _keep(held[judgement.activity], f"{unused}, but {judgement.reason}", stop_at)
        return _with_clock(kept, facts, judgement.evidence)
    code = Code.IDLE if facts.ready_at is not None else Code.NEVER_READY
    never = "" if facts.ready_at is not None else "it never became ready: "
    return _due(facts, code, f"{never}{unused}; {judgement.reason}", judgement.evidence)


def _due(facts: Facts, code: Code, reason: str, evidence: Mapping[str, object] | None = None) -> Decision:
    """A stop, or what holds it."""
    stop = Decision(action=Action.STOP, code=code, reason=reason, next_at=facts.now)
    if facts.mode is not Mode.ENFORCE:
        stop = replace(
            stop,
            action=Action.WOULD_STOP,
            hold=Hold.OBSERVE,
            reason=f"{reason}; it is only observed: not stopped",
            next_at=None,
        )
    elif facts.hold is not Hold.NONE:
        why = facts.hold_reason or f"automation is {facts.hold}"
        stop = replace(stop, action=Action.WOULD_STOP, hold=facts.hold, reason=f"{reason}; held: {why}", next_at=None)
    return _with_clock(stop, facts, evidence)


def _with_clock(decision: Decision, facts: Facts, evidence: Mapping[str, object] | None = None) -> Decision:
    clock = idle_clock(facts)
    shown: dict[str, object] = {
        "threshold_seconds": facts.threshold.total_seconds(),
        "ready_at": facts.ready_at.isoformat() if facts.ready_at else None,
        "last_used_at": facts.last_used_at.isoformat() if facts.last_used_at else None,
        "stop_at": facts.stop_at.isoformat() if facts.stop_at else None,
        "provider_status": facts.raw_status,
        **(evidence or {}),
    }
    if clock is None:
        return replace(decision, evidence=shown)
    shown |= {"idle_since": clock[0].isoformat(), "idle_by": clock[1]}
    return replace(decision, evidence=shown, idle_since=clock[0], idle_for=max(facts.now - clock[0], timedelta(0)))


def _pending_stop_at(facts: Facts) -> datetime | None:
    if facts.stop_at is None or (facts.wanted_since is not None and facts.stop_at <= facts.wanted_since):
        return None
    return facts.stop_at


def _earlier(first: datetime, second: datetime | None) -> datetime:
    return min(first, second) if second else first
