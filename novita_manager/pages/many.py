"""One verb for many: a page that shows what each would bring about, with exclusions, then the act with a result for each."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from instances.bulk import SKIPPED, Choice, ask_one, stands
from instances.lifecycle import BILLED, OPEN_STATES, Observed, Wanted
from instances.models import Instance, Job
from instances.person_verbs import VERBS, PersonVerb
from instances.scopes import may, scope_of_verb
from instances.words import usd_per_hour
from novita_manager.pages.access import actor_of, asked_from, needs, way_back
from novita_manager.pages.acts import reason_of

MOST = 5000  # as many as fit into one form, see DATA_UPLOAD_MAX_NUMBER_FIELDS
_AT_ONCE = 25  # asked for in one transaction: a disk is waited for once
_VERBS = ("start", "stop", "restart", "keep-awake", "adopt")
_MOST_REFUSALS_TOLD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """`refusal` says why it would be refused; it cannot be chosen then."""

    id: UUID
    name: str
    phase: str
    owner: str
    price: str
    refusal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`rate` is what all of them together would save or cost per hour; empty where the verb changes no bill."""

    verb: PersonVerb
    candidates: tuple[Candidate, ...]
    left_out: int
    rate: str
    is_all: bool

    @property
    def possible(self) -> int:
        return sum(1 for one in self.candidates if not one.refusal)


@require_http_methods(["GET", "POST"])
@needs("operate")
def many(request: HttpRequest, verb: str) -> HttpResponse:
    """The chosen ones: `?chosen=ID&chosen=ID`."""
    return _answer(request, verb, is_all=False)


@require_http_methods(["GET", "POST"])
@needs("operate")
def stop_all(request: HttpRequest) -> HttpResponse:
    """Every managed instance that runs or is on its way to."""
    return _answer(request, "stop", is_all=True)


def _answer(request: HttpRequest, name: str, *, is_all: bool) -> HttpResponse:
    if name not in _VERBS:
        raise Http404
    verb = VERBS[name]
    if not may(request.user, scope_of_verb(name)):
        raise PermissionDenied(f"your account lacks the permission to {name} instances")
    now = timezone.now()
    if request.method == "POST":
        _carry_out(request, verb, _chosen(request.POST), now, is_all=is_all)
        return way_back(request)
    chosen = _stoppable() if is_all else _chosen(request.GET)
    if not chosen and not is_all:
        messages.warning(request, f"{verb.label}: nothing was chosen. Tick the instances first.")
        return way_back(request)
    preview = _preview(request, verb, chosen, now, is_all=is_all)
    return render(request, "fleet/many.html", {"preview": preview, "back": asked_from(request)})


def _rows() -> QuerySet[Instance]:
    return Instance.objects.select_related("machine").defer("envs", "machine__connection").order_by("name", "id")


def _chosen(given: QueryDict) -> list[Instance]:
    ids = [parsed for text in given.getlist("chosen")[:MOST] if (parsed := _uuid(text)) is not None]
    return list(_rows().filter(pk__in=ids))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _stoppable() -> list[Instance]:
    open_jobs = Prefetch(
        "jobs", queryset=Job.objects.filter(state__in=OPEN_STATES).only("id", "instance_id"), to_attr="open_jobs"
    )
    living = _rows().filter(managed=True, ended_at=None).prefetch_related(open_jobs)
    return [one for one in living if not stands(one)]


def _preview(request: HttpRequest, verb: PersonVerb, chosen: list[Instance], now: datetime, *, is_all: bool) -> Preview:
    candidates = tuple(_candidate(request, verb, one, now, is_all=is_all) for one in chosen[:MOST])
    refused = {one.id for one in candidates if one.refusal}
    return Preview(
        verb=verb,
        candidates=candidates,
        left_out=max(0, len(chosen) - MOST),
        rate=_rate(verb.name, [one for one in chosen[:MOST] if one.pk not in refused]),
        is_all=is_all,
    )


def _candidate(request: HttpRequest, verb: PersonVerb, instance: Instance, now: datetime, *, is_all: bool) -> Candidate:
    if is_all:
        refusal = _why_left_out(instance)
    else:
        asked = ask_one(verb.name, verb.ask, instance, actor=actor_of(request), reason="", now=now, dry_run=True)
        refused = not asked.ok or (asked.code == "unchanged" and verb.name in ("start", "stop"))
        refusal = asked.detail if refused else ""
    machine = instance.machine
    return Candidate(
        id=instance.pk,
        name=instance.name or (machine.novita_id if machine else None) or "(no name)",
        phase=instance.phase,
        owner=instance.owner,
        price=usd_per_hour(machine.hourly_usd if machine else None),
        refusal=refusal,
    )


def _why_left_out(instance: Instance) -> str:
    """Of one that does not stand; told by its row alone, since a rehearsal of a thousand takes long."""
    if instance.protected:
        return SKIPPED
    under_way = instance.wanted == Wanted.STOPPED and (instance.open_job is not None or not instance.met)
    return "it is asked to stop already" if under_way else ""


def _rate(verb: str, instances: list[Instance]) -> str:
    """What stopping the billed ones saves, or starting the standing ones costs."""
    prices = [
        one.machine.hourly_usd or Decimal(0) for one in instances if one.machine is not None and _counts(verb, one.observed)
    ]
    return usd_per_hour(sum(prices, Decimal(0))) if prices else ""


def _counts(verb: str, observed: Observed) -> bool:
    return observed in BILLED if verb == "stop" else verb == "start" and observed is Observed.EXITED


def _carry_out(request: HttpRequest, verb: PersonVerb, chosen: list[Instance], now: datetime, *, is_all: bool) -> None:
    """Ask for each, and tell how many were accepted and why the rest was not."""
    if not chosen:
        messages.warning(request, f"{verb.label}: nothing was chosen, and nothing was asked for.")
        return
    choice = Choice(among=_rows(), skips_protected=True) if is_all else None
    ask = partial(ask_one, verb.name, verb.ask, actor=actor_of(request), reason=reason_of(request), now=now, dry_run=False)
    refusals = []
    for start in range(0, len(chosen), _AT_ONCE):
        with transaction.atomic():
            for one in chosen[start : start + _AT_ONCE]:
                asked = ask(one, choice=choice)
                if not asked.ok:
                    refusals.append(f"{one}: {asked.detail}")
    done = len(chosen) - len(refusals)
    if done:
        messages.success(request, f"{done} of {len(chosen)} {verb.asked}.")
    if refusals:
        more = len(refusals) - _MOST_REFUSALS_TOLD
        told = "; ".join(refusals[:_MOST_REFUSALS_TOLD]) + (f"; and {more} more" if more > 0 else "")
        messages.error(request, f"{len(refusals)} refused. {told}.")
