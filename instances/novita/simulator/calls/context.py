"""What a call is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from instances.novita.simulator.validation import Body
from instances.novita.simulator.wire import Addresses
from instances.novita.simulator.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request: `effects` are the faults that change what a call does; `as_of` is past when a read is stale."""

    world: World
    addresses: Addresses
    now: float
    as_of: float
    query: Mapping[str, str]
    body: Body
    page_base: int = 1
    effects: frozenset[str] = field(default_factory=frozenset)

    def contains(self, wanted: str, value: str) -> bool:
        """Fuzzy as the provider's filters: part of the value, ignoring case; nothing wanted fits all."""
        return wanted.lower() in value.lower()


Answer = Any
