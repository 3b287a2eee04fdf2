"""What PUBLIC_URL says about the address people open: its origin, its host, and the path below which the product lives."""

import re
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured


def path_prefix(address: str) -> str:
    """`/gpu` for https://ops.example/gpu, "" for an address without a path. Raises ImproperlyConfigured."""
    prefix = urlsplit(address).path.rstrip("/")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", prefix):
        raise ImproperlyConfigured(f"PUBLIC_URL: its path {prefix} may hold letters, digits and . _ ~ - only")
    return prefix


def origin_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()


def host_of(address: str) -> str:
    """As `Host` names it, without a port; an IPv6 address in brackets."""
    name = urlsplit(address).hostname or ""
    return f"[{name}]" if ":" in name else name
