"""Budgets of addresses that need no key: what knocks with a wrong token is slowed down."""

from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage


def seconds_to_wait(request: HttpRequest, *, group: str, key: str, rate: str, counts: bool = True) -> int:
    """0 where the budget of `key` has room; it is used up by one where `counts`."""
    usage = get_usage(request, group=group, key=lambda *_: key, rate=rate, increment=counts)
    return max(1, int(usage["time_left"])) if usage and usage["should_limit"] else 0


def bad_token_wait(request: HttpRequest, *, counts: bool) -> int:
    """As above, of an address that brings tokens nobody made."""
    address = str(request.META.get("REMOTE_ADDR", ""))
    return seconds_to_wait(request, group="bad-token", key=address, rate=settings.RATE_LIMIT_WRONG_LINK, counts=counts)
