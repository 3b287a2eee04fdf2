"""A verb asked of instances: first what it costs, saves and loses for each, then through the operations like everybody's."""

from collections.abc import Iterable
from decimal import Decimal
from functools import partial

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin

from instances.admin.asking import (
    MOST_AT_ONCE,
    Line,
    OptionalReason,
    Question,
    Reason,
    TypedReason,
    ask_page,
    confirmed,
)
from instances.admin.looking import actor_of, address_of, ask_each, badge, name_of
from instances.lifecycle import BILLED, Observed, Wanted
from instances.models import Instance
from instances.person_verbs import VERBS, offered
from instances.stakes import stakes_of
from instances.tones import tone_of_phase
from instances.verb_words import consequence
from instances.words import usd, usd_per_hour

AT_ONCE = "keep-awake"
_MOST_TOLD = 10
_SETTLED = (Observed.RUNNING, Observed.EXITED)
_LOSES_DATA = frozenset({"delete", "migrate"})
_LEADS = {
    "start": "Novita is asked to start what is named here, and bills it from then on.",
    "stop": "Novita is asked to stop what is named here. Each is stopped once Novita shows it so, and billed until then.",
    "restart": "Novita is asked to restart what is named here.",
    "migrate": "Novita is asked to move what is named here. What is on local disks is lost.",
    "adopt": "What is named here comes into our care.",
    "release": "What is named here leaves our care.",
    "delete": "What is named here ends at Novita for good.",
}
# What several come to together; but for a start only what is billed now counts.
_TOTALS = {
    "start": "Together {sum} per hour once all of them run.",
    "stop": "Together this ends {sum} per hour.",
    "delete": "Together this ends {sum} per hour.",
    "release": "Together they go on costing {sum} per hour.",
}


def ask_verb(model_admin: ModelAdmin, request: HttpRequest, name: str, instances: QuerySet[Instance]) -> HttpResponse | None:
    """The page that asks, or the answer to it. None leads back to the list."""
    if name == AT_ONCE:
        return _carry_out(request, name, instances, reason="")
    chosen = list(instances[: MOST_AT_ONCE + 1])
    if len(chosen) > MOST_AT_ONCE:
        messages.error(request, f"At most {MOST_AT_ONCE} at once: filter the list first.")
        return None
    # Once it is confirmed, what was shown is asked for: what changed meanwhile the operations refuse with their reason.
    form = _form(request, name, chosen) if confirmed(request) else None
    if form is not None and form.is_valid():
        return _carry_out(request, name, instances, reason=form.cleaned_data["reason"])
    fitting = [one for one in chosen if fits(one, name)]
    left_out = tuple(_line(one, _why_left_out(one)) for one in chosen if one not in fitting)
    if not fitting:
        told = "; ".join(f"{line.name}: {line.text}" for line in left_out[:_MOST_TOLD])
        messages.warning(request, f"{VERBS[name].label} fits none of these now. {told}")
        return _back_to_row(request, chosen)
    question = Question(
        title=_title(name, fitting),
        lead=_LEADS[name],
        confirm=f"{VERBS[name].label} {_these(fitting)}",
        lines=tuple(_line(one, _brings_about(one, name)) for one in fitting),
        left_out=left_out,
        total=_total(name, fitting),
        grave=name in _LOSES_DATA,
    )
    return ask_page(
        model_admin,
        request,
        question,
        form or _form(request, name, fitting),
        action=name.replace("-", "_"),
        selected=[one.pk for one in fitting],
        back=_back(request, chosen),
    )


def fits(instance: Instance, name: str) -> bool:
    """Whether the verb makes sense for it now; the operation has the last word."""
    if name != "migrate":
        return name in offered(instance)
    at_rest = instance.observed in _SETTLED and instance.open_job is None
    return at_rest and instance.managed and not instance.has_ended and instance.wanted != Wanted.DELETED


def _why_left_out(instance: Instance) -> str:
    """The facts that decide, not a guess at one of them."""
    facts = []
    if not instance.managed:
        facts.append("not managed")
    elif instance.wanted and not instance.has_ended:
        facts.append(f"wanted {instance.wanted} already")
    if instance.protected:
        facts.append("protected")
    job = instance.open_job
    if job is not None:
        facts.append(f"its {job.verb} job is open")
    return ", ".join(facts) or f"it is {instance.phase}"


def _form(request: HttpRequest, name: str, fitting: list[Instance]) -> Reason:
    answers = confirmed(request)
    if name == "delete":
        return TypedReason(answers, expected=str(fitting[0]) if len(fitting) == 1 else str(len(fitting)))
    return Reason(answers) if name in _LOSES_DATA else OptionalReason(answers)


def _carry_out(request: HttpRequest, name: str, instances: QuerySet[Instance], *, reason: str) -> HttpResponse | None:
    verb = VERBS[name]
    ask = partial(verb.ask, actor=actor_of(request), reason=reason or "asked for in the admin", now=timezone.now())
    chosen = list(instances)
    ask_each(request, chosen, lambda one: ask(one.pk), verb.asked)
    return _back_to_row(request, chosen)


def _line(instance: Instance, text: str) -> Line:
    return Line(
        name=name_of(instance),
        text=text,
        badge=badge(instance.phase, tone_of_phase(instance.phase)),
        address=address_of(instance),
    )


def _brings_about(instance: Instance, name: str) -> str:
    spent = usd(instance.cost_usd(timezone.now()))
    owner = f", owned by {instance.owner}" if instance.owner else ""
    return f"{consequence(name, stakes_of(instance))} It cost {spent} so far{owner}."


def _total(name: str, fitting: list[Instance]) -> str:
    """Empty for one, and where a price is not known."""
    counted = [one.machine for one in fitting if name == "start" or one.observed in BILLED]
    prices = [one.hourly_usd for one in counted if one is not None and one.hourly_usd is not None]
    if len(fitting) < 2 or not prices or len(prices) < len(counted):
        return ""
    return _TOTALS.get(name, "").format(sum=usd_per_hour(sum(prices, Decimal(0))))


def _title(name: str, fitting: list[Instance]) -> str:
    return f"{VERBS[name].label}: {_these(fitting)}"


def _these(fitting: list[Instance]) -> str:
    return name_of(fitting[0]) if len(fitting) == 1 else f"{len(fitting)} instances"


def _back(request: HttpRequest, chosen: list[Instance]) -> str:
    if request.POST.get("back") == "object" and len(chosen) == 1:
        return address_of(chosen[0])
    return reverse("admin:instances_instance_changelist")


def _back_to_row(request: HttpRequest, chosen: Iterable[Instance]) -> HttpResponse | None:
    rows = list(chosen)
    if request.POST.get("back") == "object" and len(rows) == 1:
        return HttpResponseRedirect(address_of(rows[0]))
    return None


def verbs_for(instance: Instance) -> tuple[str, ...]:
    """What its page offers: what makes sense now, moving included, what ends it last."""
    names = list(offered(instance))
    if fits(instance, "migrate"):
        at = next((names.index(one) for one in ("release", "delete") if one in names), len(names))
        names.insert(at, "migrate")
    return tuple(names)
