from collections.abc import Callable
from functools import partial

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AllValuesCheckboxFilter, ChoicesDropdownFilter, MultipleChoicesDropdownFilter

from instances import operations
from instances.admin.asking import MOST_AT_ONCE, Line, OptionalReason, Question, ask_page, confirmed
from instances.admin.looking import (
    LookOnlyAdmin,
    LookOnlyInline,
    actor_of,
    address_of,
    ask_each,
    badge,
    link_to,
    moment,
    two_lines,
)
from instances.lifecycle import JobState, Verb
from instances.models import Job
from instances.scopes import may, scope_of_verb
from instances.stakes import stakes_of
from instances.story import who
from instances.tones import tone_of_job
from instances.verb_words import consequence
from instances.words import usd_per_hour


class JobInline(LookOnlyInline):
    model = Job
    fk_name = "instance"
    fields = ["verb", "shown_state", "asked_by", "reason", "attempts", "error_detail", "asked_at", "ended_at"]
    readonly_fields = fields

    @admin.display(description="state")
    def shown_state(self, job: Job) -> SafeString:
        return badge(job.state, tone_of_job(job.state))

    @admin.display(description="asked by")
    def asked_by(self, job: Job) -> str:
        return who(job.requested_by_kind, job.requested_by_name)

    @admin.display(description="asked at (UTC)")
    def asked_at(self, job: Job) -> SafeString | str:
        return moment(job.created_at)

    @admin.display(description="ended at")
    def ended_at(self, job: Job) -> SafeString | str:
        return moment(job.finished_at)


@admin.register(Job)
class JobAdmin(LookOnlyAdmin):
    list_display = ["shown_verb", "shown_state", "instance_link", "asked_by_and_why", "outcome", "attempts", "asked_at"]
    list_filter = [
        ("state", MultipleChoicesDropdownFilter),
        ("verb", ChoicesDropdownFilter),
        ("requested_by_kind", AllValuesCheckboxFilter),
        ("error_code", AllValuesCheckboxFilter),
    ]
    list_select_related = ["instance", "instance__machine"]
    search_fields = ["id", "instance__name", "instance__machine__novita_id", "requested_by_name", "request_id"]
    date_hierarchy = "created_at"
    actions = ["cancel", "retry"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        jobs: QuerySet[Job] = super().get_queryset(request).select_related("instance__machine")
        return jobs.defer("instance__envs", "instance__machine__connection")

    @admin.display(description="state", ordering="state")
    def shown_state(self, job: Job) -> SafeString:
        return badge(job.state, tone_of_job(job.state))

    @admin.display(description="instance", ordering="instance__name")
    def instance_link(self, job: Job) -> SafeString | str:
        return link_to(job.instance)

    @admin.display(description="job", ordering="verb")
    def shown_verb(self, job: Job) -> str:
        return job.verb.replace("_", " ")

    @admin.display(description="asked by", ordering="requested_by_name")
    def asked_by_and_why(self, job: Job) -> SafeString:
        return two_lines(who(job.requested_by_kind, job.requested_by_name), job.reason)

    @admin.display(description="error", ordering="error_code")
    def outcome(self, job: Job) -> SafeString | str:
        return two_lines(job.error_code.replace("_", " "), job.error_detail) if job.error_code else "-"

    @admin.display(description="asked at (UTC)", ordering="created_at")
    def asked_at(self, job: Job) -> SafeString | str:
        return moment(job.created_at)

    @admin.action(description="Cancel what was not sent yet…", permissions=["operate"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[Job]) -> HttpResponse | None:
        return self._ask(
            request,
            jobs,
            name="cancel",
            question=partial(
                Question,
                title="Cancel these jobs?",
                lead="Novita was not asked yet. The wish behind each ends with it.",
                confirm="Cancel them",
            ),
            fits=lambda job: job.is_open and not job.was_called,
            ask=operations.cancel_job,
            brings_about=lambda job: f"Novita is not asked to {job.verb.replace('_', ' ')} it.",
            done="cancelled",
        )

    @admin.action(description="Try again what failed…", permissions=["operate"])
    def retry(self, request: HttpRequest, jobs: QuerySet[Job]) -> HttpResponse | None:
        return self._ask(
            request,
            jobs,
            name="retry",
            question=partial(
                Question,
                title="Try these jobs again?",
                lead="Novita is asked again. That may start a bill: it says so below.",
                confirm="Try them again",
            ),
            fits=lambda job: job.state == JobState.FAILED,
            ask=operations.retry_job,
            brings_about=what_a_retry_brings,
            done="queued again",
        )

    def _ask(
        self,
        request: HttpRequest,
        jobs: QuerySet[Job],
        *,
        name: str,
        question: Callable[..., Question],
        fits: Callable[[Job], bool],
        ask: Callable[..., object],
        brings_about: Callable[[Job], str],
        done: str,
    ) -> HttpResponse | None:
        chosen = list(jobs[: MOST_AT_ONCE + 1])
        allowed = [one for one in chosen if fits(one) and may(request.user, scope_of_verb(one.verb))]
        if len(chosen) > MOST_AT_ONCE or not allowed:
            many = len(chosen) > MOST_AT_ONCE
            messages.warning(request, f"At most {MOST_AT_ONCE} at once." if many else f"None of these can be {done} by you.")
            return None
        form = OptionalReason(confirmed(request))
        if form.is_valid():
            reason = form.cleaned_data["reason"] or f"{name} in the admin"
            asked = partial(ask, actor=actor_of(request), reason=reason, now=timezone.now())
            ask_each(request, allowed, lambda job: asked(job.pk), done)
            return None
        page = question(
            lines=tuple(_line(one, brings_about(one)) for one in allowed),
            left_out=tuple(_line(one, _why_left_out(one, fits)) for one in chosen if one not in allowed),
        )
        back = reverse("admin:instances_job_changelist")
        return ask_page(self, request, page, form, back=back, action=name, selected=[one.pk for one in allowed])


def what_a_retry_brings(job: Job) -> str:
    """What may be paid or lost when a failed job is tried again."""
    if job.verb == Verb.CREATE:
        cap = usd_per_hour(job.instance.max_price_usd_per_hour)
        most = f" at {cap} per hour at most" if cap else ""
        return f"Novita is asked for a new machine, billed{most} from the moment it pulls its image."
    return consequence(job.verb, stakes_of(job.instance)) or "Novita is asked for the same again; no bill starts by it."


def _why_left_out(job: Job, fits: Callable[[Job], bool]) -> str:
    if fits(job):
        return f"it needs the permission to {scope_of_verb(job.verb)}"
    return f"it is {job.state}{', and Novita was asked already' if job.is_open and job.was_called else ''}"


def _line(job: Job, text: str) -> Line:
    return Line(
        name=f"{job.verb.replace('_', ' ')} {job.instance}",
        text=text,
        badge=badge(job.state, tone_of_job(job.state)),
        address=address_of(job),
    )
