"""Sign-ins that were refused: whose name from which address, and letting somebody try again before the lock opens."""

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from instances.admin.looking import LookOnlyAdmin, actor_of, badge
from instances.events import record


@admin.register(AccessAttempt)
class AccessAttemptAdmin(LookOnlyAdmin):
    """A name nobody has is not shown: it may be a password in the wrong field."""

    list_display = ["name", "ip_address", "failures_since_start", "shown_state", "attempt_time"]
    list_display_links = None
    fields = ["name", "ip_address", "failures_since_start", "attempt_time"]
    readonly_fields = fields
    search_fields = ["ip_address"]
    ordering = ["-attempt_time"]
    actions = ["let_in"]

    def has_let_in_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("auth.change_user")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessAttempt]:
        known = Exists(User.objects.filter(username=OuterRef("username")))
        attempts: QuerySet[AccessAttempt] = super().get_queryset(request).annotate(known=known)
        return attempts.defer("get_data", "post_data")

    @admin.display(description="name", ordering="username")
    def name(self, attempt: AccessAttempt) -> str:
        return str(attempt.username) if attempt.known else "(a name nobody has)"

    @admin.display(description="state")
    def shown_state(self, attempt: AccessAttempt) -> SafeString:
        if timezone.now() - attempt.attempt_time >= settings.AXES_COOLOFF_TIME:
            return badge("over", "still")
        locked = attempt.failures_since_start >= settings.AXES_FAILURE_LIMIT
        return badge("locked", "bad") if locked else badge("counted", "warn")

    @admin.action(description="Let them try again", permissions=["let_in"])
    def let_in(self, request: HttpRequest, attempts: QuerySet[AccessAttempt]) -> None:
        done = 0
        for attempt in attempts:
            with transaction.atomic():
                after = {"name": self.name(attempt), "address": attempt.ip_address}
                AccessAttempt.objects.filter(pk=attempt.pk).delete()
                record("sign_in.unlocked", at=timezone.now(), actor=actor_of(request), reason="in the admin", after=after)
            done += 1
        messages.success(request, f"{done} may try again.")
