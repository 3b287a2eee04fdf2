"""What a list means for the records: pure, by example and by property."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from instances.novita.types import RemoteInstance
from instances.readings import Reading, reading_of
from sync.plan import Known, Plan, Trust, plan

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


def test_one_that_was_gone_and_is_listed_with_a_difference_is_judged_by_itself() -> None:
    row = known("a", absent=True, missing=True)

    [change] = compare(
        [row], [Reading(novita_id="a", columns=remote("a").columns | {"price_usd_per_hour": Decimal(1)})]
    ).changes

    assert (change.kind, change.unsettled) == ("observe", True)


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


def not_found(rows: list[Known], *ids: str) -> list[Known]:
    """The rows once a list that was not believed lacked some of them, and reads by id did not find those either."""
    return [replace(row, unverified=True, not_found=True) if row.novita_id in ids else row for row in rows]


def test_an_empty_list_is_believed_once_a_second_one_agrees_and_reads_confirm_each() -> None:
    rows = [known("a"), known("b")]

    first = compare(rows, [])
    assert kinds(first) == [("unverified", "a"), ("unverified", "b")]
    assert "empty" in first.doubt

    doubted = Trust(doubted=True, lacked=first.lacked)
    second = compare(not_found(rows, "a"), [], trust=doubted)
    assert "1 of them are not confirmed" in second.doubt

    third = compare(not_found(rows, "a", "b"), [], trust=doubted)
    assert kinds(third) == [("missing", "a"), ("missing", "b")]
    assert third.doubt == ""


def test_a_list_that_lacks_others_than_the_one_before_is_not_believed_either() -> None:
    rows = [known(str(number)) for number in range(9)]
    seen = [remote(str(number)) for number in range(9)]
    first = compare(rows, seen[:5])
    assert first.doubt

    gone = not_found(rows, *(str(number) for number in range(9)))
    second = compare(gone, seen[4:], trust=Trust(doubted=True, lacked=first.lacked))

    assert second.doubt
    assert {kind for kind, _ in kinds(second)} == {"observe"}  # those that were in doubt are listed again


def test_what_a_person_accepted_is_believed_at_once() -> None:
    rows = [known("a"), known("b")]
    first = compare(rows, [])

    found = compare(rows, [], trust=Trust(doubted=True, lacked=first.lacked, accepted=first.lacked))

    assert (found.doubt, kinds(found)) == ("", [("missing", "a"), ("missing", "b")])


def test_pages_that_disagree_are_doubted_until_two_complete_lists_agree() -> None:
    rows = [known("a"), known("b")]
    odd = compare(rows, [remote("a")], complete=False, disagrees=True)
    assert "disagree" in odd.doubt
    assert kinds(odd) == [("unverified", "b")]
    assert compare([], [remote("a")], complete=False, disagrees=True).doubt == ""  # nothing is known that could be lost

    whole = [remote("a"), remote("b")]
    first = compare(rows, whole, trust=Trust(doubted=True, lacked=odd.lacked))
    assert "must say the same" in first.doubt
    assert compare(rows, whole, trust=Trust(doubted=True, lacked=first.lacked)).doubt == ""


def test_what_is_missing_already_raises_no_doubt_again() -> None:
    rows = [known(str(number), missing=number < 3) for number in range(6)]

    found = compare(rows, [remote(str(number)) for number in (3, 4)])

    assert (found.doubt, kinds(found)) == ("", [("missing", "5")])


def test_what_we_deleted_ourselves_raises_no_suspicion() -> None:
    rows = [known(str(number), ours_to_end=True) for number in range(5)]

    assert [kind for kind, _ in kinds(compare(rows, []))] == ["missing"] * 5


def test_two_missing_of_ten_are_no_suspicion_and_four_are() -> None:
    rows = [known(str(number)) for number in range(10)]
    seen = [remote(str(number)) for number in range(10)]

    assert [kind for kind, _ in kinds(compare(rows, seen[:8]))] == ["missing"] * 2
    assert [kind for kind, _ in kinds(compare(rows, seen[:6]))] == ["unverified"] * 4
    assert compare(rows, seen[:6]).doubt


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
    if not complete or frozen or found.doubt:
        assert not by_kind["missing"]
    else:
        assert by_kind["missing"] == set(recorded) - set(there)
    assert found.known_seen == len(set(there) & set(recorded))
