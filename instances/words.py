"""Money, times and spans as people read them. Pure."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

_CENT = Decimal("0.01")
_NOW = timedelta(seconds=3)


def usd(amount: Decimal) -> str:
    """To the cent: `$1,234.56`."""
    return f"${amount.quantize(_CENT, rounding=ROUND_HALF_UP):,f}"


def usd_per_hour(price: Decimal | None) -> str:
    """With all its digits but at least two: `$0.35`, `$0.0875`; empty where the price is unknown."""
    if price is None:
        return ""
    shortest = price.normalize()
    exponent = shortest.as_tuple().exponent
    places = max(2, -exponent if isinstance(exponent, int) else 2)
    return f"${shortest:,.{places}f}"


def span(length: timedelta) -> str:
    """`45 s`, `24 min`, `2 h 5 min` or `3 d 4 h`: two units at most, cut off below."""
    seconds = int(abs(length).total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    large, small, names = (3600, 60, ("h", "min")) if seconds < 86_400 else (86_400, 3600, ("d", "h"))
    rest = seconds % large // small
    return f"{seconds // large} {names[0]}" + (f" {rest} {names[1]}" if rest else "")


def relative(moment: datetime, now: datetime) -> str:
    """`5 min ago`, `in 2 h` or `now`."""
    if abs(now - moment) < _NOW:
        return "now"
    return f"in {span(moment - now)}" if moment > now else f"{span(now - moment)} ago"


def clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def percent(value: float) -> str:
    """`7 %`, and `0.4 %` where a whole number would say nothing."""
    return f"{value:.1f} %" if 0 < value < 1 else f"{value:.0f} %"
