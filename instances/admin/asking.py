"""The page between an action and its effect: what it brings about for each row, and what a person has to write for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

# One page shows all that is acted upon, so what is acted upon has an end.
MOST_AT_ONCE = 200
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row that is asked about: its name, its state, and what becomes of it."""

    name: str
    text: str
    badge: SafeString | str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`grave`: what is lost cannot be had back."""

    title: str
    lead: str
    confirm: str
    lines: tuple[Line, ...] = ()
    left_out: tuple[Line, ...] = ()
    total: str = ""
    grave: bool = False


class Reason(forms.Form):
    """Why, told in the story of each row."""

    reason = forms.CharField(
        max_length=LONGEST_REASON,
        label="Why",
        help_text="Goes into the story.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


class OptionalReason(Reason):
    reason = forms.CharField(
        max_length=LONGEST_REASON,
        required=False,
        label="Why (may stay empty)",
        help_text="Goes into the story.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


class TypedReason(Reason):
    """Also asks for `expected` to be typed, so that nobody ends something by habit."""

    typed = forms.CharField(
        max_length=255, widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"})
    )

    def __init__(self, *given: Any, expected: str, **named: Any) -> None:
        super().__init__(*given, **named)
        self._expected = expected
        self.fields["typed"].label = f"Type {expected} to confirm"

    def clean_typed(self) -> str:
        typed: str = self.cleaned_data["typed"].strip()
        if typed != self._expected:
            raise forms.ValidationError(f"Nothing was done: type {self._expected} to confirm.")
        return typed


def hours_field(*, most: int, **options: Any) -> forms.IntegerField:
    return forms.IntegerField(min_value=1, max_value=most, widget=UnfoldAdminIntegerFieldWidget(), **options)


def confirmed(request: HttpRequest) -> dict[str, Any] | None:
    """What was written on the page, or None where it is yet to be shown."""
    return request.POST if request.POST.get("confirmed") == "yes" else None


def ask_page(
    model_admin: ModelAdmin,
    request: HttpRequest,
    question: Question,
    form: forms.Form,
    *,
    back: str,
    action: str = "",
    selected: Sequence[object] = (),
) -> HttpResponse:
    """Ask. The answer comes to the same address, with the rows shown here and no others."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.model._meta,
        "title": question.title,
        "question": question,
        "form": form,
        "selected": [str(one) for one in selected],
        "action": action,
        "back": back,
        "back_to_row": request.POST.get("back", ""),
    }
    return TemplateResponse(request, "admin/ask.html", context)
