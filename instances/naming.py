"""Names of managed instances: what they may look like, and one to propose where Novita's own will not do."""

import re
from collections.abc import Collection

LONGEST_NAME = 100
NAME_SHAPE = re.compile(r"[A-Za-z0-9._-]{1,100}")
ID_SHAPE = re.compile(r"[0-9a-f]{16,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Addresses of the API that a name would hide.
RESERVED_NAMES = {".", "..", "bulk", "stop-all"}

_KEPT_CHARACTERS = 90  # room for a number behind it


def is_possible(name: str) -> bool:
    return bool(NAME_SHAPE.fullmatch(name)) and not ID_SHAPE.fullmatch(name) and name.lower() not in RESERVED_NAMES


def proposed_name(wish: str, *, product: str, novita_id: str, taken: Collection[str]) -> str:
    """The name nearest to `wish` that is possible and free; from the product and the id where nothing of it is left.

    `taken` are names in lower case.
    """
    stem = _shaped(wish)
    if not is_possible(stem):
        stem = _shaped(f"{product or 'machine'} {novita_id[:6]}".lower())
    if not is_possible(stem):
        stem = "machine"
    number, name = 1, stem
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}"
    return name


def _shaped(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:_KEPT_CHARACTERS]
