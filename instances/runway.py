"""How long the prepaid balance lasts at what is spent now. Pure; money in USD."""

from datetime import datetime, timedelta
from decimal import Decimal

STEPS = (timedelta(hours=72), timedelta(hours=24), timedelta(hours=6), timedelta(0))  # each is told anew
_LONGEST_HOURS = Decimal(24 * 365 * 10)


def balance_now(balance: Decimal, *, read_at: datetime, burn_per_hour: Decimal, now: datetime) -> Decimal:
    """What is left of a balance read some time ago."""
    hours = Decimal(str(max(0.0, (now - read_at).total_seconds()))) / 3600
    return balance - burn_per_hour * hours


def lasts(balance: Decimal, burn_per_hour: Decimal) -> timedelta | None:
    """How long it lasts; None where nothing is spent. Nothing is left of one at or below 0."""
    if burn_per_hour <= 0:
        return None if balance > 0 else timedelta(0)
    hours = min(max(balance, Decimal(0)) / burn_per_hour, _LONGEST_HOURS)
    return timedelta(hours=float(hours))


def level(left: timedelta | None) -> int:
    """0 while it lasts longer than 72 h, then 1, from 24 h on 2, from 6 h on 3, and 4 once nothing is left."""
    return 0 if left is None else sum(1 for step in STEPS if left <= step)
