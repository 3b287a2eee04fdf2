"""The values a decision rests on. Times are aware."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from instances.lifecycle import BILLED, Observed, Verb, Wanted

# Novita bills these and may yet have to stop them; what is stopping, removing or unfamiliar is left alone.
BILLED_RUNNING = BILLED - {Observed.STOPPING, Observed.REMOVING, Observed.UNKNOWN}
ERRANDS = (Verb.RESTART, Verb.EDIT, Verb.MIGRATE, Verb.REPLACE, Verb.SAVE_IMAGE)


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
    SET_ASIDE = "set_aside"
    KEPT = "kept"
    JOB_OPEN = "job_open"
    MOVING = "moving"
    STARTING = "starting"
    THRESHOLD_NOT_REACHED = "threshold_not_reached"
    GRACE = "grace"
    METRICS_NEEDED = "metrics_needed"
    NO_DATA = "no_data"
    GPU_ACTIVE = "gpu_active"
    CPU_ACTIVE = "cpu_active"
    HEARTBEAT_ACTIVE = "heartbeat_active"
    IDLE_AGAIN = "idle_again"
    WARNED = "warned"
    IDLE = "idle"
    NEVER_READY = "never_ready"
    STOP_AT_PASSED = "stop_at_passed"
    MAX_AGE = "max_age"
    SCHEDULE = "schedule"


ACTIVE = (Code.GPU_ACTIVE, Code.CPU_ACTIVE, Code.HEARTBEAT_ACTIVE)
"""What is active now: its idle stop time moves with every evaluation."""


class Hold(StrEnum):
    """What keeps a due stop from being done."""

    NONE = ""
    OBSERVE = "observe"
    PAUSED = "paused"
    FROZEN = "frozen"
    METRICS = "metrics"
    STALE = "stale"
    PACE = "pace"


class SignalName(StrEnum):
    """What may hold an instance. A job of ours that is open always does."""

    USE = "use"
    GPU = "gpu"
    CPU = "cpu"
    HEARTBEAT = "heartbeat"


METRIC_SIGNALS = (SignalName.GPU, SignalName.CPU)
ALL_UNLIMITED: Mapping[str, timedelta | None] = {name: None for name in SignalName}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The numbers of a policy.

    `holds` names the signals that may hold an instance and for how long at most, counted from its begin or from the newest
    activity of a signal without a limit; None is no limit, and what is not named holds nothing. `in_a_row` evaluations have
    to find it idle. `coverage` is the least share of a window that samples must cover.
    """

    name: str = "default"
    threshold: timedelta = timedelta(minutes=20)
    gpu_percent: float = 5.0
    cpu_cores: float = 0.5
    coverage: float = 0.8
    in_a_row: int = 1
    holds: Mapping[str, timedelta | None] = field(default_factory=lambda: ALL_UNLIMITED)
    grace_after_start: timedelta = timedelta(0)
    grace_after_ready: timedelta = timedelta(0)
    max_age: timedelta | None = None
    warning_lead: timedelta = timedelta(minutes=5)
    unknown_limit: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What metrics say of this run: when each was last at its limit or above, and how much of the window is known.

    `window_start` is where the window begins, `known_share` the part of it, up to the newest sample, whose samples show
    every GPU and the CPU. `gpu_peak` is in percent of the busiest GPU, `cpu_peak` in cores, both of the window.
    """

    window_start: datetime
    read_at: datetime | None = None
    newest_at: datetime | None = None
    gpu_active_at: datetime | None = None
    cpu_active_at: datetime | None = None
    gpu_peak: float | None = None
    cpu_peak: float | None = None
    known_share: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a decision depends on.

    `ready_at` is None unless it became ready in this run. `startup_deadline_at` is when a start-up that has not reached
    ready is overdue. `wanted_since` is when the present wish was made. `mode` is the more careful of the instance's and its
    policy's; `mode_reason` says why it is off or only observed. `hold` says that rules may not act at all now, `idle_hold`
    that they may not stop for idleness. `usage` is None where no metrics are known. `promised_at` is the stop time that
    people were last warned of; `warns_first` that no stop for idleness comes without a warning. `idle_before` counts the
    evaluations in a row, up to now, that found it idle. `interval` is the time to the next evaluation.
    """

    now: datetime
    rules: Rules = field(default_factory=Rules)
    managed: bool = True
    mode: Mode = Mode.ENFORCE
    mode_reason: str = ""
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
    beaten_at: datetime | None = None
    beat_active_at: datetime | None = None
    usage: Usage | None = None
    stop_at: datetime | None = None
    scheduled_stop_at: datetime | None = None
    keep_until: datetime | None = None
    keep_reason: str = ""
    promised_at: datetime | None = None
    warns_first: bool = False
    idle_before: int = 0
    interval: timedelta = timedelta(minutes=5)
    hold: Hold = Hold.NONE
    hold_reason: str = ""
    idle_hold: Hold = Hold.NONE
    idle_hold_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """When the idle clock began and by what; `signal` is None where no activity moved it."""

    since: datetime
    by: str
    signal: SignalName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """The idle clock, the two stop times and what set them; None is none. Activity moves only the idle one, only later."""

    clock: Clock | None = None
    idle_at: datetime | None = None
    idle_by: str = ""
    hard_at: datetime | None = None
    hard_by: str = ""
    hard_code: Code | None = None
