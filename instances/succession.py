"""When a move of ours ends under another id: which of two machines its instance has from then on.

Novita keeps the id where all goes well. Where a move goes wrong there may be the old machine, a new one, both or none; the
correlation id in the name says that the new one is ours. The old one is never deleted here: it is proven gone by the reads
to come, or proposed for deletion.
"""

from datetime import datetime, timedelta

from instances.alarms import clear_alarm
from instances.attempts import SURPLUS
from instances.events import OUTSIDE, record
from instances.lifecycle import Observed, Verb, Wanted
from instances.models import Instance, Job, Machine
from instances.moves import place_of

_RECENT = timedelta(hours=2)
_LEFT = (Observed.EXITED, Observed.MIGRATING, Observed.ABSENT, Observed.REMOVING)


def take_over_if_moved(instance: Instance, machine: Machine, *, now: datetime) -> Machine | None:
    """The second machine runs, the first does not, and a move of ours went before: the instance goes on with the second.

    One that was known before the move was sent is none of its making, and stays so. Answers the machine it had, which is
    surplus unless it is gone; None where nothing is taken over.
    """
    old = instance.machine
    if old is None or machine.surplus_since is None or machine.let_go_at is not None:
        return None
    if machine.observed is not Observed.RUNNING or old.observed not in _LEFT or instance.wanted != Wanted.RUNNING:
        return None
    last = Job.objects.filter(instance=instance).exclude(called_at=None).order_by("-called_at").first()
    if last is None or last.verb != Verb.MIGRATE or last.called_at is None or now - last.called_at > _RECENT:
        return None
    if machine.created_at < last.called_at:
        return None
    machine.surplus_since = None
    machine.auto_migrate_off_at = old.auto_migrate_off_at
    machine.save(update_fields=["surplus_since", "auto_migrate_off_at"])
    clear_alarm(SURPLUS, machine.novita_id or "", now=now)
    instance.machine = machine
    instance.save(update_fields=["machine"])
    record(
        "instance.moved_to_new_id",
        at=now,
        actor=OUTSIDE,
        instance=instance,
        job=last,
        reason="Novita's move of it ended under another id, by whose name it is ours",
        before=place_of(old),
        after=place_of(machine),
    )
    return old
