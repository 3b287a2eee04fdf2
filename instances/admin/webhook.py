"""Who is told of events, and each delivery: to look at. Secrets, whole addresses and bodies are not shown."""

from django.contrib import admin
from unfold.decorators import display

from instances.admin.looking import LookOnlyAdmin, LookOnlyInline, link_to
from instances.models import Delivery, DeliveryAttempt, WebhookEndpoint
from instances.webhooks.addresses import origin
from instances.webhooks.endpoints import url_of


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(LookOnlyAdmin):
    list_display = ["__str__", "format", "place", "shown_state", "owner", "failing_since", "last_error", "created_at"]
    list_filter = ["format", "source", "enabled"]
    search_fields = ["name", "owner", "instance__name"]
    exclude = ["url", "secret", "previous_secret", "secret_shown"]
    readonly_fields = ["place"]

    @admin.display(description="address, without its path")
    def place(self, endpoint: WebhookEndpoint) -> str:
        return origin(url_of(endpoint))

    @display(  # type: ignore[untyped-decorator]
        description="state", ordering="enabled", label={"well": "success", "failing": "warning", "switched off": "danger"}
    )
    def shown_state(self, endpoint: WebhookEndpoint) -> str:
        if not endpoint.enabled:
            return "switched off"
        return "failing" if endpoint.failing_since else "well"


class AttemptInline(LookOnlyInline):
    model = DeliveryAttempt
    fields = ["at", "status", "milliseconds", "error"]
    show_change_link = False


@admin.register(Delivery)
class DeliveryAdmin(LookOnlyAdmin):
    list_display = ["created_at", "type", "shown_state", "attempts", "next_attempt_at", "endpoint_link", "event_link"]
    list_display_links = ["created_at"]
    list_filter = ["state", "type", "severity"]
    list_select_related = ["endpoint", "event"]
    search_fields = ["type", "endpoint__name", "event__instance__name"]
    date_hierarchy = "created_at"
    exclude = ["body", "lease_until", "fence"]
    inlines = [AttemptInline]

    @display(  # type: ignore[untyped-decorator]
        description="state",
        ordering="state",
        label={"delivered": "success", "pending": "info", "grouped": "info", "failed": "danger"},
    )
    def shown_state(self, delivery: Delivery) -> str:
        return str(delivery.state)

    @admin.display(description="webhook", ordering="endpoint__name")
    def endpoint_link(self, delivery: Delivery) -> str:
        return link_to(delivery.endpoint)

    @admin.display(description="event")
    def event_link(self, delivery: Delivery) -> str:
        return link_to(delivery.event)
