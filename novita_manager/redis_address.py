"""One address for broker and cache, whichever way it was given."""

from urllib.parse import quote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_SCHEMES = ("redis", "rediss", "unix")


def redis_address(url: str, rest_url: str, rest_token: str) -> str:
    """`url` itself, or the TLS Redis address of the Upstash database whose REST address and token are given, or "".

    Upstash serves the same database over both protocols; the token is the Redis password.
    """
    if url:
        if urlsplit(url).scheme not in _SCHEMES:
            raise ImproperlyConfigured("REDIS_URL: write redis://host:6379/0, rediss://… or unix:///path/to/socket")
        return url
    if bool(rest_url) != bool(rest_token):
        missing = "UPSTASH_REDIS_REST_TOKEN" if rest_url else "UPSTASH_REDIS_REST_URL"
        raise ImproperlyConfigured(f"{missing} is not set: both Upstash variables are needed, or REDIS_URL alone")
    if not rest_url:
        return ""
    return f"rediss://default:{quote(rest_token, safe='')}@{urlsplit(rest_url).hostname}:6379/0"


def celery_address(url: str) -> str:
    """The same address as Celery spells it: a Unix socket has a scheme of its own there."""
    if url.startswith("unix://"):
        return "redis+socket://" + url.removeprefix("unix://") + "?virtual_host=0"
    return url or "memory://"
