"""What holds for every list and every set of records, however odd."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from instances.correlation import provider_name
from instances.novita.types import RemoteInstance
from instances.readings import Reading, reading_of
from sync.plan import Known, Plan, Trust, plan

BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SETTLE = timedelta(seconds=60)
EARLIER = BEGAN - timedelta(minutes=5)
IDS = [f"nv{number}" for number in range(12)]
MARKS = ["a" * 16, "b" * 16, "c" * 16]
SEEN_AT = [None, EARLIER, BEGAN, BEGAN + timedelta(seconds=1)]
CALLED_AT = [None, EARLIER, BEGAN - SETTLE, BEGAN - timedelta(seconds=59)]


def reading(novita_id: str, status: str = "running", mark: str = "") -> Reading:
    name = provider_name("worker", mark) if mark else "dev"
    return reading_of(RemoteInstance(id=novita_id, name=name, status=status))


READINGS = st.lists(
    st.builds(
        reading, st.sampled_from(IDS), st.sampled_from(["running", "exited", "hibernating"]), st.sampled_from(["", *MARKS])
    ),
    unique_by=lambda one: one.novita_id,
    max_size=12,
)


@st.composite
def records(draw: st.DrawFn) -> list[Known]:
    """Rows as the table can hold them: ids and marks are unique, an attempt without an id was never observed."""
    ids = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=12))
    marks = draw(st.lists(st.sampled_from(MARKS), unique=True, max_size=3))
    attempts: list[tuple[str | None, str | None]] = [(None, mark) for mark in marks[len(ids) :]]
    pairs = [(one, marks[number] if number < len(marks) else None) for number, one in enumerate(ids)] + attempts
    return [_row(draw, number, novita_id, mark) for number, (novita_id, mark) in enumerate(pairs)]


def _row(draw: st.DrawFn, number: int, novita_id: str | None, mark: str | None) -> Known:
    truths: dict[str, Any] = {
        name: draw(st.booleans()) for name in ("missing", "unverified", "not_found", "absent", "unsettled", "ours_to_end")
    }
    if novita_id is None:
        truths |= dict.fromkeys(("missing", "unverified", "not_found", "absent"), False)
    return Known(
        machine_id=number,
        instance_id=f"instance-{number}",
        novita_id=novita_id,
        correlation_id=mark,
        values=dict(reading(novita_id or "", draw(st.sampled_from(["running", "exited"]))).columns),
        observed_at=None if novita_id is None else draw(st.sampled_from(SEEN_AT)),
        called_at=draw(st.sampled_from(CALLED_AT)),
        **truths,
    )


def compare(rows: list[Known], seen: list[Reading], *, complete: bool = True, **options: Any) -> Plan:
    return plan(rows, seen, complete=complete, began_at=BEGAN, settle=SETTLE, **options)


def ids_of(found: Plan, *kinds: str) -> list[str]:
    return [change.novita_id for change in found.changes if change.kind in kinds]


@given(records(), READINGS, st.booleans(), st.booleans())
def test_a_machine_in_the_list_is_never_missing_and_every_change_has_a_reason(
    rows: list[Known], seen: list[Reading], complete: bool, frozen: bool
) -> None:
    found = compare(rows, seen, complete=complete, frozen=frozen)

    assert not set(ids_of(found, "missing")) & {one.novita_id for one in seen}
    assert all(change.reason for change in found.changes)
    assert len({change.novita_id for change in found.changes}) == len(found.changes)


@given(records(), READINGS)
def test_only_a_complete_list_of_an_account_that_is_not_frozen_says_missing(rows: list[Known], seen: list[Reading]) -> None:
    for options in ({"complete": False}, {"frozen": True}, {"complete": False, "frozen": True}):
        found = compare(rows, seen, **options)
        assert ids_of(found, "missing") == []
        assert (found.lacked, found.doubt) == ("", "")


@given(records(), READINGS)
def test_what_is_missing_was_known_seen_before_and_is_old_enough(rows: list[Known], seen: list[Reading]) -> None:
    by_id = {row.novita_id: row for row in rows}

    for novita_id in ids_of(compare(rows, seen), "missing"):
        row = by_id[novita_id]
        assert not row.missing
        assert not row.absent
        assert row.observed_at is None or row.observed_at < BEGAN
        assert row.observed_at is not None or row.called_at is None or row.called_at + SETTLE <= BEGAN


@given(records(), READINGS)
def test_a_listed_machine_is_discovered_exactly_where_nothing_here_knows_it(rows: list[Known], seen: list[Reading]) -> None:
    known = {row.novita_id for row in rows}
    marks = {row.correlation_id: row for row in rows if row.correlation_id}
    found = compare(rows, seen)

    for one in seen:
        mark = next((mark for mark in MARKS if str(one.columns["provider_name"]).endswith(mark)), "")
        row = marks.get(mark)
        kind = next((change.kind for change in found.changes if change.novita_id == one.novita_id), "")
        if one.novita_id in known:
            assert kind in ("observe", "recheck", "")
        elif row is None:
            assert kind == "discover"
        else:
            assert kind == ("surplus" if row.novita_id else "resolve")


@given(records(), READINGS)
def test_what_was_taken_over_is_no_change_the_next_time(rows: list[Known], seen: list[Reading]) -> None:
    by_id = {one.novita_id: one for one in seen}
    settled = [
        replace(row, values=dict(by_id[row.novita_id].columns), missing=False, unverified=False, unsettled=False)
        if row.novita_id in by_id
        else row
        for row in rows
    ]

    assert ids_of(compare(settled, seen), "observe", "recheck") == []


@given(records(), READINGS)
def test_a_doubt_begins_with_an_empty_list_or_with_three_and_more_than_thirty_percent(
    rows: list[Known], seen: list[Reading]
) -> None:
    listed = {one.novita_id for one in seen}
    live = [row for row in rows if row.novita_id and not row.absent]
    unexpected = [
        row for row in live if row.novita_id not in listed and _is_old(row) and not row.missing and not row.ours_to_end
    ]

    too_much = bool(unexpected) and (not seen or (len(unexpected) >= 3 and len(unexpected) * 10 > 3 * len(live)))

    found = compare(rows, seen)
    assert bool(found.doubt) == too_much
    assert not (too_much and ids_of(found, "missing"))
    assert not (ids_of(found, "unverified") and not too_much)


def _is_old(row: Known) -> bool:
    young = row.observed_at is None and row.called_at is not None and row.called_at + SETTLE > BEGAN
    return not young and not (row.observed_at is not None and row.observed_at >= BEGAN)


@given(records(), READINGS)
def test_a_doubt_ends_only_with_a_second_equal_list_whose_every_lack_was_not_found(
    rows: list[Known], seen: list[Reading]
) -> None:
    first = compare(rows, seen)
    again = compare(rows, seen, trust=Trust(doubted=True, lacked=first.lacked))
    other = compare(rows, seen, trust=Trust(doubted=True, lacked="of others"))
    accepted = compare(rows, seen, trust=Trust(doubted=True, lacked="of others", accepted=first.lacked))

    lacking = set(ids_of(accepted, "missing"))
    confirmed = all(row.not_found or row.ours_to_end for row in rows if row.novita_id in lacking)
    assert (again.doubt == "") == confirmed
    assert set(ids_of(again, "missing")) == (lacking if confirmed else set())
    assert other.doubt
    assert ids_of(other, "missing") == []
    assert accepted.doubt == ""


def test_the_border_of_suspicion_is_three_and_more_than_thirty_percent() -> None:
    for live, lacking, suspicious in (
        (4, 2, False),
        (9, 3, True),
        (10, 3, False),
        (11, 4, True),
        (3, 3, True),
        (1, 1, True),
    ):
        rows = [
            Known(
                machine_id=number,
                instance_id="",
                novita_id=f"m{number}",
                correlation_id=None,
                values=dict(reading("").columns),
                observed_at=EARLIER,
            )
            for number in range(live)
        ]
        found = compare(rows, [reading(f"m{number}") for number in range(lacking, live)])
        assert bool(found.doubt) == suspicious, (live, lacking)
        assert len(ids_of(found, "missing")) == (0 if suspicious else lacking), (live, lacking)


def test_the_order_of_records_and_lists_does_not_matter_to_what_is_suspected() -> None:
    rows = [
        Known(machine_id=number, instance_id="", novita_id=one, correlation_id=None, values={}, observed_at=EARLIER)
        for number, one in enumerate(IDS)
    ]

    assert compare(rows, []).lacked == compare(rows[::-1], []).lacked
