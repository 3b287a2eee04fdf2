from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from instances.balance import burn_usd_per_hour, lasts, too_poor
from instances.models import ProviderAccount
from tests.pages import running


@pytest.mark.parametrize(
    ("balance", "rate", "length"),
    [
        ("24", "1", timedelta(hours=24)),
        ("0", "1", timedelta(0)),
        ("-5", "1", timedelta(0)),
        ("24", "0", None),
        (None, "1", None),
        ("1000000", "0.00001", timedelta(days=3650)),
    ],
)
def test_how_long_a_balance_lasts(balance: str | None, rate: str, length: timedelta | None) -> None:
    assert lasts(None if balance is None else Decimal(balance), Decimal(rate)) == length


def test_below_the_least_balance_nothing_new_is_opened(settings: Any) -> None:
    settings.MIN_BALANCE_USD = Decimal(5)
    assert too_poor(None) == ""
    assert too_poor(ProviderAccount(balance_usd=None)) == ""
    assert too_poor(ProviderAccount(balance_usd=Decimal(5))) == ""
    assert too_poor(ProviderAccount(balance_usd=Decimal("4.99"))) == (
        "the balance is $4.99, and MIN_BALANCE_USD is $5.00: top the account up"
    )


@pytest.mark.django_db
def test_the_burn_is_what_is_billed_now() -> None:
    assert burn_usd_per_hour() == 0
    running("one", price="0.35")
    running("two", price="0.15")
    assert burn_usd_per_hour() == Decimal("0.50")
