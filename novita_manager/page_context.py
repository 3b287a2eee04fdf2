"""What every page shows, the admin's too."""

from django.conf import settings
from django.http import HttpRequest


def everywhere(request: HttpRequest) -> dict[str, object]:
    return {"simulated": settings.SIMULATED, "version": settings.VERSION}
