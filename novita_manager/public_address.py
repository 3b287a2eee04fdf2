"""What PUBLIC_URL says about the address people open: its origin, its host, and the path below which the product lives."""

import re
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

# The first words of our own paths. A prefix that begins with one could not be told from them once a proxy took it off.
OWN_PATHS = ("admin", "api", "fleet", "health", "metrics", "static")


def path_prefix(address: str) -> str:
    """`/gpu` for https://ops.example/gpu, "" for an address without a path. Raises ImproperlyConfigured."""
    prefix = urlsplit(address).path.rstrip("/")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", prefix):
        raise ImproperlyConfigured(f"PUBLIC_URL: its path {prefix} may hold letters, digits and . _ ~ - only")
    if prefix.split("/")[1:2] and prefix.split("/")[1] in OWN_PATHS:
        raise ImproperlyConfigured(
            f"PUBLIC_URL: its path must not begin with {', '.join(OWN_PATHS)}: these are paths below it"
        )
    return prefix


def origin_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()


def host_of(address: str) -> str:
    """As `Host` names it, without a port; an IPv6 address in brackets."""
    name = urlsplit(address).hostname or ""
    return f"[{name}]" if ":" in name else name
