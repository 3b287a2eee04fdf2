"""Series as the lines of a chart: where each point lies, what the axes say, and the same numbers as a table. Pure.

A chart is drawn 1000 wide and 100 high and stretched to its place; its axes are told beside it, in text of its own size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from instances.words import usd

WIDTH, HEIGHT = 1000, 100
MOST_TABLE_ROWS = 24
_SAME_DAY = timedelta(hours=24)
# A gap of so many usual steps is no data, and drawn as none.
_GAP_STEPS = 3

Points = Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`path` and `area` are SVG path data, empty for a line without points; `latest` is its newest value in words."""

    name: str
    tone: str
    path: str
    area: str
    latest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    at: datetime
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`tops` are the texts of the upright axis from above, `times` those of the time axis from the left."""

    title: str
    told: str
    lines: tuple[Line, ...]
    tops: tuple[str, ...]
    times: tuple[str, ...]
    mark: float | None
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


def path_of(points: Points, *, start: datetime, end: datetime, top: float) -> str:
    """The line through the points, interrupted where they lie too far apart."""
    longest = _longest_step(points)
    parts: list[str] = []
    before: datetime | None = None
    for at, value in points:
        new = before is None or at - before > longest
        parts.append(f"{'M' if new else 'L'}{_x(at, start, end):.1f} {_y(value, top):.1f}")
        before = at
    return "".join(parts)


def area_of(points: Points, *, start: datetime, end: datetime, top: float) -> str:
    """What lies under a line without gaps."""
    if not points:
        return ""
    along = "".join(f"L{_x(at, start, end):.1f} {_y(value, top):.1f}" for at, value in points)
    return f"M{_x(points[0][0], start, end):.1f} {HEIGHT}{along}L{_x(points[-1][0], start, end):.1f} {HEIGHT}Z"


def _longest_step(points: Points) -> timedelta:
    steps = sorted(later[0] - earlier[0] for earlier, later in pairwise(points))
    return steps[len(steps) // 2] * _GAP_STEPS if steps else timedelta.max


def _x(at: datetime, start: datetime, end: datetime) -> float:
    whole = (end - start).total_seconds()
    share = (at - start).total_seconds() / whole if whole > 0 else 0.0
    return min(1.0, max(0.0, share)) * WIDTH


def _y(value: float, top: float) -> float:
    return (1 - min(1.0, max(0.0, value / top if top > 0 else 0.0))) * HEIGHT


def times_between(start: datetime, end: datetime) -> tuple[str, ...]:
    """The start, the middle and the end of a time axis, as short as they are clear."""
    shape = "%H:%M" if end - start <= _SAME_DAY else "%d %b %H:%M"
    middle = start + (end - start) / 2
    return tuple(f"{at.astimezone(UTC):{shape}}" for at in (start, middle, end))


def thinned(moments: Sequence[datetime]) -> list[datetime]:
    """At most MOST_TABLE_ROWS of them, evenly, the last among them."""
    step = max(1, -(-len(moments) // MOST_TABLE_ROWS))
    return list(moments[::-1][::step])


def nearest(points: Points, at: datetime) -> float | None:
    """The value at a moment, or the one before it."""
    return next((value for moment, value in reversed(points) if moment <= at), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Billed time at one price; `end` is None while it runs."""

    start: datetime
    end: datetime | None
    usd_per_hour: Decimal


def cumulative_cost(
    intervals: Iterable[Interval], *, spent_before: Decimal, now: datetime
) -> list[tuple[datetime, Decimal]]:
    """What had been spent at each moment at which the rate changed, and now. Empty where nothing was ever billed."""
    changes: list[tuple[datetime, Decimal]] = []
    for one in intervals:
        changes.append((one.start, one.usd_per_hour))
        if one.end is not None:
            changes.append((one.end, -one.usd_per_hour))
    changes.sort(key=lambda change: change[0])
    points: list[tuple[datetime, Decimal]] = []
    spent, rate = spent_before, Decimal(0)
    for at, change in changes:
        spent += _cost(points[-1][0], at, rate) if points else Decimal(0)
        points.append((at, spent))
        rate += change
    if points and points[-1][0] < now:
        points.append((now, spent + _cost(points[-1][0], now, rate)))
    return points


def _cost(start: datetime, end: datetime, rate: Decimal) -> Decimal:
    return rate * Decimal(str(max(0.0, (end - start).total_seconds()))) / 3600


def cost_chart(points: Sequence[tuple[datetime, Decimal]], *, told: str) -> Chart | None:
    """None where there is nothing to draw."""
    if not points:
        return None
    start, end = points[0][0], points[-1][0]
    total = max(amount for _, amount in points)
    top = float(total) or 1.0
    drawn = [(at, float(amount)) for at, amount in points]
    line = Line(
        name="Cost",
        tone="cost",
        path="".join(
            f"{'L' if place else 'M'}{_x(at, start, end):.1f} {_y(v, top):.1f}" for place, (at, v) in enumerate(drawn)
        ),
        area=area_of(drawn, start=start, end=end, top=top),
        latest=usd(points[-1][1]),
    )
    kept = set(thinned([at for at, _ in points]))
    rows = [TableRow(at=at, cells=(usd(amount),)) for at, amount in reversed(points) if at in kept]
    return Chart(
        title="Cost so far",
        told=told,
        lines=(line,),
        tops=(usd(total), usd(total / 2), usd(Decimal(0))),
        times=times_between(start, end),
        mark=None,
        columns=("Cost so far",),
        rows=tuple(rows[:MOST_TABLE_ROWS]),
    )
