"""Correlation ids: how a create whose answer was lost is found again.

Novita has no idempotency key and its names are not unique, so one random id per create attempt travels in what a list
returns: as the suffix of the provider-side name. The exact suffix is the proof; the environment variable is a second
witness whose absence disproves nothing.
"""

import re
import secrets

ENVIRONMENT_NAME = "NOVITA_MANAGER_ID"
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_LENGTH = 16
_SUFFIX = re.compile(rf"--([{_ALPHABET}]{{{_LENGTH}}})\Z")


def new_correlation_id() -> str:
    """16 characters of a-z2-7: 80 random bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def provider_name(name: str, correlation_id: str) -> str:
    """`<name>--<id>`, with `.` and `_` as `-` since Novita's names know letters, digits and hyphens only."""
    return f"{re.sub(r'[._]', '-', name)}--{correlation_id}"


def correlation_id_in(provider_side_name: str) -> str:
    """The correlation id a provider-side name ends in, or ""."""
    found = _SUFFIX.search(provider_side_name)
    return found.group(1) if found else ""
