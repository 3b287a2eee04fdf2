"""What the prepaid balance allows, and how long it lasts."""

from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Sum

from instances.models import Machine, ProviderAccount

_LONGEST = timedelta(days=3650)


def too_poor(account: ProviderAccount | None) -> str:
    """Why nothing new may be opened below MIN_BALANCE_USD; a balance nobody has read yet refuses nothing."""
    if account is None or account.balance_usd is None or account.balance_usd >= settings.MIN_BALANCE_USD:
        return ""
    least = f"MIN_BALANCE_USD is ${settings.MIN_BALANCE_USD:.2f}"
    return f"the balance is ${account.balance_usd:.2f}, and {least}: top the account up"


def burn_usd_per_hour() -> Decimal:
    """What everything in the account that is billed now costs together, GPUs only."""
    billed = Machine.objects.filter(billed_since__isnull=False, absent_at=None)
    return Decimal(billed.aggregate(per_hour=Sum("billed_price_usd_per_hour"))["per_hour"] or 0)


def lasts(balance_usd: Decimal | None, usd_per_hour: Decimal) -> timedelta | None:
    """How long a balance pays for a rate, ten years at most; None where either is unknown or nothing."""
    if balance_usd is None or usd_per_hour <= 0:
        return None
    hours = min(max(Decimal(0), balance_usd) / usd_per_hour, Decimal(_LONGEST // timedelta(hours=1)))
    return timedelta(hours=float(hours))
