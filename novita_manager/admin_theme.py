"""The look of the admin: the colours of our own pages, and the areas people work in."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse


def _site_address(request: HttpRequest) -> str:
    return reverse("fleet")


def _icon(request: HttpRequest) -> str:
    return static("novita_manager/icon.svg")


def _colours(request: HttpRequest) -> str:
    return static("novita_manager/colours.css")


def _styles(request: HttpRequest) -> str:
    return static("novita_manager/admin.css")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "novita-manager",
    "SITE_HEADER": "novita-manager",
    "SITE_URL": _site_address,
    "SHOW_HISTORY": False,  # the timeline of events tells it, with what came by other ways than the admin
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _icon}],
    "STYLES": [_colours, _styles],
    "BORDER_RADIUS": "6px",
    "DASHBOARD_CALLBACK": "novita_manager.admin_navigation.with_areas",
    "SIDEBAR": {"navigation": "novita_manager.admin_navigation.navigation"},
    "COLORS": {
        # The blue and the greys of the product's own pages, from light to dark.
        "primary": {
            "50": "oklch(97% .013 243)",
            "100": "oklch(94% .028 243)",
            "200": "oklch(89% .052 243)",
            "300": "oklch(82% .084 243)",
            "400": "oklch(76% .100 243)",
            "500": "oklch(76% .100 243)",
            "600": "oklch(47% .100 243)",
            "700": "oklch(43% .096 243)",
            "800": "oklch(38% .080 243)",
            "900": "oklch(32% .064 243)",
            "950": "oklch(24% .046 243)",
        },
        "base": {
            "50": "#f5f6f8",
            "100": "#eef2f6",
            "200": "#dfe3e8",
            "300": "#c3cbd4",
            "400": "#9aa7b5",
            "500": "#5b6775",
            "600": "#445060",
            "700": "#37414d",
            "800": "#2d353f",
            "900": "#1a2027",
            "950": "#12161b",
        },
        "font": {
            "subtle-light": "#5b6775",
            "subtle-dark": "#9aa7b5",
            "default-light": "#1c2530",
            "default-dark": "#d5dce4",
            "important-light": "#1c2530",
            "important-dark": "#e3e8ee",
        },
    },
}
