"""Reading all pages of a list whose numbering nobody is sure of.

Whether Novita counts pages from 0, or from 1 with 0 meaning the first page too, is not documented; both occur in
code that works. Asking for 0, 1, 2, … and telling items apart by id is right under both: page 1 may be a copy of
page 0, and that copy is the one request more it may cost.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from instances.novita.coerce import Fields, Json, Malformed, to_decimal, to_list
from instances.novita.errors import NovitaError

_MOST_PAGES = 1000


class HasId(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=HasId)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """One page: its items, the total it states (None: none), and how many items could not be read."""

    items: tuple[Item, ...]
    total: int | None
    damaged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages(Generic[Item]):
    """All pages together. `complete`: they agreed on a total and as many different ids were seen.

    `disagrees`: all were read, and what they say does not fit together.
    """

    items: tuple[Item, ...]
    total: int
    complete: bool
    pages: int
    problem: str = ""
    disagrees: bool = False


def parse_page(raw: Json, make: Callable[[Json], Item], *names: str) -> Page[Item]:
    """The page in `raw`, its items under the first of `names` that is there; raises Malformed for no object.

    What `make` calls Malformed is counted, and the others are still read.
    """
    fields = Fields(raw)
    items, damaged = parse_items(to_list(fields.first(*names)), make)
    total = to_decimal(fields.first("total"))
    return Page(items=items, total=None if total is None or total < 0 else int(total), damaged=damaged)


def parse_items(raws: Sequence[Json], make: Callable[[Json], Item]) -> tuple[tuple[Item, ...], int]:
    """The readable items and the number of the others."""
    items = []
    for raw in raws:
        try:
            items.append(make(raw))
        except Malformed:
            continue
    return tuple(items), len(raws) - len(items)


def read_pages(fetch: Callable[[int], Page[Item]], on_page: Callable[[int], None] | None = None) -> Pages[Item]:
    """Fetch page 0, 1, 2, … until all is seen. An error on the first page is raised; on a later one it ends

    the reading, as the problem of an incomplete result. `on_page` is told the number of pages read so far.
    """
    reading: _Reading[Item] = _Reading()
    while not reading.is_finished:
        try:
            page = fetch(reading.pages)
        except NovitaError as error:
            if reading.pages == 0:
                raise
            reading.problems.append(f"page {reading.pages}: {error.code}")
            reading.is_cut = True
            break
        reading.add(page)
        if on_page is not None:
            on_page(reading.pages)
    return reading.result()


class _Reading(Generic[Item]):
    """What was seen so far."""

    def __init__(self) -> None:
        self.found: dict[str, Item] = {}
        self.first_page: set[str] = set()
        self.totals: list[int | None] = []
        self.problems: list[str] = []
        self.pages = 0
        self.repeats = False
        self.is_cut = False  # a page could not be read, or not all of it
        self.is_finished = False

    def add(self, page: Page[Item]) -> None:
        number = self.pages
        ids = [item.id for item in page.items]
        known = {item_id for item_id in ids if item_id in self.found}
        if number == 0:
            self.first_page = set(ids)
        self._note_problems(number, ids, known, page.damaged)
        self.found |= {item.id: item for item in page.items}
        self.totals.append(page.total)
        self.pages += 1
        nothing_new = len(known) == len(set(ids))
        self.is_finished = (
            (page.total is not None and len(self.found) >= page.total)
            or (number == 0 and not ids and page.total is None)
            or (number >= 1 and not ids and not page.damaged)
            or (number >= 2 and nothing_new)
            or self.pages >= _MOST_PAGES
        )

    def _note_problems(self, number: int, ids: list[str], known: set[str], damaged: int) -> None:
        if damaged:
            self.is_cut = True
            self.problems.append(f"page {number} has {damaged} unreadable items")
        # A page 1 that copies page 0 is how numbering from 1 looks; any other repeat means items moved meanwhile.
        is_copy = number == 1 and set(ids) == self.first_page
        if len(set(ids)) < len(ids) or (known and not is_copy):
            self.repeats = True
            self.problems.append(f"page {number} repeats ids")

    def result(self) -> Pages[Item]:
        problems = list(self.problems)
        totals = set(self.totals)
        last = self.totals[-1] if self.totals else None
        if None in totals:
            problems.append("a page states no total")
        elif len(totals) > 1:
            problems.append(f"the total changed from {self.totals[0]} to {last}")
        elif last != len(self.found):
            problems.append(f"saw {len(self.found)} of {last}")
        stated = None not in totals and not self.is_cut
        return Pages(
            disagrees=self.repeats or len(totals - {None}) > 1 or (stated and last != len(self.found)),
            items=tuple(self.found.values()),
            total=len(self.found) if last is None else last,
            complete=not problems,
            pages=self.pages,
            problem="; ".join(problems[:5]),
        )
