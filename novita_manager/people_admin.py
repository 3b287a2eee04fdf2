"""People and groups. Nobody gives away what they do not hold, and nobody takes their own administration away."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models import Count, ManyToManyField, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter, RelatedCheckboxFilter
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from instances.admin.looking import ActingAdmin, OneSave, actor_of, badge
from novita_manager.people import facts_of_group, facts_of_person, tell_change, tell_deletion, tell_password
from novita_manager.roles import ROLES, administers, held_by, permissions_to_give, words_of

admin.site.unregister(User)
admin.site.unregister(Group)

_HELP = {
    "username": "Letters, digits and @ . + - _",
    "is_active": "Off: no more signing in, from the next page on. People stay in the story; none is deleted.",
    "is_staff": "May open the admin too. Without it only the pages outside of it.",
    "is_superuser": "May do everything, whatever the groups say.",
    "groups": "; ".join(f"{name}: {about}" for name, about in ROLES.items()),
}
_LABELS = {"username": "Name to sign in with", "is_active": "May sign in", "is_staff": "Admin", "is_superuser": "Everything"}


class Giving(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable when it runs
    """`giver` is who fills the form in: set by the admin class that makes the form."""

    giver: ClassVar[User]

    def clean_groups(self) -> Any:
        groups = self.cleaned_data["groups"]
        has = set(self.instance.groups.all()) if self.instance.pk else set()
        for group in set(groups) - has:
            _refuse_more_than_held(self.giver, group.permissions.all(), f"the group {group.name}")
        return groups


class PersonForm(UserChangeForm, Giving):  # type: ignore[misc]  # unfold is untyped
    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.pk == self.giver.pk and not self._still_administers(cleaned):
            raise forms.ValidationError("This would end your own administration: let another administrator do it.")
        return cleaned

    def _still_administers(self, cleaned: dict[str, Any]) -> bool:
        if not (cleaned.get("is_active", True) and cleaned.get("is_staff", True)):
            return False
        if cleaned.get("is_superuser", self.instance.is_superuser):
            return True
        of_groups = Permission.objects.filter(group__in=cleaned.get("groups", []))
        own = self.instance.user_permissions.all()
        return any(_changes_people(permissions) for permissions in (of_groups, own))


class NewPersonForm(UserCreationForm, Giving):  # type: ignore[misc]
    pass


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ActingAdmin):  # type: ignore[type-arg]
    form = PersonForm
    add_form = NewPersonForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "full_name", "shown_state", "shown_groups", "way_in", "last_login"]
    list_filter = [("groups", RelatedCheckboxFilter), ("is_active", BooleanRadioFilter), ("is_staff", BooleanRadioFilter)]
    filter_horizontal = []
    readonly_fields = ["shown_password", "last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["username", "shown_password"]}),
        ("Who", {"fields": ["first_name", "last_name", "email"]}),
        ("May", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
        ("When", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["username", "usable_password", "password1", "password2"]}),
        ("May", {"fields": ["is_staff", "groups"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        people: QuerySet[User] = super().get_queryset(request).prefetch_related("groups")
        return people

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Who could set the password of someone who may do more would do more: so only of those who do not."""
        if not super().has_change_permission(request, obj):
            return False
        return obj is None or _holds_all_of(request.user, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        fixed = list(super().get_readonly_fields(request, obj))
        return fixed if getattr(request.user, "is_superuser", False) else [*fixed, "is_superuser"]

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.giver = request.user
        for name, field in form.base_fields.items():
            field.help_text = _HELP.get(name, field.help_text)
            field.label = _LABELS.get(name, field.label)
        return form

    def formfield_for_manytomany(self, db_field: "ManyToManyField[Any, Any]", request: Any = None, **kwargs: Any) -> Any:
        return super().formfield_for_manytomany(db_field, request, **{**kwargs, "widget": _ticks()})

    @admin.display(description="password")
    def shown_password(self, user: User) -> SafeString:
        state = "set" if user.has_usable_password() else "none: signing in is not possible"
        address = reverse("admin:auth_user_password_change", args=[user.pk])
        return format_html('{} \u00b7 <a class="row-link" href="{}">Set another one…</a>', state, address)

    @admin.display(description="name", ordering="last_name")
    def full_name(self, user: User) -> str:
        return user.get_full_name() or "-"

    @admin.display(description="state", ordering="is_active")
    def shown_state(self, user: User) -> SafeString:
        return badge("active", "good") if user.is_active else badge("shut out", "still")

    @admin.display(description="may")
    def shown_groups(self, user: User) -> str:
        names = [group.name for group in user.groups.all()]
        return ", ".join(["everything", *names] if user.is_superuser else names) or "nothing"

    @admin.display(description="signs in to", ordering="is_staff")
    def way_in(self, user: User) -> str:
        return "pages and admin" if user.is_staff else "pages"

    # What is told.

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        form.before = facts_of_person(User.objects.get(pk=obj.pk)) if change else {}
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        tell_change("person", form.before, facts_of_person(form.instance), actor=actor_of(request))

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        with transaction.atomic():
            before = User.objects.filter(pk=id).values_list("password", flat=True).first()
            response: HttpResponse = super().user_change_password(request, id, form_url)
            after = User.objects.filter(pk=id).first()
            if after is not None and after.password != before:
                tell_password(after, actor=actor_of(request))
        return response


class GroupForm(forms.ModelForm):  # type: ignore[type-arg]
    giver: ClassVar[User]

    class Meta:
        model = Group
        fields = ("name", "permissions")

    def clean_permissions(self) -> Any:
        permissions = self.cleaned_data["permissions"]
        has = self.instance.permissions.all() if self.instance.pk else Permission.objects.none()
        gained = permissions.exclude(pk__in=has.values("pk"))
        _refuse_more_than_held(self.giver, gained, "these permissions")
        if self.instance.pk and _depends_on(self.giver, self.instance) and not _changes_people(permissions):
            raise forms.ValidationError("This would end your own administration: let another administrator do it.")
        return permissions


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, OneSave):
    """The three roles are part of the product and stay as they are; others are made, changed and deleted here."""

    form = GroupForm
    list_display = ["name", "about", "people"]
    list_fullwidth = True
    filter_horizontal = []
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        groups: QuerySet[Group] = super().get_queryset(request).annotate(people_count=Count("user", distinct=True))
        return groups

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return bool(super().has_change_permission(request, obj)) and (obj is None or obj.name not in ROLES)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        if not super().has_delete_permission(request, obj):
            return False
        return obj is None or (obj.name not in ROLES and not _depends_on(request.user, obj))

    def get_form(self, request: HttpRequest, obj: Group | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.giver = request.user
        return form

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        chosen = {**kwargs, "queryset": permissions_to_give(), "widget": _ticks()}
        field: Any = super().formfield_for_manytomany(db_field, request, **chosen)
        field.label_from_instance = words_of
        return field

    @admin.display(description="what it is for")
    def about(self, group: Group) -> str:
        return ROLES.get(group.name, "made by you")

    @admin.display(description="people", ordering="people_count")
    def people(self, group: Group) -> int:
        return int(getattr(group, "people_count", 0))

    # What is told.

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        form.before = facts_of_group(Group.objects.get(pk=obj.pk)) if change else {}
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        tell_change("group", form.before, facts_of_group(form.instance), actor=actor_of(request))

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        tell_deletion("group", facts_of_group(obj), actor=actor_of(request))
        super().delete_model(request, obj)


def _ticks() -> Any:
    """Every choice in sight: there are few, and a list of two panes needs a wide screen."""
    return UnfoldAdminCheckboxSelectMultipleWidget()


def _refuse_more_than_held(giver: User, permissions: QuerySet[Permission], what: str) -> None:
    wanted = {f"{app}.{name}" for app, name in permissions.values_list("content_type__app_label", "codename")}
    missing = sorted(wanted - held_by(giver))
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise forms.ValidationError(f"You cannot give {what}: you do not hold {', '.join(missing[:3])}{more} yourself.")


def _holds_all_of(holder: Any, other: User) -> bool:
    """Whether one may do all that another may; everybody does of themselves."""
    if holder.pk == other.pk or holder.is_superuser:
        return True
    return not other.is_superuser and held_by(other) <= held_by(holder)


def _changes_people(permissions: QuerySet[Permission]) -> bool:
    return permissions.filter(content_type__app_label="auth", codename="change_user").exists()


def _depends_on(user: Any, group: Group) -> bool:
    """Whether a person administers by this group alone."""
    if not administers(user) or user.is_superuser or not _changes_people(group.permissions.all()):
        return False
    others = Permission.objects.filter(group__in=user.groups.exclude(pk=group.pk))
    return user.groups.filter(pk=group.pk).exists() and not (
        _changes_people(others) or _changes_people(user.user_permissions.all())
    )
