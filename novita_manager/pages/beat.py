"""The address a program inside an instance calls to say that it works. Its token is all it takes."""

import json
import math
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from autostop import heartbeats
from novita_manager.errors import problem_http_response
from novita_manager.limits import bad_token_wait, seconds_to_wait

_LONGEST_BODY = 4096
_MOST = {"gpu_percent": 100.0, "cpu_cores": 4096.0}


class BadLoad(ValueError):
    """What came is no load."""


@csrf_exempt
@never_cache
def beat(request: HttpRequest, token: str) -> HttpResponse:
    """Note a beat: 204. A body is not needed; it may tell `gpu_percent` and `cpu_cores`, as a form or as JSON."""
    if request.method != "POST":
        return problem_http_response(405, "method_not_allowed", "call it with POST", headers={"Allow": "POST"})
    hashed = heartbeats.hash_of(token)[:16]
    wait = seconds_to_wait(request, group="heartbeat", key=hashed, rate=settings.RATE_LIMIT_HEARTBEAT)
    wait = wait or bad_token_wait(request, counts=False)
    if wait:
        return _too_many(wait)
    try:
        load = _load(request)
    except BadLoad as error:
        return problem_http_response(400, "validation_error", str(error))
    if heartbeats.beat(token, gpu_percent=load["gpu_percent"], cpu_cores=load["cpu_cores"], now=timezone.now()):
        return HttpResponse(status=204)
    wait = bad_token_wait(request, counts=True)
    return (
        _too_many(wait) if wait else problem_http_response(404, "not_found", "no such heartbeat: it may have been revoked")
    )


def _too_many(wait: int) -> HttpResponse:
    return problem_http_response(
        429, "throttled", "too many calls: once a minute is enough", headers={"Retry-After": str(wait)}
    )


def _load(request: HttpRequest) -> dict[str, float | None]:
    """The figures it tells. Raises BadLoad."""
    try:
        size = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise BadLoad("its Content-Length is no number") from None
    if size > _LONGEST_BODY:
        raise BadLoad(f"a heartbeat has at most {_LONGEST_BODY} bytes")
    given: Any = request.POST.dict()
    if request.content_type == "application/json":
        try:
            given = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):
            raise BadLoad("the body is no JSON") from None
    if not isinstance(given, dict):
        raise BadLoad("write an object with gpu_percent and cpu_cores, or nothing")
    unknown = [name for name in given if name not in _MOST]
    if unknown:
        raise BadLoad("only gpu_percent and cpu_cores are taken")
    return {name: _figure(name, given.get(name)) for name in _MOST}


def _figure(name: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool):
            raise BadLoad(f"{name} is no number")
        number = float(value)
    except (TypeError, ValueError):
        raise BadLoad(f"{name} is no number") from None
    if not math.isfinite(number) or not 0 <= number <= _MOST[name]:
        raise BadLoad(f"{name} is from 0 to {_MOST[name]:g}")
    return number
