"""How many requests a caller may make: reads, writes and last-use reports have a budget each.

Answers tell what is left in the fields of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy: "read";q=1200;w=60` and
`RateLimit: "read";r=1150;t=38`, seconds both of them.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django_ratelimit.core import get_usage
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from novita_manager.models import ApiKey

if TYPE_CHECKING:  # the framework's settings import this module while `views` is being imported
    from rest_framework.views import APIView

_RATE = re.compile(r"(\d+)/(\d*)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SETTINGS = {"read": "RATE_LIMIT_READ", "write": "RATE_LIMIT_WRITE", "last_used": "RATE_LIMIT_LAST_USED"}


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a budget: `quota` requests in each window of `window` seconds, which ends in `reset`."""

    budget: str
    quota: int
    window: int
    remaining: int
    reset: int


class RequestLimit(BaseThrottle):
    """A view may name another budget for an action in `budgets`; else the method decides."""

    def __init__(self) -> None:
        self._wait: float | None = None

    def allow_request(self, request: Request, view: "APIView") -> bool:
        budget = _budget(request, view)
        quota, window = _parsed(getattr(settings, _SETTINGS[budget]))
        usage = get_usage(
            request._request,
            group=f"api-{budget}",
            key=lambda *_: _caller(request),
            rate=(quota, window),
            increment=True,
        )
        if usage is None:
            return True
        reset = max(1, usage["time_left"])
        left = Left(budget, quota, window, max(0, quota - usage["count"]), reset)
        request._request.rate_limit_left = left  # type: ignore[attr-defined]
        if not usage["should_limit"]:
            return True
        self._wait = reset
        return False

    def wait(self) -> float | None:
        """Seconds until the next window begins."""
        return self._wait


def tell_what_is_left(request: HttpRequest, response: HttpResponse) -> None:
    """Put the fields on an answer, where a budget was asked."""
    left: Left | None = getattr(request, "rate_limit_left", None)
    if left is not None:
        response["RateLimit-Policy"] = f'"{left.budget}";q={left.quota};w={left.window}'
        response["RateLimit"] = f'"{left.budget}";r={left.remaining};t={left.reset}'


@lru_cache(maxsize=64)
def _parsed(rate: str) -> tuple[int, int]:
    """`300/m` or `20/10s` as the number of requests and the seconds of the window."""
    found = _RATE.fullmatch(rate)
    if found is None:
        raise ValueError(f"{rate} is no rate")
    return int(found[1]), int(found[2] or 1) * _SECONDS[found[3]]


def _budget(request: Request, view: "APIView") -> str:
    budgets: dict[str, str] = getattr(view, "budgets", {})
    named = budgets.get(str(getattr(view, "action", "")))
    return named or ("read" if request.method in SAFE_METHODS else "write")


def _caller(request: Request) -> str:
    caller: Any = request.auth
    if isinstance(caller, ApiKey):
        return f"key-{caller.pk}"
    user_id = getattr(caller, "user_id", None)
    return f"user-{user_id}" if user_id else f"address-{request.META.get('REMOTE_ADDR', '')}"
