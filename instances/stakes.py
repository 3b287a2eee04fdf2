"""What is at stake for an instance when a verb is asked of it, from its row and its machine's."""

from instances.lifecycle import BILLED, Observed
from instances.models import Instance
from instances.verb_words import Stakes

_ON_ITS_WAY = (Observed.CREATING, Observed.PULLING, Observed.STARTING)


def stakes_of(instance: Instance) -> Stakes:
    machine = instance.machine
    return Stakes(
        price_usd_per_hour=machine.hourly_usd if machine else None,
        subscribed=machine is not None and machine.is_subscribed,
        billed=instance.observed in BILLED,
        on_its_way=instance.observed in _ON_ITS_WAY,
        spot=((machine.billing_mode if machine else "") or instance.billing_mode) == "spot",
        precious=instance.local_data == "precious",
        purged_at=machine.data_purged_at if machine and instance.observed is Observed.EXITED else None,
    )


def kept_reason(instance: Instance) -> str:
    """Why no rule may do away with its machine or its disks, or ""."""
    if instance.protected:
        return "it is protected"
    return "its data is precious" if instance.local_data == "precious" else ""
