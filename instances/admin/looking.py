"""What the admin classes share: rows to look at, links between them, badges, and actions that count what was refused."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline

from instances.events import Actor
from instances.models import Instance
from instances.operations import OperationRefused
from instances.scopes import may

_MOST_REFUSALS_TOLD = 10


class OneSave(ModelAdmin):  # type: ignore[misc]  # unfold is untyped
    """A form is saved or left: there is one button for it."""

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *given: Any, **named: Any) -> HttpResponse:
        one = {"show_save_and_add_another": False, "show_save_and_continue": False}
        response: HttpResponse = super().render_change_form(request, {**context, **one}, *given, **named)
        return response


class ActingAdmin(OneSave):
    """Actions name the scope they need: `permissions=["operate"]`. Without it they are not offered, and refused aloud."""

    list_fullwidth = True
    list_per_page = 50
    list_filter_submit = True
    show_full_result_count = False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return may(request.user, "operate")

    def has_create_permission(self, request: HttpRequest) -> bool:
        return may(request.user, "create")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        asked = request.POST.get("action", "")
        if asked in self.actions and asked not in self.get_actions(request):
            words = asked.replace("_", " ")
            raise PermissionDenied(f"your account lacks the permission to {words} {self.opts.verbose_name_plural}")
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows tell a story: none is deleted here."""
        return False


class LookOnlyAdmin(ActingAdmin):
    """No adding, no changing, no deleting of a row; actions ask for what may be asked."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LookOnlyInline(TabularInline):  # type: ignore[misc]  # unfold is untyped
    extra = 0
    can_delete = False
    show_change_link = True
    tab = True
    per_page = 20

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def actor_of(request: HttpRequest) -> Actor:
    return Actor(kind="user", name=request.user.get_username())


def badge(text: str, tone: str) -> SafeString:
    """In the colours of the fleet page: good, bad, warn, moving or still."""
    return format_html('<span class="badge {}">{}</span>', tone, text)


def in_one_line(text: str) -> SafeString:
    return format_html('<span class="whitespace-nowrap">{}</span>', text)


def two_lines(text: object, under: object) -> SafeString:
    """A cell with something said in small letters below, as on the fleet page."""
    return format_html('{}<small class="under">{}</small>', text, under)


def moment(at: datetime | None) -> SafeString | str:
    """A time in one line, in UTC."""
    if at is None:
        return "-"
    return format_html('<time class="whitespace-nowrap" datetime="{}">{}</time>', at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S}")


def address_of(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def name_of(instance: Instance) -> str:
    novita_id = (instance.machine.novita_id if instance.machine else None) or str(instance.pk)
    return instance.name or f"(no name, {novita_id})"


def link_to(row: Model | None, text: str = "") -> SafeString | str:
    """The admin page of a row."""
    if row is None:
        return "-"
    if isinstance(row, Instance) and not row.name:
        text = text or f"(no name, {str(row.pk)[:8]})"
    return format_html('<a class="row-link" href="{}"><bdi>{}</bdi></a>', address_of(row), text or str(row))


def ask_each(request: HttpRequest, rows: Iterable[Model], ask: Callable[[Any], object], asked: str) -> None:
    """Ask for one after the other, and tell how many were accepted and why the rest was refused."""
    done = 0
    refusals: list[str] = []
    for row in rows:
        try:
            ask(row)
        except OperationRefused as refusal:
            refusals.append(f"{row}: {refusal.detail}")
        else:
            done += 1
    if done:
        messages.success(request, f"{done} {asked}.")
    if refusals:
        more = len(refusals) - _MOST_REFUSALS_TOLD
        told = "; ".join(refusals[:_MOST_REFUSALS_TOLD]) + (f"; and {more} more" if more > 0 else "")
        messages.error(request, f"{len(refusals)} refused. {told}")
