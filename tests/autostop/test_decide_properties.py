"""What holds for whatever facts: total, repeatable, never a stop on doubt, and activity only ever delays a stop."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from autostop.decide import decide
from autostop.decide_facts import Action, Code, Facts, Hold, Mode, Rules, SignalName, Usage
from autostop.decide_outcome import Decision
from autostop.decide_signals import OLDEST_SAMPLE, unknown_because
from instances.lifecycle import Observed, Verb, Wanted

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
HOURS = st.timedeltas(min_value=timedelta(hours=-5), max_value=timedelta(hours=1))
PAST = st.timedeltas(min_value=timedelta(hours=-5), max_value=timedelta(0)).map(lambda offset: NOW + offset)
MOMENTS = HOURS.map(lambda offset: NOW + offset)
MAYBE = st.none() | MOMENTS
SPANS = st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=3))
USAGES = st.builds(
    Usage,
    window_start=PAST,
    read_at=st.none() | st.just(NOW) | PAST,
    newest_at=st.none() | PAST | st.just(NOW - timedelta(minutes=1)),
    gpu_active_at=st.none() | PAST,
    cpu_active_at=st.none() | PAST,
    known_share=st.floats(min_value=0, max_value=1),
    error=st.sampled_from(["", "", "away"]),
)
RULES = st.builds(
    Rules,
    threshold=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(hours=3)),
    in_a_row=st.integers(min_value=1, max_value=3),
    grace_after_start=SPANS,
    grace_after_ready=SPANS,
    max_age=st.none() | SPANS,
    warning_lead=SPANS,
    unknown_limit=SPANS,
)
HOLDS = st.dictionaries(st.sampled_from([str(name) for name in SignalName]), st.none() | SPANS)
FACTS = st.builds(
    Facts,
    now=st.just(NOW),
    rules=RULES,
    managed=st.booleans(),
    mode=st.sampled_from(Mode),
    protected=st.booleans(),
    observed=st.sampled_from(Observed),
    wanted=st.sampled_from(["", *Wanted]),
    wanted_since=MAYBE,
    open_verb=st.sampled_from(["", *Verb]),
    running_since=MAYBE,
    ready_at=MAYBE,
    startup_deadline_at=MAYBE,
    last_used_at=st.none() | PAST,
    beat_active_at=st.none() | PAST,
    usage=st.none() | USAGES,
    stop_at=MAYBE,
    scheduled_stop_at=MAYBE,
    keep_until=MAYBE,
    promised_at=MAYBE,
    warns_first=st.booleans(),
    idle_before=st.integers(min_value=0, max_value=3),
    hold=st.sampled_from([Hold.NONE, Hold.PAUSED, Hold.FROZEN]),
    idle_hold=st.sampled_from([Hold.NONE, Hold.METRICS]),
)
# Those a rule may stop by idleness: everything that is left then is the clock and the signals.
JUDGED = FACTS.map(
    lambda facts: replace(
        facts,
        rules=replace(facts.rules, max_age=None),
        managed=True,
        mode=Mode.ENFORCE,
        protected=False,
        observed=Observed.RUNNING,
        wanted=Wanted.RUNNING,
        open_verb="",
        hold=Hold.NONE,
        idle_hold=Hold.NONE,
        stop_at=None,
        scheduled_stop_at=None,
        ready_at=facts.ready_at or NOW - timedelta(hours=4),
    )
)
# Those whose metrics were read just now and are calm.
CALM = JUDGED.map(
    lambda facts: replace(
        facts,
        usage=Usage(window_start=NOW, read_at=NOW, newest_at=NOW - timedelta(minutes=1), known_share=1.0),
        ready_at=NOW - timedelta(hours=5),
        running_since=NOW - timedelta(hours=5),
        wanted_since=NOW - timedelta(hours=5),
    )
)
DUE = (Action.STOP, Action.WOULD_STOP)


def stop_time(decision: Decision) -> datetime:
    """The earliest time at which it may be stopped."""
    times = (decision.deadlines.idle_at, decision.deadlines.hard_at)
    return min((at for at in times if at is not None), default=datetime.max.replace(tzinfo=UTC))


@given(FACTS)
def test_any_facts_get_the_same_reasoned_answer_twice(facts: Facts) -> None:
    first, second = decide(facts), decide(facts)

    assert first == second
    assert first.reason
    assert first.evidence == second.evidence
    assert isinstance(first.nearest_miss, str)


@given(FACTS, st.sampled_from(["protected", "off", "unmanaged", "unfamiliar"]))
def test_what_rules_may_not_touch_is_never_due_nor_warned_of(facts: Facts, kind: str) -> None:
    untouchable = {
        "protected": replace(facts, protected=True),
        "off": replace(facts, mode=Mode.OFF),
        "unmanaged": replace(facts, managed=False),
        "unfamiliar": replace(facts, observed=Observed.UNKNOWN),
    }[kind]

    decision = decide(untouchable)

    assert (decision.action, decision.warn_of) == (Action.KEEP, None)


@given(JUDGED)
def test_unknown_never_stops(facts: Facts) -> None:
    if unknown_because(facts):
        assert decide(facts).action not in DUE


@given(JUDGED, USAGES)
def test_without_a_fresh_sample_nothing_is_stopped(facts: Facts, usage: Usage) -> None:
    old = replace(usage, newest_at=NOW - OLDEST_SAMPLE - timedelta(seconds=1))

    assert decide(replace(facts, usage=old)).action not in DUE
    assert decide(replace(facts, usage=None)).action not in DUE


@given(JUDGED, HOLDS, SPANS, st.sampled_from(["last_used_at", "beat_active_at", "gpu_active_at", "cpu_active_at"]))
def test_more_activity_never_brings_a_stop_nearer(
    facts: Facts, holds: dict[str, timedelta | None], later: timedelta, signal: str
) -> None:
    facts = replace(facts, rules=replace(facts.rules, holds=holds), usage=facts.usage or Usage(window_start=NOW))
    of_usage = signal.startswith(("gpu", "cpu"))
    known = getattr(facts.usage if of_usage else facts, signal) or NOW - timedelta(hours=5)

    def active(at: datetime) -> Facts:
        if of_usage and facts.usage is not None:
            return replace(facts, usage=replace(facts.usage, **{signal: at}))  # type: ignore[arg-type]
        return replace(facts, **{signal: at})  # type: ignore[arg-type]  # a time, whichever the signal

    less, more = decide(active(known)), decide(active(known + later))

    assert stop_time(more) >= stop_time(less)
    assert less.action in DUE or more.action not in DUE


@given(FACTS, SPANS)
def test_keeping_it_for_longer_never_brings_a_stop_nearer(facts: Facts, longer: timedelta) -> None:
    until = facts.keep_until or NOW

    less, more = decide(replace(facts, keep_until=until)), decide(replace(facts, keep_until=until + longer))

    assert stop_time(more) >= stop_time(less)
    assert less.action in DUE or more.action not in DUE


@given(FACTS)
def test_nothing_is_stopped_while_it_is_kept(facts: Facts) -> None:
    assert decide(replace(facts, keep_until=NOW + timedelta(seconds=1))).action not in DUE


@given(CALM)
def test_an_idle_stop_comes_only_after_its_time_and_what_was_promised(facts: Facts) -> None:
    decision = decide(replace(facts, warns_first=True))

    if decision.action is Action.STOP:
        idle_at = decision.deadlines.idle_at
        assert idle_at is not None
        assert idle_at <= NOW
        lead = min(facts.rules.warning_lead, facts.rules.threshold / 2)
        assert not lead or (facts.promised_at is not None and idle_at <= facts.promised_at <= NOW)


@given(st.one_of(FACTS, CALM))
def test_a_warning_is_of_a_stop_to_come_and_never_repeats_what_was_promised(facts: Facts) -> None:
    decision = decide(facts)

    if decision.warn_of is not None:
        assert decision.action is Action.KEEP
        assert decision.warn_of > NOW
        assert decision.warn_of != facts.promised_at


@given(FACTS)
def test_observing_finds_what_enforcing_does_and_only_holds_the_act(facts: Facts) -> None:
    bare = replace(facts, hold=Hold.NONE, idle_hold=Hold.NONE, warns_first=False)
    enforced, observed = decide(replace(bare, mode=Mode.ENFORCE)), decide(replace(bare, mode=Mode.OBSERVE))

    assert (enforced.action is Action.STOP) == (observed.action is Action.WOULD_STOP)
    assert enforced.code == observed.code or enforced.code is Code.WARNED
