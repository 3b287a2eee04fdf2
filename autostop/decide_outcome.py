"""What was decided, and how it explains itself. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from autostop.decide_clock import metrics_may_hold
from autostop.decide_facts import Action, Code, Deadlines, Facts, Hold, SignalName
from autostop.decide_signals import Verdict, signals
from autostop.words import duration_words

VERSION = 2
"""Of the rules. It is stored with each decision, so that history can be told apart."""

_ZERO = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do and why. `next_at` is the earliest time at which a stop may become due by time alone.

    WOULD_STOP is a stop that is due and held: `hold` says by what. `warn_of` is the stop time that people are to be warned
    of now, `alarms` says that it is paid for and unseen for too long, `found_idle` that nothing but waiting was left.
    `facts` are what it rests on; there are none where rules leave the instance alone.
    """

    action: Action
    code: Code
    reason: str
    hold: Hold = Hold.NONE
    deadlines: Deadlines = field(default_factory=Deadlines)
    next_at: datetime | None = None
    warn_of: datetime | None = None
    found_idle: bool = False
    alarms: bool = False
    facts: Facts | None = field(default=None, repr=False)
    version: int = VERSION

    @property
    def idle_since(self) -> datetime | None:
        return self.deadlines.clock.since if self.deadlines.clock else None

    @property
    def idle_for(self) -> timedelta | None:
        since = self.idle_since
        return None if since is None or self.facts is None else max(self.facts.now - since, _ZERO)

    @property
    def nearest_miss(self) -> str:
        """What it takes for a stop: how long, as long as what stays so, and what holds it now."""
        facts, idle_at = self.facts, self.deadlines.idle_at
        if facts is None or self.action is not Action.KEEP or idle_at is None:
            return ""
        span = max((self.next_at or idle_at) - facts.now, _ZERO)
        when = f"would stop in {duration_words(span)}" if span else "would stop now"
        conditions = _conditions(facts, self.code)
        text = f"{when} if {' and '.join(conditions)}" if conditions else when
        holding = [
            one.value for one in signals(facts) if one.holds and one.verdict is Verdict.ACTIVE and one.name != SignalName.USE
        ]
        return f"{text}; held by {', '.join(holding)}" if holding else text

    @property
    def evidence(self) -> Mapping[str, object]:
        """The values it rests on, as JSON can hold them."""
        return _evidence(self.facts, self.deadlines) if self.facts is not None else {}


def _conditions(facts: Facts, code: Code) -> list[str]:
    found = []
    if metrics_may_hold(facts):
        limits = f"GPU stays below {facts.rules.gpu_percent:g} % and CPU below {facts.rules.cpu_cores:g} cores"
        found.append(limits if code is not Code.NO_DATA else "fresh metrics showed it idle")
    if SignalName.USE in facts.rules.holds:
        found.append("nobody uses it")
    return found


def _evidence(facts: Facts, times: Deadlines) -> dict[str, object]:
    usage = facts.usage
    return {
        "policy": facts.rules.name,
        "threshold_seconds": facts.rules.threshold.total_seconds(),
        "ready_at": _text(facts.ready_at),
        "last_used_at": _text(facts.last_used_at),
        "heartbeat_at": _text(facts.beaten_at),
        "stop_at": _text(facts.stop_at),
        "keep_until": _text(facts.keep_until),
        "provider_status": facts.raw_status,
        "idle_by": times.clock.by if times.clock else "",
        "gpu_percent": usage.gpu_peak if usage else None,
        "gpu_percent_limit": facts.rules.gpu_percent,
        "cpu_cores_busy": usage.cpu_peak if usage else None,
        "cpu_cores_limit": facts.rules.cpu_cores,
        "coverage": round(usage.known_share, 3) if usage else 0.0,
        "newest_sample_at": _text(usage.newest_at) if usage else None,
        "signals": [
            {"name": str(one.name), "verdict": str(one.verdict), "value": one.value, "at": _text(one.at), "holds": one.holds}
            for one in signals(facts)
        ],
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
