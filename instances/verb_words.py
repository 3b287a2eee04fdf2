"""What a verb brings about, said before it is asked: money, data, and what may go wrong. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from instances.words import usd_per_hour

# What Novita grants a stopped instance, until a read by id tells the day (`keepDataDay`).
KEPT_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Stakes:
    """What is at stake for one instance. `price_usd_per_hour` is None where it is not known.

    `subscribed`: it is paid by the month, whether it runs or not. `billed`: its GPUs are billed now.
    `on_its_way`: Novita creates, pulls or starts it. `purged_at`: when Novita ends the data of one that is stopped.
    """

    price_usd_per_hour: Decimal | None = None
    subscribed: bool = False
    billed: bool = False
    on_its_way: bool = False
    spot: bool = False
    precious: bool = False
    purged_at: datetime | None = None


def consequence(verb: str, stakes: Stakes) -> str:
    """Sentences; empty for a verb nobody taught it."""
    tell = _TELLERS.get(verb)
    return tell(stakes) if tell else ""


def _start(stakes: Stakes) -> str:
    price = usd_per_hour(stakes.price_usd_per_hour)
    bill = f"{price} per hour" if price else "Billed per hour, at a price that is not known yet,"
    bill = "Paid by the month already: no hour is billed" if stakes.subscribed else bill
    spot = " As a spot instance Novita may take it back." if stakes.spot else ""
    return (
        f"{bill} from the moment Novita pulls its image. Novita may refuse it for lack of GPUs: then it stays stopped, "
        f"keeps its disks and says so.{spot}"
    )


def _stop(stakes: Stakes) -> str:
    price = usd_per_hour(stakes.price_usd_per_hour)
    if stakes.subscribed:
        saves = "It is paid by the month: stopping it saves nothing."
    elif not stakes.billed:
        saves = "It is not billed for GPUs now: this makes sure that it stays so."
    elif stakes.on_its_way:
        rate = f", at {price} per hour" if price else ""
        saves = f"Novita stops it only once it runs: it is billed until then{rate}."
    else:
        saves = f"Saves {price or 'its hourly price'}{' per hour' if price else ''} from the moment Novita shows it stopped."
    return f"{saves} Its disks still cost. {_purge(stakes)}"


def _purge(stakes: Stakes) -> str:
    if stakes.purged_at is None:
        return f"Novita purges the data of a stopped instance after {KEPT_DAYS} days."
    return f"Novita purges its data on {stakes.purged_at.astimezone(UTC):%d %b %Y at %H:%M} UTC."


def _restart(stakes: Stakes) -> str:
    return f"Its programs end and start again; its disks stay.{_goes_on(stakes)}"


def _keep_awake(stakes: Stakes) -> str:
    return f"Its idle time starts again now.{_goes_on(stakes)}"


def _migrate(stakes: Stakes) -> str:
    return (
        f"Novita moves it to another node. It keeps its id and loses everything on its local disks{_care(stakes)}; "
        f"network storages stay. It is away for some minutes.{_goes_on(stakes)}"
    )


def _save_image(stakes: Stakes) -> str:
    return (
        "Novita pushes its container disk to a registry under the name you write. That can take many minutes, and other "
        f"errands wait for it.{_goes_on(stakes)}"
    )


def _adopt(stakes: Stakes) -> str:
    return (
        "Nothing is sent to Novita. From now on what Novita shows is what is wanted, auto-stop only observes it, and its "
        "local data counts as precious. Release takes it back."
    )


def _release(stakes: Stakes) -> str:
    price = usd_per_hour(stakes.price_usd_per_hour)
    cost = f" It goes on costing {price} per hour." if stakes.billed and price else ""
    return f"Nothing is stopped or deleted. No rule here stops it or brings it back any more.{cost} Adopt takes it back."


def _delete(stakes: Stakes) -> str:
    price = usd_per_hour(stakes.price_usd_per_hour)
    ends = f" That ends {price} per hour." if stakes.billed and price else ""
    return (
        f"It ends at Novita for good, with everything on its local disks{_care(stakes)}; network storages stay.{ends} "
        "This cannot be taken back."
    )


def _care(stakes: Stakes) -> str:
    return ", which are marked precious" if stakes.precious else ""


def _goes_on(stakes: Stakes) -> str:
    price = usd_per_hour(stakes.price_usd_per_hour)
    return f" It goes on costing {price} per hour." if stakes.billed and price else ""


_TELLERS: dict[str, Callable[[Stakes], str]] = {
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "keep-awake": _keep_awake,
    "migrate": _migrate,
    "save-image": _save_image,
    "adopt": _adopt,
    "release": _release,
    "delete": _delete,
}
