"""What a request was before proxies carried it here: its client, scheme and host, and its path below PUBLIC_URL.

Headers are believed only from TRUSTED_PROXIES. A proxy may take the path of PUBLIC_URL off or leave it: both are understood.
"""

import ipaddress

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.urls import get_resolver

from novita_manager.environment import Network


def is_in(address: str, networks: list[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


def came_by_unknown_proxy(request: HttpRequest) -> bool:
    """Whether a proxy nobody trusts forwarded it, so that its address says nothing about the client."""
    forwarded = "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META
    return forwarded and not getattr(request, "came_by_trusted_proxy", False)


def see_through_proxies(request: HttpRequest) -> None:
    """Take the client's address, the scheme and the host from the headers of a trusted proxy, and of nobody else.

    The list of addresses is read from its end: the first that no trusted proxy has is the client's. The host has still to
    be one of ALLOWED_HOSTS.
    """
    if not is_in(request.META.get("REMOTE_ADDR", ""), settings.TRUSTED_PROXIES):
        return
    request.came_by_trusted_proxy = True  # type: ignore[attr-defined]
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    client = next((hop for hop in reversed(hops) if not is_in(hop, settings.TRUSTED_PROXIES)), None)
    if client is not None and _is_address(client):
        request.META["REMOTE_ADDR"] = client
    if _first(request, "HTTP_X_FORWARDED_PROTO").lower() == "https":
        request.META["wsgi.url_scheme"] = "https"
        request.environ["wsgi.url_scheme"] = "https"  # type: ignore[attr-defined]
    host = _first(request, "HTTP_X_FORWARDED_HOST")
    if host:
        request.META["HTTP_HOST"] = host


def verify_prefix() -> None:
    """Refuse a path of PUBLIC_URL that begins like one of our own: with it and without it they could not be told apart.

    Raises ImproperlyConfigured.
    """
    first = settings.PATH_PREFIX[1:].partition("/")[0]
    ours = {str(entry.pattern).partition("/")[0] for entry in get_resolver().url_patterns} | {"static"}
    if first and first in ours:
        raise ImproperlyConfigured(
            f"PUBLIC_URL: its path must not begin with /{first}, which is a path below it: choose another"
        )


def take_off_prefix(request: HttpRequest) -> None:
    """Leave of the path what stands below PUBLIC_URL, where the proxy has not done so already."""
    prefix = settings.PATH_PREFIX
    if not prefix or not f"{request.path_info}/".startswith(f"{prefix}/"):
        return
    request.path_info = request.path_info.removeprefix(prefix) or "/"
    request.path = prefix + request.path_info
    request.META["PATH_INFO"] = request.path_info


def _first(request: HttpRequest, header: str) -> str:
    """What the outermost proxy of a chain wrote."""
    return str(request.META.get(header, "")).split(",")[0].strip()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
