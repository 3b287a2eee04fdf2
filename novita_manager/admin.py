"""API keys and the replies kept for them. A key is shown once, when it is made, and gives no more than its maker has."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from instances.admin.looking import ActingAdmin, LookOnlyAdmin, actor_of
from instances.events import record
from novita_manager.models import SCOPES, ApiKey, IdempotencyRecord, networks
from novita_manager.people_admin import GroupAdmin, UserAdmin
from novita_manager.roles import scopes_to_give
from novita_manager.sign_in_admin import AccessAttemptAdmin

# Modules that register more: all of the admin of this room begins here.
__all__ = ["AccessAttemptAdmin", "GroupAdmin", "UserAdmin"]

admin.site.index_title = "Overview"


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable when it runs
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in SCOPES],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="create includes operate, operate includes read; secrets is added to any; admin is all.",
    )

    allowed_networks = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Addresses or networks it may be used from, such as 203.0.113.0/24; from anywhere where empty.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "owner", "scopes", "expires_at", "allowed_networks", "max_instances", "max_usd_per_hour")

    def clean_allowed_networks(self) -> list[str]:
        try:
            return networks(self.cleaned_data["allowed_networks"].replace(",", " ").split())
        except ValueError as error:
            raise forms.ValidationError(f"{error}: write addresses or networks such as 203.0.113.0/24") from None


@admin.register(ApiKey)
class ApiKeyAdmin(ActingAdmin):
    """Made and revoked here, never changed: what a key may do stays what it was when it was given away."""

    form = ApiKeyForm
    list_display = ["name", "prefix", "shown_scopes", "owner", "shown_state", "expires_at", "last_used_at", "created_at"]
    list_filter = ["owner"]
    search_fields = ["name", "owner", "prefix"]
    fields = ["name", "owner", "scopes", "expires_at", "allowed_networks", "max_instances", "max_usd_per_hour"]
    actions = ["revoke"]

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        times = ["created_at", "expires_at", "revoked_at", "last_used_at"]
        bounds = ["allowed_networks", "max_instances", "max_usd_per_hour"]
        shown = ["name", "owner", "shown_scopes", "prefix", *bounds, "replaced_by", *times]
        return self.fields if obj is None else shown

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, **kwargs: Any) -> Any:
        """Offers the scopes that the person has."""
        form = super().get_form(request, obj, **kwargs)
        if "scopes" in form.base_fields:
            form.base_fields["scopes"].choices = [(scope, scope) for scope in scopes_to_give(request.user)]
        return form

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        return [] if obj is None else self.get_fields(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and bool(super().has_change_permission(request))

    @admin.display(description="scopes")
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @display(description="state", label={"valid": "success", "revoked": "danger"})  # type: ignore[untyped-decorator]
    def shown_state(self, key: ApiKey) -> str:
        if key.revoked_at is not None:
            return "revoked"
        return "expired" if key.why_invalid(timezone.now()) else "valid"

    def save_model(self, request: HttpRequest, obj: ApiKey, form: ApiKeyForm, change: bool) -> None:
        with transaction.atomic():
            row, plain = ApiKey.objects.issue(
                name=obj.name,
                scopes=form.cleaned_data["scopes"],
                owner=obj.owner,
                expires_at=obj.expires_at,
                allowed_networks=form.cleaned_data["allowed_networks"],
                max_instances=obj.max_instances,
                max_usd_per_hour=obj.max_usd_per_hour,
            )
            _tell(request, "api_key.created", row)
        obj.pk, obj.prefix = row.pk, row.prefix
        request.issued_key = plain  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """The key in plain text, once: it is stored nowhere."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": f"The API key {obj.name}",
            "key": request.issued_key,  # type: ignore[attr-defined]
            "back": reverse("admin:novita_manager_apikey_changelist"),
        }
        response = TemplateResponse(request, "admin/novita_manager/issued_key.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        now, done = timezone.now(), 0
        for key in keys:
            with transaction.atomic():
                if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
                    _tell(request, "api_key.revoked", key)
                    done += 1
        self.message_user(request, f"{done} revoked: they let nobody in any more.")


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(LookOnlyAdmin):
    list_display = ["key", "api_key", "started_at", "finished_at"]
    list_select_related = ["api_key"]
    search_fields = ["key", "api_key__name"]
    exclude = ["reply"]


def _tell(request: HttpRequest, type_: str, key: ApiKey) -> None:
    after = {"name": key.name, "prefix": key.prefix, "scopes": key.scopes, "owner": key.owner}
    record(type_, at=timezone.now(), actor=actor_of(request), reason="in the admin", after=after)
