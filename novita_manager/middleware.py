"""Around every request: its id, its client's address, one log line; and the headers other origins need."""

import ipaddress
import re
import time
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from instances.events import current_request_id
from novita_manager.environment import Network
from novita_manager.errors import is_for_machines, problem_http_response
from novita_manager.throttling import tell_what_is_left

logger = structlog.get_logger(__name__)

Answer = Callable[[HttpRequest], HttpResponse]

_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_QUIET_PATHS = ("/health", "/metrics", "/static/")
_CORS_HEADERS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-ID",
    "Access-Control-Max-Age": "600",
}
_CORS_EXPOSED = "ETag, Idempotent-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"


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
                _see_through_proxies(request)
                _accept_trailing_slash(request)
                response = self._answer(request)
                response["X-Request-ID"] = request_id
                tell_what_is_left(request, response)
                _log(request, response, (time.perf_counter() - began) * 1000)
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


def is_in(address: str, networks: list[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


def came_by_unknown_proxy(request: HttpRequest) -> bool:
    """Whether a proxy nobody trusts forwarded it, so that its address says nothing about the client."""
    forwarded = "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META
    return forwarded and not getattr(request, "came_by_trusted_proxy", False)


def _see_through_proxies(request: HttpRequest) -> None:
    """Take the client's address and scheme from the headers of a trusted proxy, and of nobody else.

    The list is read from its end: the first address that no trusted proxy has is the client's.
    """
    if not is_in(request.META.get("REMOTE_ADDR", ""), settings.TRUSTED_PROXIES):
        return
    request.came_by_trusted_proxy = True  # type: ignore[attr-defined]
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    client = next((hop for hop in reversed(hops) if not is_in(hop, settings.TRUSTED_PROXIES)), None)
    if client is not None and _is_address(client):
        request.META["REMOTE_ADDR"] = client
    if request.META.get("HTTP_X_FORWARDED_PROTO", "").strip().lower() == "https":
        request.META["wsgi.url_scheme"] = "https"
        request.environ["wsgi.url_scheme"] = "https"  # type: ignore[attr-defined]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _accept_trailing_slash(request: HttpRequest) -> None:
    path = request.path_info
    if is_for_machines(request) and path.endswith("/"):
        request.path_info = path.rstrip("/")
        request.path = request.path.rstrip("/")


def _log(request: HttpRequest, response: HttpResponse, milliseconds: float) -> None:
    quiet = request.path_info.startswith(_QUIET_PATHS) and response.status_code < 500
    match = request.resolver_match
    write = logger.debug if quiet else logger.info
    write(
        "http.request",
        method=request.method,
        route=match.route if match else "(none)",
        status=response.status_code,
        ms=round(milliseconds, 1),
        key=getattr(request, "api_key_prefix", ""),
        client=request.META.get("REMOTE_ADDR", ""),
    )
