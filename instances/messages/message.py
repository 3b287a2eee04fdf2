"""A message to people, whatever carries it: a title, and for each piece of news what, which box, since when, $/h, why. Pure.

Many at once are one message: equal news share a heading, and what does not fit is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from instances.webhooks.kinds import Severity
from instances.words import clock, relative, usd, usd_per_hour

MOST_SHOWN = 15
_LONGEST_WHY, _LONGEST_WHY_OF_MANY = 700, 160
_RANK = list(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    label: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One event as people are told it. `box` is "" where it is of none; `current` is what became of it since."""

    what: str
    severity: Severity
    at: datetime
    box: str = ""
    url: str = ""
    price_usd_per_hour: Decimal | None = None
    cost_usd: Decimal | None = None
    why: str = ""
    remedy: str = ""
    current: str = ""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One paragraph: a heading with its link, facts in a row, then sentences, then links that act."""

    heading: str
    url: str = ""
    facts: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    title: str
    severity: Severity
    entries: tuple[Entry, ...] = ()
    more: int = 0  # pieces of news that are only counted
    home: Link | None = None
    footer: str = field(default="novita-manager")


def compose(news: Sequence[News], *, now: datetime, home: Link | None = None) -> Message:
    """At least one piece of news; the worst and the newest come first."""
    ordered = sorted(news, key=lambda one: (-_RANK.index(one.severity), one.what, one.at))
    shown = ordered[:MOST_SHOWN]
    return Message(
        title=_title(ordered),
        severity=ordered[0].severity,
        entries=tuple(_entry(one, now=now, alone=len(ordered) == 1) for one in shown),
        more=len(ordered) - len(shown),
        home=home,
    )


def _title(news: Sequence[News]) -> str:
    if len(news) == 1:
        return _heading(news[0])
    counts: dict[str, set[str]] = {}
    for place, one in enumerate(news):
        counts.setdefault(one.what, set()).add(one.box or str(place))
    told = [f"{what} ({len(boxes)})" if len(boxes) > 1 else what for what, boxes in counts.items()]
    boxes = {one.box for one in news if one.box}
    count = f"{len(boxes)} instances" if len(boxes) > 1 else f"{len(news)} pieces of news"
    return f"{count}: {', '.join(told[:3])}{' and more' if len(told) > 3 else ''}"


def _heading(news: News) -> str:
    return f"{news.box}: {news.what}" if news.box else news.what


def _entry(news: News, *, now: datetime, alone: bool) -> Entry:
    price = usd_per_hour(news.price_usd_per_hour)
    facts = [
        f"since {clock(news.at)} ({relative(news.at, now)})",
        f"{price} per hour" if price else "",
        f"{usd(news.cost_usd)} so far" if news.cost_usd is not None else "",
        news.current,
    ]
    longest = _LONGEST_WHY if alone else _LONGEST_WHY_OF_MANY
    sentences = [f"Why: {cut(news.why, longest)}" if news.why else "", cut(news.remedy, longest)]
    return Entry(
        heading=_heading(news),
        url=news.url,
        facts=tuple(one for one in facts if one),
        sentences=tuple(one for one in sentences if one),
        links=news.links,
    )


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
