"""Keys that were refused: counted by address, slowed down there, and told as events, a bounded number of them."""

import contextlib

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone
from django_ratelimit.core import get_usage
from rest_framework.exceptions import Throttled
from rest_framework.request import Request

from instances.events import Actor, record
from novita_manager.models import ApiKey

_MOST_EVENTS = "30/m"  # from all addresses together: whoever has many must not fill the timeline


def count_refusal(request: Request, why: str, row: ApiKey | None) -> None:
    """Count it; Throttled once its address has used up what RATE_LIMIT_SIGN_IN allows. Valid keys are never slowed down.

    The first refusal of an address in each window leaves an event, and so does the one that uses up its budget.
    """
    address = str(request.META.get("REMOTE_ADDR", ""))
    usage = get_usage(
        request._request,
        group="api-sign-in",
        key=lambda *_: address,
        rate=settings.RATE_LIMIT_SIGN_IN,
        increment=True,
    )
    if usage is None:
        return
    if usage["count"] in (1, usage["limit"] + 1) and _may_tell(request):
        _tell(address, why, row, throttled=usage["should_limit"])
    if usage["should_limit"]:
        raise Throttled(max(1, usage["time_left"]), "too many refused API keys from this address")


def _may_tell(request: Request) -> bool:
    usage = get_usage(request._request, group="api-refusals-told", key=lambda *_: "all", rate=_MOST_EVENTS, increment=True)
    return usage is not None and not usage["should_limit"]


def _tell(address: str, why: str, row: ApiKey | None, *, throttled: bool) -> None:
    after = {"address": address, "throttled": throttled}
    if row is not None:
        after |= {"key": row.name, "prefix": row.prefix}
    with contextlib.suppress(DatabaseError):
        record("api_key.refused", at=timezone.now(), actor=Actor(kind="outside", name=address), reason=why, after=after)
