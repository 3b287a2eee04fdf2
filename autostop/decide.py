"""When an instance may sleep: one pure function of values. No clock, no database, no network.

The first rule that matches decides. Every answer carries its reason in words, also for doing nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from autostop.decide_clock import deadlines, metrics_may_hold, warning_lead
from autostop.decide_facts import (
    BILLED_RUNNING,
    ERRANDS,
    Action,
    Code,
    Deadlines,
    Facts,
    Hold,
    Mode,
    SignalName,
)
from autostop.decide_outcome import Decision
from autostop.decide_signals import OLDEST_SAMPLE, is_read, signals, unknown_because, unknown_since
from autostop.words import clock_words, duration_words
from instances.lifecycle import BILLED, NEVER_FAIL, Observed, Wanted

PROMISE_LASTS = timedelta(hours=1)
"""A warned stop that could not be done for so long, and not at the second evaluation either, is warned of again."""

_ZERO = timedelta(0)
_LEFT_ALONE = (
    Code.UNMANAGED,
    Code.NOT_RUNNING,
    Code.UNKNOWN_STATUS,
    Code.STOP_UNDER_WAY,
    Code.PROTECTED,
    Code.OFF,
)
_ACTIVE_CODES = {
    SignalName.GPU: Code.GPU_ACTIVE,
    SignalName.CPU: Code.CPU_ACTIVE,
    SignalName.HEARTBEAT: Code.HEARTBEAT_ACTIVE,
}


def decide(facts: Facts) -> Decision:
    """The same answer for the same facts, whatever they are. What is unknown never stops anything."""
    times = deadlines(facts)
    for rule in _RULES:
        decision = rule(facts, times)
        if decision is not None:
            return _completed(decision, facts, times)
    return _completed(_idle(facts, times), facts, times)


def paced(decision: Decision, limit: int, next_pass_at: datetime) -> Decision:
    """A due stop that waits because this pass has done its share."""
    return replace(
        decision,
        action=Action.WOULD_STOP,
        hold=Hold.PACE,
        reason=f"{decision.reason}; it waits for the next pass: one pass stops at most {limit}, longest idle first",
        next_at=next_pass_at,
    )


def stale(decision: Decision, age: timedelta) -> Decision:
    """A due stop that is too old to be acted on: what it rests on may have changed."""
    return replace(
        decision,
        action=Action.WOULD_STOP,
        hold=Hold.STALE,
        reason=f"{decision.reason}; held: the decision is {duration_words(age)} old by now, the next pass decides anew",
    )


def unjudged(error: Exception) -> Decision:
    """Of an instance whose row makes judging fail: it is left alone, and nothing is said of how idle it is."""
    return _keep(Code.SET_ASIDE, f"it cannot be judged and is left alone: {type(error).__name__}: {str(error)[:300]}")


def _keep(code: Code, reason: str) -> Decision:
    return Decision(action=Action.KEEP, code=code, reason=reason)


def _not_ours_to_stop(facts: Facts, times: Deadlines) -> Decision | None:
    if not facts.managed:
        return _keep(Code.UNMANAGED, "it was not made here and nobody has adopted it: rules leave it alone")
    if facts.observed is Observed.UNKNOWN:
        return _keep(Code.UNKNOWN_STATUS, f"Novita reports the unfamiliar status {facts.raw_status!r}: nothing acts on it")
    return None


def _nothing_to_stop(facts: Facts, times: Deadlines) -> Decision | None:
    if facts.observed not in BILLED:
        return _keep(Code.NOT_RUNNING, "Novita does not bill it as running")
    ending = (
        facts.observed not in BILLED_RUNNING
        or facts.wanted in (Wanted.STOPPED, Wanted.DELETED)
        or facts.open_verb in NEVER_FAIL
    )
    return _keep(Code.STOP_UNDER_WAY, "a stop or delete of it is wanted or under way already") if ending else None


def _left_alone(facts: Facts, times: Deadlines) -> Decision | None:
    if facts.protected:
        return _keep(Code.PROTECTED, "it is protected: rules leave it alone")
    if facts.mode is Mode.OFF:
        ignored = f"; {times.hard_by} at {clock_words(times.hard_at)} does not apply either" if times.hard_at else ""
        why = f" ({facts.mode_reason})" if facts.mode_reason else ""
        return _keep(Code.OFF, f"auto-stop is off for it{why}{ignored}")
    if facts.open_verb in ERRANDS:
        return _keep(Code.JOB_OPEN, f"its {facts.open_verb} job is open: a stop would cut it short")
    return None


def _hard_stop(facts: Facts, times: Deadlines) -> Decision | None:
    """What a person set beforehand needs no metrics and no further warning."""
    if times.hard_at is None or times.hard_code is None or times.hard_at > facts.now:
        return None
    words = {
        Code.STOP_AT_PASSED: f"its stop time {clock_words(times.hard_at)} has passed",
        Code.MAX_AGE: f"it has run for as long as it may: {times.hard_by}",
        Code.SCHEDULE: f"its working hours ended at {clock_words(times.hard_at)}",
    }
    return _due(facts, times.hard_code, words[times.hard_code])


def _on_its_way(facts: Facts, times: Deadlines) -> Decision | None:
    if facts.observed in (Observed.RESTARTING, Observed.MIGRATING):
        return _keep(Code.MOVING, f"Novita reports {facts.raw_status}: it is judged when it runs again")
    if times.idle_at is not None:
        return None
    deadline = facts.startup_deadline_at
    if deadline is None:
        return _keep(Code.STARTING, "it is not ready yet, and when it began to start is not known")
    return _keep(Code.STARTING, f"it is not ready yet and has until {clock_words(deadline)} for that")


def _not_due_yet(facts: Facts, times: Deadlines) -> Decision | None:
    """Neither due nor to be warned of: the end of most evaluations."""
    if times.clock is None or times.idle_at is None or facts.now >= _warns_from(facts, times):
        return None
    return _keep(_code_before(facts, times), _words_before(facts, times))


def _needs_metrics(facts: Facts, times: Deadlines) -> Decision | None:
    """A stop, and a warning of one, rest on metrics read just now."""
    if not metrics_may_hold(facts) or is_read(facts):
        return None
    return Decision(
        action=Action.READ_METRICS,
        code=Code.METRICS_NEEDED,
        reason=f"{_unused(facts, times)}; its metrics are to be read first",
    )


def _unknown(facts: Facts, times: Deadlines) -> Decision | None:
    """What cannot be seen counts as active: it holds, and after a while it is alarmed."""
    if not metrics_may_hold(facts):
        return None
    why = unknown_because(facts)
    if not why:
        return None
    overdue = facts.now >= (times.idle_at or facts.now) and facts.now - unknown_since(facts) >= facts.rules.unknown_limit
    kept = _keep(Code.NO_DATA, f"{_unused(facts, times)}, but it is running, paid, no data: {why}")
    return replace(kept, alarms=overdue)


def _warning(facts: Facts, times: Deadlines) -> Decision | None:
    """Warn once of each stop time, and keep to what was promised."""
    if times.idle_at is None:
        return None
    promised, lead = _promise(facts, times), warning_lead(facts)
    waits = facts.warns_first and lead > _ZERO and (promised is None or facts.now < promised)
    if facts.now < times.idle_at or (waits and _acts(facts)):
        if not _acts(facts):
            return _keep(_code_before(facts, times), _words_before(facts, times))
        stop_at = promised or max(times.idle_at, facts.now + lead)
        kept = _keep(Code.WARNED, f"{_unused(facts, times)}; warned: it is stopped at {clock_words(stop_at)}")
        return replace(kept, warn_of=stop_at if promised is None else None, next_at=stop_at, found_idle=True)
    return None


def _in_a_row(facts: Facts, times: Deadlines) -> Decision | None:
    found = facts.idle_before + 1
    if found >= facts.rules.in_a_row:
        return None
    kept = _keep(Code.IDLE_AGAIN, f"{_unused(facts, times)}; found idle {found} of {facts.rules.in_a_row} times in a row")
    return replace(kept, found_idle=True)


_RULES: tuple[Callable[[Facts, Deadlines], Decision | None], ...] = (
    _not_ours_to_stop,
    _nothing_to_stop,
    _left_alone,
    _hard_stop,
    _on_its_way,
    _not_due_yet,
    _needs_metrics,
    _unknown,
    _warning,
    _in_a_row,
)


def _idle(facts: Facts, times: Deadlines) -> Decision:
    """Nothing holds it any longer."""
    code = Code.IDLE if facts.ready_at is not None else Code.NEVER_READY
    never = "" if facts.ready_at is not None else "it never became ready: "
    seen = "; ".join(one.value for one in signals(facts) if one.name in (SignalName.GPU, SignalName.CPU) and one.holds)
    due = _due(facts, code, f"{never}{_unused(facts, times)}" + (f"; {seen}" if seen else ""))
    if facts.idle_hold is not Hold.NONE and due.action is Action.STOP:
        due = replace(
            due,
            action=Action.WOULD_STOP,
            hold=facts.idle_hold,
            reason=f"{due.reason}; held: {facts.idle_hold_reason}",
            next_at=None,
        )
    return replace(due, found_idle=True)


def _due(facts: Facts, code: Code, reason: str) -> Decision:
    """A stop, or what holds it."""
    stop = Decision(action=Action.STOP, code=code, reason=reason, next_at=facts.now)
    if facts.mode is not Mode.ENFORCE:
        why = f" ({facts.mode_reason})" if facts.mode_reason else ""
        observed = f"{reason}; it is only observed{why}: not stopped"
        return replace(stop, action=Action.WOULD_STOP, hold=Hold.OBSERVE, reason=observed, next_at=None)
    if facts.hold is not Hold.NONE:
        why = facts.hold_reason or f"automation is {facts.hold}"
        return replace(stop, action=Action.WOULD_STOP, hold=facts.hold, reason=f"{reason}; held: {why}", next_at=None)
    return stop


def _acts(facts: Facts) -> bool:
    """Whether a stop would really follow, so that a warning is true."""
    return facts.mode is Mode.ENFORCE and facts.hold is Hold.NONE and facts.idle_hold is Hold.NONE


def _promise(facts: Facts, times: Deadlines) -> datetime | None:
    """The stop time people were warned of, while it still stands: activity since, or too long a wait, ends it."""
    promised = facts.promised_at
    if promised is None or times.idle_at is None or promised < times.idle_at:
        return None
    return promised if facts.now - promised <= max(PROMISE_LASTS, 2 * facts.interval) else None


def _warns_from(facts: Facts, times: Deadlines) -> datetime:
    """From when on a stop to come is looked at closely: early enough for the warning, if the next evaluation is too late.

    Not before half the threshold has passed, nor before samples may be expected: what is used all the time is not warned of
    all the time, though metrics come late.
    """
    clock, idle_at = times.clock, times.idle_at
    if clock is None or idle_at is None:
        return facts.now
    lead, earliest = warning_lead(facts), clock.since + max(facts.rules.threshold / 2, OLDEST_SAMPLE)
    return min(idle_at, max(idle_at - lead - facts.interval, earliest)) if lead else idle_at


def _code_before(facts: Facts, times: Deadlines) -> Code:
    """What holds it before its idle stop time: being kept, a grace, activity, or the threshold alone."""
    clock = times.clock
    if clock is None:
        return Code.STARTING
    if facts.keep_until is not None and times.idle_at == facts.keep_until:
        return Code.KEPT
    if clock.since + facts.rules.threshold <= facts.now:
        return Code.GRACE
    return _ACTIVE_CODES.get(clock.signal, Code.THRESHOLD_NOT_REACHED) if clock.signal else Code.THRESHOLD_NOT_REACHED


def _words_before(facts: Facts, times: Deadlines) -> str:
    code = _code_before(facts, times)
    if code is Code.KEPT:
        return f"it is {times.idle_by}"
    if code is Code.GRACE:
        return f"{_unused(facts, times)}; held by {times.idle_by}"
    clock = times.clock
    words = f"{_ago(facts, times)}; it may sleep after {duration_words(facts.rules.threshold)}"
    active = next((one.value for one in signals(facts) if clock and one.name == clock.signal), "")
    measured = clock is not None and clock.signal in (SignalName.GPU, SignalName.CPU)
    return f"{words}: {active}" if measured else words


def _ago(facts: Facts, times: Deadlines) -> str:
    clock = times.clock
    if clock is None:
        return "it is not ready yet"
    return f"{duration_words(max(facts.now - clock.since, _ZERO))} since {clock.by}"


def _unused(facts: Facts, times: Deadlines) -> str:
    return f"{_ago(facts, times)}, threshold {duration_words(facts.rules.threshold)}"


def _completed(decision: Decision, facts: Facts, times: Deadlines) -> Decision:
    """With its facts and deadlines, the next time, and the warning of a hard stop."""
    if decision.code in _LEFT_ALONE:
        return decision
    return Decision(
        action=decision.action,
        code=decision.code,
        reason=decision.reason,
        hold=decision.hold,
        deadlines=times,
        next_at=decision.next_at or _next_at(decision, facts, times),
        warn_of=decision.warn_of or _hard_warning(decision, facts, times),
        found_idle=decision.found_idle,
        alarms=decision.alarms,
        facts=facts,
    )


def _next_at(decision: Decision, facts: Facts, times: Deadlines) -> datetime | None:
    """When time alone may make it due; None where something else has to happen first."""
    hard = times.hard_at if times.hard_at and times.hard_at > facts.now else None
    if decision.hold is not Hold.NONE or decision.code in (Code.NO_DATA, Code.METRICS_NEEDED, Code.JOB_OPEN, Code.MOVING):
        return hard
    if decision.code is Code.STARTING:
        deadline = facts.startup_deadline_at
        return _earliest(deadline + facts.rules.threshold if deadline else None, hard)
    if decision.code is Code.IDLE_AGAIN:
        return _earliest(facts.now + facts.interval, hard)
    return _earliest(times.idle_at, hard)


def _hard_warning(decision: Decision, facts: Facts, times: Deadlines) -> datetime | None:
    hard = times.hard_at
    if decision.action is not Action.KEEP or hard is None or facts.promised_at == hard or not _acts(facts):
        return None
    near = hard - facts.rules.warning_lead - facts.interval <= facts.now < hard
    return hard if near and (times.idle_at is None or hard <= times.idle_at) else None


def _earliest(first: datetime | None, second: datetime | None) -> datetime | None:
    return min((one for one in (first, second) if one is not None), default=None)
