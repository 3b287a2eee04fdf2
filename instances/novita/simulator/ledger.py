"""The prepaid balance: falls by the sum of all running rates, in whole units of 1/100000 USD per day.

Times are wall clock and the speed does not touch money: an hour on the wire costs an hour's price.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from instances.novita.simulator.records import Interval

UNITS_PER_USD = 100_000
SECONDS_PER_DAY = 86_400
FREE_DISK_GB = 60
DISK_RATE = 500  # 1/100000 USD per GB and day
STORAGE_RATE = 200
FOREVER = float("inf")


@dataclass(slots=True)
class Ledger:
    """`balance` (units) was true at `at` and falls by `rate` (units per day) since."""

    balance: float
    at: float
    rate: int = 0
    is_frozen: bool = False

    def balance_at(self, at: float) -> float:
        return self.balance - self.rate * max(0.0, at - self.at) / SECONDS_PER_DAY

    def change_rate(self, by: int, at: float) -> None:
        self.balance, self.at = self.balance_at(at), max(at, self.at)
        self.rate += by

    def pay(self, amount: float, at: float) -> None:
        self.change_rate(0, at)
        self.balance -= amount

    def runs_out_at(self) -> float:
        """When the account has to be frozen; for ever away once it is."""
        if self.is_frozen or self.rate <= 0:
            return FOREVER
        return self.at + max(0.0, self.balance) * SECONDS_PER_DAY / self.rate


def cost(intervals: Iterable[Interval], until: float) -> float:
    """Units of 1/100000 USD."""
    return sum(max(0.0, (until if i.end is None else i.end) - i.start) * i.rate / SECONDS_PER_DAY for i in intervals)


def open_rate(intervals: Iterable[Interval]) -> int:
    return sum(i.rate for i in intervals if i.end is None)


def metered(intervals: list[Interval], kind: str, rate: int, at: float) -> list[Interval]:
    """The intervals once `kind` runs at `rate` from `at` on; a rate of 0 ends it, the same rate changes nothing."""
    running = next((i for i in intervals if i.kind == kind and i.end is None), None)
    if (running.rate if running else 0) == rate:
        return intervals
    changed = [i._replace(end=at) if i is running else i for i in intervals]
    return [*changed, Interval(kind, at, None, rate)] if rate else changed
