"""What the admin classes share: rows to look at, links between them, and actions that count what was refused."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline

from instances.events import Actor
from instances.operations import OperationRefused

_MOST_REFUSALS_TOLD = 10

TONES = {
    "good": "success",
    "bad": "danger",
    "warn": "warning",
    "moving": "info",
}


class LookOnlyAdmin(ModelAdmin):  # type: ignore[misc]  # unfold is untyped
    """No adding, no deleting, no changing of a row; who may change the model may run its actions on the list."""

    list_fullwidth = True
    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """With a row, never; without one, whether actions may be run."""
        return obj is None and bool(super().has_change_permission(request))


class LookOnlyInline(TabularInline):  # type: ignore[misc]  # unfold is untyped
    extra = 0
    can_delete = False
    show_change_link = True
    tab = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def actor_of(request: HttpRequest) -> Actor:
    return Actor(kind="user", name=request.user.get_username())


def link_to(row: Model | None, text: str = "") -> SafeString | str:
    """The admin page of a row."""
    if row is None:
        return "-"
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', address, text or str(row))


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
