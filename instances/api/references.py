"""Which instance a `{ref}` names: our id, Novita's id, or the name of a managed one, ignoring case."""

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


def own_id(text: str) -> UUID | None:
    """The reference as an id of ours, where it is shaped like one."""
    if len(text) != 36:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None
