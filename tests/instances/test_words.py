from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from instances.words import relative, span, usd, usd_per_hour

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("price", "words"),
    [("0.35", "$0.35"), ("0.2", "$0.20"), ("10", "$10.00"), ("0.08750", "$0.0875"), ("1234.5", "$1,234.50")],
)
def test_a_price_keeps_its_digits(price: str, words: str) -> None:
    assert usd_per_hour(Decimal(price)) == words


def test_an_unknown_price_is_no_zero() -> None:
    assert usd_per_hour(None) == ""


@pytest.mark.parametrize(("amount", "words"), [("0.005", "$0.01"), ("1234.567", "$1,234.57"), ("0", "$0.00")])
def test_money_is_told_to_the_cent(amount: str, words: str) -> None:
    assert usd(Decimal(amount)) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(45, "45 s"), (1440, "24 min"), (7500, "2 h 5 min"), (7200, "2 h"), (273_600, "3 d 4 h")]
)
def test_a_span_has_two_units_at_most(seconds: int, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words


def test_a_moment_is_told_from_now() -> None:
    assert relative(NOW - timedelta(minutes=5), NOW) == "5 min ago"
    assert relative(NOW + timedelta(hours=2), NOW) == "in 2 h"
    assert relative(NOW + timedelta(seconds=1), NOW) == "now"
