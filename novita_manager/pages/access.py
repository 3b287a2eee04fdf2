"""Who may open a page or act on one, and the answer to a part of a page that is asked for again and again."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import parse_etags, url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache

from instances.events import Actor
from instances.scopes import may

View = Callable[..., HttpResponse]


def needs(scope: str) -> Callable[[View], View]:
    """Let only people who are signed in and have the scope open this; what they see is kept by no cache."""

    def guard(view: View) -> View:
        @wraps(view)
        def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            if not may(request.user, scope):
                raise PermissionDenied(f"your account lacks the permission to {scope}")
            return view(request, *args, **kwargs)

        return login_required(never_cache(answer))

    return guard


def actor_of(request: HttpRequest) -> Actor:
    return Actor(kind="user", name=request.user.get_username())


def asked_from(request: HttpRequest) -> str:
    """The address on this site where something was asked, as `back` says it; empty where it says none."""
    told = request.POST.get("back") or request.GET.get("back") or ""
    address = reverse("fleet") if told == "fleet" else told
    return address if address.startswith("/") and url_has_allowed_host_and_scheme(address, allowed_hosts=None) else ""


def way_back(request: HttpRequest, otherwise: str = "") -> HttpResponseRedirect:
    """To where it was asked, else to `otherwise`, else to the fleet."""
    return HttpResponseRedirect(asked_from(request) or otherwise or reverse("fleet"))


def etag_of(*values: object) -> str:
    """A strong entity tag of values that hold nothing that moves with the clock."""
    return f'"{hashlib.sha256(repr(values).encode()).hexdigest()[:32]}"'


def changed_part(
    request: HttpRequest, template: str, context: Callable[[], dict[str, object]], *, etag: str, now: datetime
) -> HttpResponse:
    """The part of a page that changes; 304, and its context not even read, while it does not."""
    known = parse_etags(request.headers.get("If-None-Match", ""))
    unchanged = etag in known or f"W/{etag}" in known
    response = HttpResponse(status=304) if unchanged else render(request, template, {**context(), "now": now})
    response["ETag"] = etag
    return response
