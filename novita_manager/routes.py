"""The route of a request in a form for people and for labels: `/api/v1/instances/{ref}/stop`. Never the path itself."""

import re
from functools import lru_cache

from django.http import HttpRequest
from django.urls import ResolverMatch

# A named group of a regular expression, with groups inside it two deep; a converter of a path.
_GROUP = re.compile(r"\(\?P<(\w+)>(?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")
UNROUTED = "(none)"
API = "/api/v1/"


def route_of(request: HttpRequest) -> str:
    """There are as many as there are addresses in urls.py, whatever is asked for."""
    match: ResolverMatch | None = request.resolver_match
    if match is None:
        return "/static/" if request.path_info.startswith("/static/") else UNROUTED
    return readable(match.route)


@lru_cache(maxsize=1000)
def readable(route: str) -> str:
    plain = _CONVERTER.sub(r"{\1}", _GROUP.sub(r"{\1}", route))
    return "/" + re.sub(r"\\Z|[\^$\\?]", "", plain)
