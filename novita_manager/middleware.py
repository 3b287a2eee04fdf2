"""Around every request: its id, its client's address, one log line; and the headers other origins need."""

import re
import time
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from instances.events import current_request_id
from instances.tally import Counter, Histogram
from novita_manager.errors import is_for_machines, problem_http_response
from novita_manager.proxies import see_through_proxies, take_off_prefix
from novita_manager.routes import route_of
from novita_manager.throttling import tell_what_is_left

logger = structlog.get_logger(__name__)

Answer = Callable[[HttpRequest], HttpResponse]

_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_QUIET_PATHS = ("/health", "/metrics", "/static/")
_CORS_HEADERS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-ID",
    "Access-Control-Max-Age": "600",
}
_CORS_EXPOSED = "ETag, Idempotent-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
REQUESTS = Counter(
    name="novita_manager_http_requests",
    help="Requests answered, by method, route and status.",
    labels=("method", "route", "status"),
)
REQUEST_SECONDS = Histogram(
    name="novita_manager_http_request_duration_seconds",
    help="How long answering requests took, by method and route.",
    labels=("method", "route"),
    bounds=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class RequestLog:
    """The outermost: gives the request an id and the client's true address, and writes one line when it is answered."""

    def __init__(self, get_response: Answer) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _SAFE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        token = current_request_id.set(request_id)
        try:
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                see_through_proxies(request)
                take_off_prefix(request)
                _accept_trailing_slash(request)
                response = self._answer(request)
                response["X-Request-ID"] = request_id
                tell_what_is_left(request, response)
                _note(request, response, time.perf_counter() - began)
                return response
        finally:
            current_request_id.reset(token)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        if is_for_machines(request) and "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
            return problem_http_response(411, "length_required", "send the body with a Content-Length")
        return self._get_response(request)


class Cors:
    """Lets pages of `CORS_ALLOWED_ORIGINS` call the API; does nothing where none is named."""

    def __init__(self, get_response: Answer) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        origin = request.META.get("HTTP_ORIGIN", "")
        if not origin or origin not in settings.CORS_ALLOWED_ORIGINS or not request.path_info.startswith("/api/"):
            return self._get_response(request)
        preflight = request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META
        response = HttpResponse(status=204, headers=_CORS_HEADERS) if preflight else self._get_response(request)
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = _CORS_EXPOSED
        response["Vary"] = ", ".join(filter(None, (response.get("Vary"), "Origin")))
        return response


def _accept_trailing_slash(request: HttpRequest) -> None:
    path = request.path_info
    if is_for_machines(request) and path.endswith("/"):
        request.path_info = path.rstrip("/")
        request.path = request.path.rstrip("/")


def _note(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    """Count the request and log it in one line; what monitors and pages fetch all the time is logged only where it fails."""
    route, method = route_of(request), request.method if request.method in _METHODS else "OTHER"
    REQUESTS.add(method or "OTHER", route, str(response.status_code))
    REQUEST_SECONDS.observe(method or "OTHER", route, seconds=seconds)
    quiet = request.path_info.startswith(_QUIET_PATHS) and response.status_code < 500
    write = logger.debug if quiet else logger.info
    fields = {
        "method": request.method,
        "route": route,
        "status": response.status_code,
        "ms": round(seconds * 1000, 1),
        "key": getattr(request, "api_key_prefix", ""),
        "user": _known_user(request),
        "client": request.META.get("REMOTE_ADDR", ""),
        **_named_instance(request),
    }
    write("http.request", **{name: value for name, value in fields.items() if value != ""})


def _known_user(request: HttpRequest) -> str:
    """Who is signed in, where a view has asked for that: looking it up for a log line would cost a query."""
    user = getattr(request, "_cached_user", None)
    return user.get_username() if user is not None else ""


def _named_instance(request: HttpRequest) -> dict[str, str]:
    """The instance the address names: by our id, or by whatever else the API takes for one."""
    given = request.resolver_match.kwargs if request.resolver_match else {}
    named = str(given.get("instance_id") or given.get("ref") or "")[:100]
    return {"instance_id" if _UUID.fullmatch(named) else "ref": named}
