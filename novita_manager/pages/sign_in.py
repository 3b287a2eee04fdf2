"""The way in and out, for the pages and the admin alike. Attempts are slowed by address and locked by name and address.

Who signs in and who fails to is an event. A name nobody has is not kept: it may be a password in the wrong field.
"""

from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST
from django_ratelimit.core import get_usage

from instances.events import Actor, record
from instances.words import span
from novita_manager.pages.access import actor_of

# Failures told as events, over all names and addresses: the log of a flood is no flood.
_FAILURES_TOLD = "60/m"


class SignInForm(AuthenticationForm):
    username = forms.CharField(
        max_length=150,
        label="Name",
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )
    error_messages = {"invalid_login": "Name and password do not match.", "inactive": "Name and password do not match."}


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        if request.user.is_authenticated:
            return HttpResponseRedirect(_next(request))
        return _page(request, SignInForm(request))
    wait = _too_many(request, "sign-in")
    if wait:
        return _page(request, SignInForm(request), wait=wait)
    form = SignInForm(request, data=request.POST)
    if form.is_valid():
        user = form.get_user()
        with transaction.atomic():
            login(request, user)
            address = request.META.get("REMOTE_ADDR", "")
            record("sign_in.succeeded", at=timezone.now(), actor=actor_of(request), after={"address": address})
        return HttpResponseRedirect(_next(request))
    if "username" in form.cleaned_data and request.POST.get("password"):
        _tell_failure(request, form.cleaned_data["username"])
    return _page(request, form, wait=_locked_for(request) if _is_locked(request) else 0)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign-in")


@never_cache
def admin_door(request: HttpRequest) -> HttpResponse:
    """Where the admin sends whom it does not let in."""
    if request.user.is_authenticated and not request.user.is_staff:
        raise PermissionDenied("the admin is open to staff: your account may use the fleet page")
    return HttpResponseRedirect(
        f"{resolve_url('sign-in')}?{urlencode({'next': request.GET.get('next', resolve_url('admin:index'))})}"
    )


@sensitive_post_parameters()
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    """A person's own password; every other session of theirs ends."""
    person: Any = request.user
    if request.method != "POST":
        return render(request, "access/password.html", {"form": PasswordChangeForm(person)})
    wait = _too_many(request, "password")
    form = PasswordChangeForm(person, request.POST)
    if wait or not form.is_valid():
        return _answer(render(request, "access/password.html", {"form": form, "wait": _words(wait)}), wait)
    with transaction.atomic():
        form.save()
        update_session_auth_hash(request, form.user)
        name = {"name": request.user.get_username()}
        record("person.password_changed", at=timezone.now(), actor=actor_of(request), after=name)
    messages.success(request, "Your password is changed. You are signed out everywhere else.")
    return redirect("fleet")


def lockout_answer(request: HttpRequest, response: HttpResponse, credentials: dict[str, Any] | None) -> HttpResponse:
    """What the lock-out's middleware answers: our page says it already."""
    return response


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """What is answered to a form without the token of this session: mostly one that was open while somebody signed in."""
    told = "this page was older than your session: go back, reload it and send it again"
    return render(request, "403.html", {"exception": told}, status=403)


def _page(request: HttpRequest, form: SignInForm, *, wait: int = 0) -> HttpResponse:
    """The page; 429 where the person has to wait so many seconds."""
    context = {"form": form, "next": _next(request), "wait": _words(wait)}
    return _answer(render(request, "access/sign_in.html", context), wait)


def _answer(response: HttpResponse, wait: int) -> HttpResponse:
    if wait:
        response.status_code = 429
        response["Retry-After"] = str(wait)
    return response


def _words(wait: int) -> str:
    """Rounded up: who comes back then is let try."""
    return span(timedelta(seconds=wait if wait < 60 else -(-wait // 60) * 60)) if wait else ""


def _next(request: HttpRequest) -> str:
    """Where the person wanted to go, if that is here."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return wanted if safe else resolve_url(settings.LOGIN_REDIRECT_URL)


def _too_many(request: HttpRequest, group: str) -> int:
    """Seconds until this address may try again, 0 where it may now. Every attempt counts."""
    usage = get_usage(request, group=group, key="ip", rate=settings.RATE_LIMIT_SIGN_IN, increment=True)
    return max(1, usage["time_left"]) if usage and usage["should_limit"] else 0


def _is_locked(request: HttpRequest) -> bool:
    return bool(getattr(request, "axes_locked_out", False))


def _locked_for(request: HttpRequest) -> int:
    """Seconds until the lock of this name and address opens."""
    last = (
        AccessAttempt.objects.filter(
            username=request.POST.get("username", ""), ip_address=request.META.get("REMOTE_ADDR") or None
        )
        .order_by("-attempt_time")
        .values_list("attempt_time", flat=True)
        .first()
    )
    opens = (last or timezone.now()) + settings.AXES_COOLOFF_TIME
    return max(1, int((opens - timezone.now()).total_seconds()))


def _tell_failure(request: HttpRequest, username: str) -> None:
    usage = get_usage(request, group="sign-in-told", key=lambda *_: "all", rate=_FAILURES_TOLD, increment=True)
    if usage and usage["should_limit"]:
        return
    known = User.objects.filter(username=username).exists()
    address = request.META.get("REMOTE_ADDR", "")
    record(
        "sign_in.failed",
        at=timezone.now(),
        actor=Actor(kind="outside", name=address),
        reason="locked for a while" if _is_locked(request) else "",
        after={"name": username if known else "", "address": address},
    )
