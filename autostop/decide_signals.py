"""What each signal says of an instance: its value, how fresh it is, and whether it shows it idle, active or nothing. Pure.

No data is not idle: idle has to be shown for every GPU and for the CPU, by fresh samples that cover the window.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from autostop.decide_clock import run_begin, sample_floor
from autostop.decide_facts import Facts, SignalName, Usage
from autostop.words import duration_words

OLDEST_SAMPLE = timedelta(minutes=3)
SHORTEST_WINDOW = timedelta(minutes=3)
FRESH_READING = timedelta(seconds=60)


class Verdict(StrEnum):
    IDLE = "idle"
    ACTIVE = "active"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One signal: `at` is the time its value is about. `holds` says whether the policy lets it hold an instance."""

    name: str
    verdict: Verdict
    value: str
    at: datetime | None
    holds: bool = True


def window_start(now: datetime, threshold: timedelta, floor: datetime | None) -> datetime:
    """Where the window begins whose samples are judged: the larger of threshold and 3 minutes ago, not before `floor`."""
    start = now - max(threshold, SHORTEST_WINDOW)
    return max(start, floor) if floor else start


def unknown_because(facts: Facts) -> str:
    """Why metrics do not show it idle or active, or "" where they tell."""
    usage = facts.usage
    if usage is None or usage.newest_at is None:
        return f"its metrics could not be read ({usage.error})" if usage and usage.error else "there is no sample"
    floor = sample_floor(facts)
    age = facts.now - usage.newest_at
    if usage.error:
        return f"its metrics could not be read ({usage.error}); the newest sample is {duration_words(age)} old"
    if age > OLDEST_SAMPLE:
        return f"the newest sample is {duration_words(age)} old, and it takes one within 3 min"
    if floor is not None and usage.newest_at <= floor:
        return "there is no sample of this run yet"
    if usage.known_share < facts.rules.coverage:
        share, needed = usage.known_share * 100, facts.rules.coverage * 100
        return f"samples of every GPU and of the CPU cover {share:.0f} % of the window, and it takes {needed:g} %"
    return ""


def unknown_since(facts: Facts) -> datetime:
    """Since when metrics tell nothing; only asked where they do not."""
    begin = run_begin(facts)
    earliest = begin.since if begin else facts.now
    usage = facts.usage
    if usage is None or usage.newest_at is None:
        return earliest
    is_late = bool(usage.error) or facts.now - usage.newest_at > OLDEST_SAMPLE
    lost = usage.newest_at if is_late else usage.window_start
    return max(earliest, lost)


def is_read(facts: Facts) -> bool:
    """Whether the metrics were read just now, so that a stop may rest on them. What told nothing is read again."""
    read_at = facts.usage.read_at if facts.usage else None
    if read_at is None or facts.now - read_at > FRESH_READING:
        return False
    return read_at == facts.now or not unknown_because(facts)


def signals(facts: Facts) -> tuple[Signal, ...]:
    """All of them, for people and for the evidence."""
    holds = facts.rules.holds
    unknown = unknown_because(facts)
    usage = facts.usage or Usage(window_start=facts.now)
    rules = facts.rules
    return (
        Signal(
            name=SignalName.USE,
            verdict=_since(facts, facts.last_used_at),
            value=f"used {duration_words(facts.now - facts.last_used_at)} ago" if facts.last_used_at else "never used",
            at=facts.last_used_at,
            holds=SignalName.USE in holds,
        ),
        Signal(
            name=SignalName.GPU,
            verdict=_measured(facts, usage.gpu_active_at, unknown),
            value=_peak("GPU at most {:.1f} % busy", usage.gpu_peak, f" (limit {rules.gpu_percent:g} %)", unknown),
            at=usage.newest_at,
            holds=SignalName.GPU in holds,
        ),
        Signal(
            name=SignalName.CPU,
            verdict=_measured(facts, usage.cpu_active_at, unknown),
            value=_peak("{:.2f} CPU cores busy at most", usage.cpu_peak, f" (limit {rules.cpu_cores:g})", unknown),
            at=usage.newest_at,
            holds=SignalName.CPU in holds,
        ),
        _heartbeat(facts),
        Signal(
            name="job",
            verdict=Verdict.ACTIVE if facts.open_verb else Verdict.IDLE,
            value=f"its {facts.open_verb} job is open" if facts.open_verb else "no job is open",
            at=facts.now,
        ),
    )


def _heartbeat(facts: Facts) -> Signal:
    if facts.beaten_at is None:
        value = "no heartbeat yet"
    else:
        load = "" if facts.beat_active_at == facts.beaten_at else ", its load below the limits"
        value = f"heartbeat {duration_words(facts.now - facts.beaten_at)} ago{load}"
    return Signal(
        name=SignalName.HEARTBEAT,
        verdict=_since(facts, facts.beat_active_at),
        value=value,
        at=facts.beaten_at,
        holds=SignalName.HEARTBEAT in facts.rules.holds,
    )


def _since(facts: Facts, active_at: datetime | None) -> Verdict:
    """Silence of a client is no activity: the metrics have the last word."""
    recent = active_at is not None and facts.now - active_at < facts.rules.threshold
    return Verdict.ACTIVE if recent else Verdict.IDLE


def _measured(facts: Facts, active_at: datetime | None, unknown: str) -> Verdict:
    if _since(facts, active_at) is Verdict.ACTIVE:
        return Verdict.ACTIVE
    return Verdict.UNKNOWN if unknown else Verdict.IDLE


def _peak(words: str, peak: float | None, limit: str, unknown: str) -> str:
    if peak is None:
        return unknown or "nothing was measured"
    return f"{words.format(peak)}{limit}" + (f"; {unknown}" if unknown else "")
