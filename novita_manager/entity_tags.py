"""Entity tags of what the API shows, and 304 for who has it already."""

import hashlib
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response

from novita_manager.routes import API


class EntityTags:
    """Answers a GET with 304 where `If-None-Match` names its tag. A view may give a tag; else the body's hash is one.

    What may be stored by nobody (`Cache-Control: no-store`) has no tag.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if (
            request.method not in ("GET", "HEAD")
            or response.status_code not in (200, 304)
            or not request.path_info.startswith(API)
            or not isinstance(response, HttpResponse)
        ):
            return response
        response.headers.setdefault("Cache-Control", "private, no-cache")
        if "no-store" in response["Cache-Control"]:
            return response
        if not response.has_header("ETag"):
            response["ETag"] = f'"{hashlib.blake2b(response.content, digest_size=16).hexdigest()}"'
        return get_conditional_response(request, etag=response["ETag"], response=response) or response
