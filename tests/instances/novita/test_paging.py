import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.novita.errors import Unavailable
from instances.novita.paging import Page, Pages, parse_page, read_pages
from instances.novita.types import RemoteInstance

Numbering = int  # 0: pages count from 0; 1: from 1, and 0 is the first page too


def items(*ids: str) -> tuple[RemoteInstance, ...]:
    return tuple(RemoteInstance(id=item_id) for item_id in ids)


def names(count: int) -> list[str]:
    return [f"i{number}" for number in range(count)]


class Server:
    """Serves slices of a list under one reading of page numbers, and counts the requests."""

    def __init__(self, ids: list[str], size: int, numbering: Numbering) -> None:
        self.ids, self.size, self.numbering, self.asked = ids, size, numbering, 0

    def __call__(self, number: int) -> Page[RemoteInstance]:
        self.asked += 1
        start = (number if self.numbering == 0 else max(number, 1) - 1) * self.size
        return Page(items=items(*self.ids[start : start + self.size]), total=len(self.ids))


def script(*pages: Page[RemoteInstance]) -> Pages[RemoteInstance]:
    left = list(pages)
    return read_pages(lambda number: left.pop(0) if left else Page(items=(), total=pages[-1].total))


@given(count=st.integers(0, 700), size=st.integers(1, 120), numbering=st.sampled_from([0, 1]))
def test_every_page_is_seen_under_both_numberings(count: int, size: int, numbering: int) -> None:
    server = Server(names(count), size, numbering)

    pages = read_pages(server)

    assert [item.id for item in pages.items] == names(count)
    assert pages.complete, pages.problem
    assert pages.total == count
    assert pages.pages == server.asked <= math.ceil(count / size) + 1


@given(count=st.integers(0, 100), numbering=st.sampled_from([0, 1]))
def test_up_to_a_hundred_cost_one_request(count: int, numbering: int) -> None:
    server = Server(names(count), 100, numbering)

    assert read_pages(server).complete
    assert server.asked == 1


@given(
    st.lists(
        st.builds(
            lambda ids, total, damaged: Page(items=items(*ids), total=total, damaged=damaged),
            st.lists(st.sampled_from(names(8)), max_size=5),
            st.none() | st.integers(0, 9),
            st.integers(0, 1),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_complete_is_never_claimed_for_a_wrong_count(pages: list[Page[RemoteInstance]]) -> None:
    found = script(*pages)

    ids = [item.id for item in found.items]
    assert len(set(ids)) == len(ids)
    assert found.complete == (not found.problem)
    if found.complete:
        assert len(ids) == found.total
        assert all(page.total == found.total and not page.damaged for page in pages[: found.pages])


def test_a_changing_total_is_no_complete_list() -> None:
    found = script(Page(items=items("a", "b"), total=4), Page(items=items("c", "d", "e"), total=5))

    assert not found.complete
    assert found.problem == "the total changed from 4 to 5"


def test_an_item_that_slid_to_the_next_page_is_no_complete_list() -> None:
    found = script(Page(items=items("a", "b"), total=3), Page(items=items("b", "c"), total=3))

    assert not found.complete
    assert "page 1 repeats ids" in found.problem


def test_a_gap_is_no_complete_list() -> None:
    found = script(Page(items=items("a", "b"), total=5), Page(items=items("c"), total=5))

    assert not found.complete
    assert found.problem == "saw 3 of 5"


def test_more_items_than_the_total_is_no_complete_list() -> None:
    assert script(Page(items=items("a", "b"), total=1)).problem == "saw 2 of 1"


def test_a_missing_total_is_no_complete_list_even_when_empty() -> None:
    assert not script(Page(items=(), total=None)).complete
    assert script(Page(items=(), total=0)).complete


def test_an_empty_page_0_before_strict_numbering_from_1_is_passed_over() -> None:
    found = script(Page(items=(), total=2), Page(items=items("a", "b"), total=2))

    assert found.complete
    assert found.pages == 2


def test_an_item_without_id_leaves_the_others_and_the_list_incomplete() -> None:
    raw = {"instances": [{"id": "a"}, {"name": "no id"}, None, {"id": "b"}], "total": 4}

    found = script(parse_page(raw, RemoteInstance.from_api, "instances"))

    assert [item.id for item in found.items] == ["a", "b"]
    assert not found.complete
    assert "page 0 has 2 unreadable items" in found.problem


def test_an_error_on_the_first_page_is_raised() -> None:
    def fail(number: int) -> Page[RemoteInstance]:
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        read_pages(fail)


def test_an_error_on_a_later_page_keeps_what_was_read() -> None:
    def fail_later(number: int) -> Page[RemoteInstance]:
        if number:
            raise Unavailable("away")
        return Page(items=items("a"), total=2)

    found = read_pages(fail_later)

    assert [item.id for item in found.items] == ["a"]
    assert found.problem == "page 1: unavailable; saw 1 of 2"


def test_endless_repeats_end() -> None:
    asked: list[int] = []

    def same(number: int) -> Page[RemoteInstance]:
        asked.append(number)
        return Page(items=items("a"), total=5)

    assert not read_pages(same).complete
    assert asked == [0, 1, 2]


def test_each_page_is_reported() -> None:
    seen: list[int] = []

    read_pages(Server(names(250), 100, 0), seen.append)

    assert seen == [1, 2, 3]
