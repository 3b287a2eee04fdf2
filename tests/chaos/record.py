"""What people asked for and were promised, in order: the yardstick for what the product does with it."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Wish:
    """`at` is the moment, in epoch seconds, by which it was accepted; `asked_at` when it was asked for."""

    verb: str
    asked_at: float
    at: float


@dataclass(slots=True)
class Record:
    """By the name of each instance, all that was accepted of it."""

    wishes: dict[str, list[Wish]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    refused: int = 0

    def accept(self, name: str, verb: str, asked_at: float) -> None:
        self.wishes.setdefault(name, []).append(Wish(verb, asked_at, time.time()))

    def last(self, name: str) -> str:
        """The last wish that is no errand: create, start, stop or delete."""
        return next(wish.verb for wish in reversed(self.wishes[name]) if wish.verb not in ("restart", "migrate"))

    def living(self) -> list[str]:
        return [name for name in self.wishes if self.last(name) != "delete"]

    def accepted(self) -> int:
        return sum(map(len, self.wishes.values()))
