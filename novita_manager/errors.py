"""Every error as RFC 9457 `application/problem+json`: from views of the API, and from Django around them."""

import logging
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views import defaults
from drf_standardized_errors.formatter import flatten_errors
from rest_framework import exceptions
from rest_framework.response import Response

from instances.api.problems import Problem
from instances.encryption import UnreadableSecretError
from instances.events import current_request_id
from instances.operations import OperationRefused

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
MACHINE_PATHS = ("/api", "/health", "/metrics")
_DATABASE_RETRY_SECONDS = 5
_DATABASE_AWAY = "the database does not answer: try again soon"
_SERVER_ERROR = "something failed here; the request id finds it in the logs"
_CODES = {"parse_error": "malformed_json", "error": "server_error"}
_REMEDIES = {
    "not_authenticated": "write an API key as `Authorization: Bearer <api key>`",
    "unsupported_media_type": "send the body as application/json",
}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[dict[str, Any]] | None = None,
    more: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of an error answer."""
    body: dict[str, Any] = {
        "type": f"urn:novita-manager:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": current_request_id.get(),
    }
    if errors:
        body["errors"] = errors
    return {**(more or {}), **body}


def problem_response(exception: Exception, context: dict[str, Any]) -> Response:
    """Django REST framework's exception handler."""
    status, body, headers = _described(_known(exception))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("api.failed", exc_info=exception if body["code"] == "server_error" else None)
    return Response(body, status=status, headers=headers, content_type=MEDIA_TYPE)


def _known(exception: Exception) -> Exception:
    if isinstance(exception, Http404):
        return exceptions.NotFound(str(exception) or None)
    if isinstance(exception, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(exception, RequestDataTooBig):
        return Problem("the request body is larger than 1 MiB", code="body_too_large", status=413)
    if isinstance(exception, OperationalError | InterfaceError):
        return Problem(
            _DATABASE_AWAY,
            code="database_away",
            status=503,
            retry_after=_DATABASE_RETRY_SECONDS,
        )
    if isinstance(exception, UnreadableSecretError):
        return Problem(str(exception), code="secret_unreadable", status=503)
    return exception


def _described(exception: Exception) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers of an exception."""
    if isinstance(exception, OperationRefused):
        errors = _field_error(exception.field, exception.code, exception.detail)
        body = problem(exception.status, exception.code, exception.detail, errors=errors, more=exception.more)
        return exception.status, body, {}
    if isinstance(exception, Problem):
        detail = str(exception.detail)
        headers = {} if exception.retry_after is None else {"Retry-After": str(exception.retry_after)}
        errors = _field_error(exception.field, exception.code, detail)
        body = problem(exception.status_code, exception.code, detail, errors=errors, more=exception.more)
        return exception.status_code, body, headers
    if isinstance(exception, exceptions.ValidationError):
        return exception.status_code, _validation(exception), {}
    if isinstance(exception, exceptions.APIException):
        code = getattr(exception.detail, "code", exception.default_code)
        body = problem(exception.status_code, _CODES.get(code, code), _REMEDIES.get(code) or str(exception.detail))
        return exception.status_code, body, _headers(exception)
    return 500, problem(500, "server_error", _SERVER_ERROR), {}


def _field_error(field: str, code: str, message: str) -> list[dict[str, Any]]:
    return [{"field": field, "code": code, "message": message}] if field else []


def _validation(exception: exceptions.ValidationError) -> dict[str, Any]:
    errors = [
        {
            "field": "" if one.attr in (None, "non_field_errors") else str(one.attr).removesuffix(".non_field_errors"),
            "code": one.code,
            "message": one.detail,
        }
        for one in flatten_errors(exception.detail)
    ]
    first = errors[0] if errors else {"field": "", "message": "the request is not valid"}
    detail = f"{first['field']}: {first['message']}" if first["field"] else str(first["message"])
    return problem(400, "validation_error", detail, errors=errors)


def _headers(exception: exceptions.APIException) -> dict[str, str]:
    headers: dict[str, str] = {}
    wait = getattr(exception, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(max(1, int(wait)))
    challenge = getattr(exception, "auth_header", None)
    if challenge:
        headers["WWW-Authenticate"] = challenge
    return headers


def problem_http_response(status: int, code: str, detail: str, *, headers: dict[str, str] | None = None) -> JsonResponse:
    """An error answer outside the views of the API."""
    return JsonResponse(problem(status, code, detail), status=status, headers=headers, content_type=MEDIA_TYPE)


def is_for_machines(request: HttpRequest) -> bool:
    return request.path_info.startswith(MACHINE_PATHS)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django calls this while the error is being handled. A database that is away is no failure of the page."""
    if not isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        if is_for_machines(request):
            return problem_http_response(500, "server_error", _SERVER_ERROR)
        return defaults.server_error(request)
    headers = {"Retry-After": str(_DATABASE_RETRY_SECONDS)}
    if is_for_machines(request):
        return problem_http_response(503, "database_away", _DATABASE_AWAY, headers=headers)
    return HttpResponse(render_to_string("503.html"), status=503, headers=headers)


def _handler(
    status: int, code: str, detail: str, page: Callable[..., HttpResponse]
) -> Callable[[HttpRequest, Exception | None], HttpResponse]:
    def handle(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
        if not is_for_machines(request):
            return page(request, exception)
        return problem_http_response(status, code, detail)

    return handle


bad_request = _handler(400, "bad_request", "the request cannot be read", defaults.bad_request)
forbidden = _handler(403, "permission_denied", "this is not allowed", defaults.permission_denied)
not_found = _handler(404, "not_found", "there is nothing at this address", defaults.page_not_found)
