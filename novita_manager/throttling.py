"""How many requests a key may make: reads, writes and last-use reports have a budget each."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django_ratelimit.core import get_usage
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from novita_manager.models import ApiKey

if TYPE_CHECKING:  # the framework's settings import this module while `views` is being imported
    from rest_framework.views import APIView


class RequestLimit(BaseThrottle):
    """A view may name another budget for an action in `budgets`; else the method decides."""

    def __init__(self) -> None:
        self._wait: float | None = None

    def allow_request(self, request: Request, view: "APIView") -> bool:
        budget = _budget(request, view)
        rate = {
            "read": settings.RATE_LIMIT_READ,
            "write": settings.RATE_LIMIT_WRITE,
            "last_used": settings.RATE_LIMIT_LAST_USED,
        }[budget]
        usage = get_usage(
            request._request, group=f"api-{budget}", key=lambda *_: _caller(request), rate=rate, increment=True
        )
        if usage is None or not usage["should_limit"]:
            return True
        self._wait = max(1, usage["time_left"])
        return False

    def wait(self) -> float | None:
        """Seconds until the next window begins."""
        return self._wait


def _budget(request: Request, view: "APIView") -> str:
    budgets: dict[str, str] = getattr(view, "budgets", {})
    named = budgets.get(str(getattr(view, "action", "")))
    return named or ("read" if request.method in SAFE_METHODS else "write")


def _caller(request: Request) -> str:
    key: Any = request.auth
    return f"key-{key.pk}" if isinstance(key, ApiKey) else f"address-{request.META.get('REMOTE_ADDR', '')}"
