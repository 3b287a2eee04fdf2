import threading
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from instances.novita.pace import LocalPace, PaceState, Rank, full_pace, slowed, take_token

START = 1_768_435_200.0


def drain(rank: Rank, seconds: float, per_minute: float, state: PaceState | None = None) -> list[float]:
    """The times, from 0, at which a caller who asks as often as it may is let through."""
    state = state or full_pace(START, per_minute)
    now, times = START, []
    while now <= START + seconds:
        state, wait = take_token(state, rank, now, per_minute)
        if wait == 0:
            times.append(now - START)
        now += wait
    return times


def test_writes_may_use_the_whole_pace_and_no_more() -> None:
    assert 95 <= len(drain(Rank.WRITE, 60, 100)) <= 101


def test_lists_get_at_most_half() -> None:
    assert 45 <= len(drain(Rank.LIST, 60, 100)) <= 51


@given(
    per_minute=st.sampled_from([1.0, 2.0, 10.0, 100.0, 600.0]),
    asks=st.lists(st.tuples(st.sampled_from(Rank), st.floats(0, 5)), max_size=300),
)
def test_no_minute_holds_more_than_the_pace(per_minute: float, asks: list[tuple[Rank, float]]) -> None:
    state, now = full_pace(START, per_minute), START
    taken: list[tuple[float, Rank]] = []
    for rank, pause in asks:
        now += pause
        state, wait = take_token(state, rank, now, per_minute)
        if wait == 0:
            taken.append((now, rank))

    for begin, _ in taken:
        minute = [rank for at, rank in taken if begin <= at < begin + 60]
        assert len(minute) <= per_minute + 1
        assert minute.count(Rank.LIST) <= max(1, per_minute / 2) + 1


@given(
    per_minute=st.floats(1, 1000),
    rank=st.sampled_from(Rank),
    tokens=st.floats(-5, 50),
    list_tokens=st.floats(-5, 50),
    slow=st.floats(-100, 100),
)
def test_asking_again_after_the_wait_succeeds(
    per_minute: float, rank: Rank, tokens: float, list_tokens: float, slow: float
) -> None:
    state = PaceState(tokens=tokens, list_tokens=list_tokens, at=START, slow_until=START + slow)
    now = START
    for _ in range(4):
        state, wait = take_token(state, rank, now, per_minute)
        if wait == 0:
            return
        now += wait
    raise AssertionError("still refused")


def test_the_rest_leaves_a_reserve_for_writes() -> None:
    state = full_pace(START, 100)
    while True:
        state, wait = take_token(state, Rank.REST, START, 100)
        if wait:
            break

    writes = 0
    while take_token(state, Rank.WRITE, START, 100)[1] == 0:
        state, _ = take_token(state, Rank.WRITE, START, 100)
        writes += 1
    assert writes >= 5


def test_a_refused_ask_takes_nothing() -> None:
    state = full_pace(START, 1)
    state, _ = take_token(state, Rank.WRITE, START, 1)

    first, wait = take_token(state, Rank.REST, START, 1)
    second, same = take_token(first, Rank.REST, START, 1)

    assert wait == same > 0
    assert first == second


def test_after_a_429_only_writes_go_and_slower() -> None:
    state = slowed(full_pace(START, 100), START + 30, START, 100)

    assert drain(Rank.LIST, 29, 100, state) == []
    assert drain(Rank.REST, 29, 100, state) == []
    slow, usual = drain(Rank.WRITE, 30, 100, state), drain(Rank.WRITE, 30, 100)
    assert 15 <= len(slow) < len(usual) / 2
    assert drain(Rank.LIST, 40, 100, state)[0] >= 30


def test_no_429_and_no_clock_stops_us_for_longer_than_a_minute() -> None:
    state = slowed(full_pace(START, 100), START + 86400, START, 100)
    assert state.slow_until == START + 60

    set_back, wait = take_token(state, Rank.LIST, START - 86400, 100)
    assert wait <= 60
    assert take_token(set_back, Rank.LIST, START - 86400 + wait, 100)[1] <= 2


def test_threads_together_take_no_more_than_there_is() -> None:
    pace = LocalPace(100, clock=lambda: START)
    taken: list[int] = []

    def ask() -> None:
        taken.extend(1 for _ in range(20) if pace.take(Rank.WRITE) == 0)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == 20


def test_a_local_pace_slows_down_when_told() -> None:
    pace = LocalPace(100, clock=lambda: START)

    pace.slow_down(datetime.fromtimestamp(START + 5, UTC))

    assert pace.take(Rank.REST) == 5
