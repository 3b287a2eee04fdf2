"""Which instance a `{ref}` names: our id, Novita's id, or the name of a managed one, ignoring case.

An instance is read, told to be in use and kept by the Novita id of any machine it has or had: what goes on after a move may
still use the id it began with. It is changed by that of its current one alone.
"""

from uuid import UUID

from django.db.models import Q
from django.http import Http404

from instances.api.fields import has_control_characters
from instances.api.problems import Problem
from instances.models import Instance, Machine
from instances.models.instance import InstanceQuerySet

_LONGEST = 255
_MOST_TOLD = 20


def find(reference: str, among: InstanceQuerySet | None = None) -> Instance:
    """The one instance it fits; a living one goes before ended ones of the same name.

    Raises Http404, and Problem `ambiguous_ref` with the ids where it fits several.
    """
    rows = Instance.objects.select_related("machine") if among is None else among
    ours = own_id(reference)
    if ours is not None:
        found = rows.filter(pk=ours).first()
        if found is not None:
            return found
    if not reference or len(reference) > _LONGEST or has_control_characters(reference):
        raise Http404("there is no such instance")
    by_novita_id = Q(pk__in=Machine.objects.filter(novita_id=reference).values("instance_id"))
    fitting = list(rows.filter(by_novita_id | Q(managed=True, name__iexact=reference))[:100])
    exact = [one for one in fitting if one.machine and one.machine.novita_id == reference]
    living = [one for one in fitting if one.ended_at is None or one in exact]
    left = living or fitting
    if not left:
        raise Http404("there is no such instance")
    if len(left) > 1:
        ids = [str(one.pk) for one in left[:_MOST_TOLD]]
        raise Problem(
            f"{reference!r} fits {len(left)} instances: use an id", code="ambiguous_ref", status=409, more={"ids": ids}
        )
    return left[0]


def find_to_change(reference: str) -> Instance:
    """As `find`, for a request that changes the instance or what runs for it.

    Raises also Problem `not_current`: what is meant for a second or former machine never reaches the one in use.
    """
    instance = find(reference)
    current = (instance.machine.novita_id if instance.machine else None) or ""
    by_name = instance.managed and instance.name.lower() == reference.lower()
    if own_id(reference) == instance.pk or by_name or reference == current:
        return instance
    has = f"whose machine is {current}" if current else "which has no machine now"
    raise Problem(
        f"{reference} is not the current machine of {instance.name or instance.pk}, {has}: nothing was asked of either; "
        f"{_what_to_do(instance, reference)}. What is meant for the instance takes its own id, {instance.pk}",
        code="not_current",
        status=409,
        more={"ids": [str(instance.pk)]},
    )


def _what_to_do(instance: Instance, novita_id: str) -> str:
    other = Machine.objects.only("absent_at", "let_go_at").filter(instance=instance, novita_id=novita_id).first()
    if other is None or other.absent_at is not None:
        return f"{novita_id} needs nothing: it is gone from Novita"
    if other.let_go_at is not None:
        return f"{novita_id} was let go and its deletion was asked for: look at it in Novita's console if it stays"
    return f"nothing here acts on {novita_id}: see to it in Novita's console"


def own_id(text: str) -> UUID | None:
    """The reference as an id of ours, where it is shaped like one."""
    if len(text) != 36:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None
