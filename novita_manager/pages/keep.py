"""The page behind a link of a warning: what is going to be stopped, what it costs, and one button that acts.

Looking at it does nothing and uses nothing up, for previews and mail scanners open every link.
"""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from autostop.links import find_link, kept_until, use
from autostop.models import KeepAct, KeepLink
from autostop.notices import restart_words
from instances.events import Actor
from instances.lifecycle import BILLED, Wanted
from instances.models import Instance
from instances.observation import KEPT_DATA
from instances.operations import OperationRefused
from instances.scopes import may
from instances.words import usd, usd_per_hour
from novita_manager.limits import bad_token_wait

_UNSIGNED = "somebody with the link of a warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What the page says of the instance."""

    name: str
    phase: str
    what: str
    owner: str
    price: str
    cost: str
    purged_at: datetime
    restart: str
    precious: bool


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, token: str) -> HttpResponse:
    wait = bad_token_wait(request, counts=False)
    link = None if wait else find_link(token)
    if link is None:
        wait = wait or bad_token_wait(request, counts=True)
        response = render(request, "keep/unknown.html", {"wait": wait}, status=429 if wait else 404)
        if wait:
            response["Retry-After"] = str(wait)
        return response
    if request.method == "POST":
        return _act(request, link)
    return _shown(request, link)


def _act(request: HttpRequest, link: KeepLink) -> HttpResponse:
    signed_in = request.user.is_authenticated
    if link.act == KeepAct.STOP_NOW:
        if not signed_in:
            query = urlencode({"next": request.path})
            return HttpResponseRedirect(f"{reverse('sign-in')}?{query}")
        if not may(request.user, "operate"):
            raise PermissionDenied("your account lacks the permission to operate")
    actor = Actor(kind="user", name=request.user.get_username() if signed_in else _UNSIGNED)
    try:
        until = use(link, actor=actor, now=timezone.now())
    except OperationRefused as refusal:
        return _shown(request, link, refused=refusal.detail, status=409)
    return _shown(request, link, done=True, until=until)


def _shown(
    request: HttpRequest,
    link: KeepLink,
    *,
    done: bool = False,
    until: datetime | None = None,
    refused: str = "",
    status: int = 200,
) -> HttpResponse:
    now = timezone.now()
    link.refresh_from_db()
    instance = Instance.objects.select_related("machine").get(pk=link.instance_id)
    context = {
        "now": now,
        "link": link,
        "box": _box(instance, link, now),
        "label": link.get_act_display(),
        "done": done,
        "refused": refused,
        "until": until or (kept_until(link, now=now) if link.act != KeepAct.STOP_NOW else None),
        "stops": link.act == KeepAct.STOP_NOW,
        "closed": "" if done else refused or _closed(instance, link, now),
        "kept_until": instance.keep_until if instance.keep_until and instance.keep_until > now else None,
        "must_sign_in": link.act == KeepAct.STOP_NOW and not request.user.is_authenticated,
        "sign_in": f"{reverse('sign-in')}?{urlencode({'next': request.path})}",
    }
    return render(request, "keep/page.html", context, status=status)


def _closed(instance: Instance, link: KeepLink, now: datetime) -> str:
    """Why there is nothing left to press, or ""."""
    if link.used_at is not None:
        return "This link was used already. Each link acts once."
    if now >= link.expires_at:
        return "This link is no longer valid."
    if instance.has_ended or instance.wanted == Wanted.DELETED:
        return "It has ended: there is nothing to keep or to stop."
    if instance.wanted == Wanted.STOPPED:
        return "It was stopped, or is being stopped. Start it again on its page."
    return ""


def _box(instance: Instance, link: KeepLink, now: datetime) -> Box:
    machine = instance.machine
    product = (machine.product_name if machine else "") or instance.product_name
    count = f"{instance.gpu_num} \u00d7 " if instance.gpu_num > 1 else ""
    region = (machine.region if machine else "") or "no region yet"
    billed = instance.observed in BILLED and machine is not None
    return Box(
        name=str(instance),
        phase=instance.phase,
        what=f"{count}{product} in {region}",
        owner=instance.owner,
        price=usd_per_hour(machine.price_usd_per_hour) if machine and billed else "",
        cost=usd(instance.cost_usd(now)),
        purged_at=link.stop_at + KEPT_DATA,
        restart=restart_words(instance),
        precious=instance.local_data == "precious",
    )
