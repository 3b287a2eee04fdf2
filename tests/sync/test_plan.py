"""What a list means for the records: pure, by example and by property."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from instances.novita.types import RemoteInstance
from instances.readings import Reading, reading_of
from sync.plan import Known, Plan, plan

BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SETTLE = timedelta(seconds=60)
EARLIER = BEGAN - timedelta(minutes=5)


def remote(novita_id: str, *, name: str = "", status: str = "running") -> Reading:
    return reading_of(RemoteInstance(id=novita_id, name=name, status=status))


def known(novita_id: str | None, number: int = 0, **columns: Any) -> Known:
    values: dict[str, Any] = {
        "machine_id": number or abs(hash(novita_id)) % 10**6,
        "instance_id": f"instance-{novita_id}",
        "novita_id": novita_id,
        "correlation_id": None,
        "values": dict(remote(novita_id or "").columns),
        "observed_at": EARLIER,
    }
    return Known(**{**values, **columns})


def compare(rows: list[Known], seen: list[Reading], *, complete: bool = True, **options: Any) -> Plan:
    return plan(rows, seen, complete=complete, began_at=BEGAN, settle=SETTLE, **options)


def kinds(found: Plan) -> list[tuple[str, str]]:
    return [(change.kind, change.novita_id) for change in found.changes]


def test_what_is_as_it_was_is_no_change() -> None:
    assert compare([known("a")], [remote("a")]).changes == ()


def test_a_difference_is_named() -> None:
    [change] = compare([known("a")], [remote("a", status="exited")]).changes

    assert (change.kind, change.reason) == ("observe", "differs in status")


def test_an_unsettled_wish_is_judged_by_every_list() -> None:
    assert kinds(compare([known("a", unsettled=True)], [remote("a")])) == [("recheck", "a")]


def test_what_nobody_made_here_is_discovered_and_what_an_attempt_made_is_resolved() -> None:
    attempt = known(None, 7, correlation_id="abcdefghijklmnop", observed_at=None, called_at=EARLIER)
    seen = [remote("stranger", name="dev"), remote("ours", name="worker--abcdefghijklmnop")]

    assert kinds(compare([attempt], seen)) == [("discover", "stranger"), ("resolve", "ours")]


def test_a_second_machine_with_the_same_mark_is_surplus() -> None:
    first = known("first", correlation_id="abcdefghijklmnop")

    found = compare([first], [remote("first"), remote("second", name="worker--abcdefghijklmnop")])

    assert kinds(found) == [("surplus", "second")]


def test_one_that_a_complete_list_lacks_is_missing_once() -> None:
    rows = [known("a"), known("b"), known("c"), known("d")]
    seen = [remote("a"), remote("b"), remote("c")]

    assert kinds(compare(rows, seen)) == [("missing", "d")]
    assert kinds(compare([*rows[:3], replace(rows[3], missing=True)], seen)) == []


def test_an_incomplete_list_and_a_frozen_account_make_nothing_missing() -> None:
    rows = [known(str(number)) for number in range(10)]

    assert compare(rows, [remote("0")], complete=False).changes == ()
    assert compare(rows, [remote("0")], frozen=True).changes == ()


def test_a_young_create_is_not_missing_yet() -> None:
    young = known("new", observed_at=None, called_at=BEGAN - timedelta(seconds=30))
    old = replace(young, called_at=BEGAN - timedelta(seconds=61))

    assert kinds(compare([known("a"), young], [remote("a")])) == []
    assert kinds(compare([known("a"), old], [remote("a")])) == [("missing", "new")]


def test_one_read_by_id_after_the_list_began_is_not_missing() -> None:
    assert kinds(compare([known("a"), known("b", observed_at=BEGAN)], [remote("a")])) == []


def test_an_empty_list_is_not_believed_until_a_second_one_agrees() -> None:
    rows = [known("a"), known("b")]

    first = compare(rows, [])
    assert first.changes == ()
    assert "empty" in first.suspicion_text

    second = compare(rows, [], believed_suspicion=first.suspicion)
    assert kinds(second) == [("missing", "a"), ("missing", "b")]
    assert second.suspicion_text == ""


def test_a_list_that_lacks_others_than_the_one_before_is_not_believed_either() -> None:
    rows = [known(str(number)) for number in range(9)]
    seen = [remote(str(number)) for number in range(9)]
    first = compare(rows, seen[:5])

    assert first.suspicion_text
    assert compare(rows, seen[4:], believed_suspicion=first.suspicion).changes == ()


def test_what_we_deleted_ourselves_raises_no_suspicion() -> None:
    rows = [known(str(number), ours_to_end=True) for number in range(5)]

    assert [kind for kind, _ in kinds(compare(rows, []))] == ["missing"] * 5


def test_two_missing_of_ten_are_no_suspicion_and_four_are() -> None:
    rows = [known(str(number)) for number in range(10)]
    seen = [remote(str(number)) for number in range(10)]

    assert len(compare(rows, seen[:8]).changes) == 2
    assert compare(rows, seen[:6]).changes == ()
    assert compare(rows, seen[:6]).suspicion


IDS = st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), unique=True, max_size=26)


@given(there=IDS, recorded=IDS, complete=st.booleans(), frozen=st.booleans())
def test_every_listed_machine_is_accounted_for_and_none_listed_is_missing(
    there: list[str], recorded: list[str], complete: bool, frozen: bool
) -> None:
    rows = [known(one) for one in recorded]

    found = compare(rows, [remote(one) for one in there], complete=complete, frozen=frozen)

    by_kind = {kind: {one for found_kind, one in kinds(found) if found_kind == kind} for kind in ("discover", "missing")}
    assert by_kind["discover"] == set(there) - set(recorded)
    assert not by_kind["missing"] & set(there)
    if not complete or frozen or found.suspicion_text:
        assert not by_kind["missing"]
    else:
        assert by_kind["missing"] == set(recorded) - set(there)
    assert found.known_seen == len(set(there) & set(recorded))
