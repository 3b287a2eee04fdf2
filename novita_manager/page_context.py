"""What every page shows, the admin's too."""

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from instances.models import AutomationPause
from instances.scopes import scopes_of


def everywhere(request: HttpRequest) -> dict[str, object]:
    return {
        "simulated": settings.SIMULATED,
        "version": settings.VERSION,
        "paused": SimpleLazyObject(_pause),
        "granted": SimpleLazyObject(lambda: scopes_of(request.user)),
    }


def _pause() -> AutomationPause | None:
    """The pause of automation that holds now; read only by pages that show it."""
    pause = AutomationPause.objects.filter(pk=1).first()
    return pause if pause is not None and pause.holds(timezone.now()) else None
