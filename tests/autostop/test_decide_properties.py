"""What holds for whatever facts: total, repeatable, never a stop on doubt, and use only ever delays a stop."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from autostop.judgement import OLDEST_SAMPLE, Level, Reading
from hypothesis import assume, given
from hypothesis import strategies as st

from autostop.decide import Action, Code, Decision, Facts, Hold, Mode, decide
from instances.lifecycle import Observed, Verb, Wanted

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
HOURS = st.timedeltas(min_value=timedelta(hours=-5), max_value=timedelta(hours=1))
MOMENTS = HOURS.map(lambda offset: NOW + offset)
MAYBE = st.none() | MOMENTS
PERCENT = st.floats(min_value=0, max_value=3200)
LEVELS = st.builds(
    Level,
    mean=PERCENT,
    newest_at=st.timedeltas(min_value=timedelta(minutes=-8), max_value=timedelta(0)).map(lambda offset: NOW + offset),
)
READINGS = st.builds(
    Reading,
    start=st.just(NOW - timedelta(minutes=20)),
    end=st.just(NOW),
    gpus=st.dictionaries(st.sampled_from("0123"), LEVELS, max_size=4),
    gpu_avg=st.none() | LEVELS,
    cpu=st.none() | LEVELS,
)
FACTS = st.builds(
    Facts,
    now=st.just(NOW),
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
    last_used_at=MAYBE,
    stop_at=MAYBE,
    gpu_num=st.integers(min_value=0, max_value=4),
    threshold=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(hours=3)),
    hold=st.sampled_from([Hold.NONE, Hold.PAUSED, Hold.FROZEN]),
    reading=st.none() | READINGS,
)
# Those a rule may stop by idleness: everything that is left then is the clock and the metrics.
JUDGED = FACTS.map(
    lambda facts: replace(
        facts,
        managed=True,
        mode=Mode.ENFORCE,
        protected=False,
        observed=Observed.RUNNING,
        wanted=Wanted.RUNNING,
        open_verb="",
        hold=Hold.NONE,
        stop_at=None,
    )
)
DUE = (Action.STOP, Action.WOULD_STOP)


def may_come(decision: Decision) -> datetime:
    """The earliest time at which it may be stopped: now for one that is due or waits for its metrics alone."""
    if decision.action in (*DUE, Action.READ_METRICS) or decision.code in (Code.GPU_ACTIVE, Code.CPU_ACTIVE, Code.NO_DATA):
        return NOW
    return decision.next_at or datetime.max.replace(tzinfo=UTC)


@given(FACTS)
def test_any_facts_get_the_same_reasoned_answer_twice(facts: Facts) -> None:
    first, second = decide(facts), decide(facts)

    assert first == second
    assert first.reason


@given(FACTS, st.sampled_from(["protected", "off", "unmanaged", "unfamiliar"]))
def test_what_rules_may_not_touch_is_never_due(facts: Facts, kind: str) -> None:
    untouchable = {
        "protected": replace(facts, protected=True),
        "off": replace(facts, mode=Mode.OFF),
        "unmanaged": replace(facts, managed=False),
        "unfamiliar": replace(facts, observed=Observed.UNKNOWN),
    }[kind]

    assert decide(untouchable).action is Action.KEEP


@given(JUDGED, READINGS)
def test_without_a_fresh_sample_of_the_cpu_nothing_is_stopped(facts: Facts, reading: Reading) -> None:
    old = reading.cpu and replace(reading.cpu, newest_at=NOW - OLDEST_SAMPLE - timedelta(seconds=1))

    assert decide(replace(facts, reading=replace(reading, cpu=old))).action not in DUE


@given(JUDGED, READINGS)
def test_without_any_gpu_sample_a_gpu_instance_is_not_stopped(facts: Facts, reading: Reading) -> None:
    assume(facts.gpu_num > 0)

    assert decide(replace(facts, reading=replace(reading, gpus={}, gpu_avg=None))).action not in DUE


@given(JUDGED, st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=3)))
def test_a_later_use_never_brings_a_stop_nearer(facts: Facts, later: timedelta) -> None:
    used_at = facts.last_used_at or NOW - timedelta(hours=5)

    less, more = decide(replace(facts, last_used_at=used_at)), decide(replace(facts, last_used_at=used_at + later))

    assert may_come(more) >= may_come(less)
    assert less.action in DUE or more.action not in DUE


@given(JUDGED, READINGS, st.floats(min_value=0, max_value=100), st.sampled_from(["gpus", "gpu_avg", "cpu"]))
def test_more_work_never_brings_a_stop_nearer(facts: Facts, reading: Reading, more: float, series: str) -> None:
    def busier(level: Level | None) -> Level | None:
        return level and replace(level, mean=level.mean + more)

    grown = {
        "gpus": replace(reading, gpus={name: replace(one, mean=one.mean + more) for name, one in reading.gpus.items()}),
        "gpu_avg": replace(reading, gpu_avg=busier(reading.gpu_avg)),
        "cpu": replace(reading, cpu=busier(reading.cpu)),
    }[series]

    before, after = decide(replace(facts, reading=reading)), decide(replace(facts, reading=grown))

    assert before.action in DUE or after.action not in DUE


@given(FACTS)
def test_observing_decides_as_enforcing_does_and_only_holds_the_act(facts: Facts) -> None:
    enforced = decide(replace(facts, mode=Mode.ENFORCE, hold=Hold.NONE))
    observed = decide(replace(facts, mode=Mode.OBSERVE, hold=Hold.NONE))

    assert enforced.code == observed.code
    assert (enforced.action is Action.STOP) == (observed.action is Action.WOULD_STOP)
