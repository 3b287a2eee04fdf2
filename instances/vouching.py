"""How new what we know of a machine is: by its own last read, or by a complete list that left its row unchanged."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from instances.lifecycle import Verb
from instances.models import Job, Machine, ProviderAccount


def locked_account() -> ProviderAccount | None:
    """The account's row, locked until the transaction ends; None before the first contact."""
    return ProviderAccount.objects.select_for_update().filter(pk=1).first()


def effective_observed_at(machine: Machine, account: ProviderAccount | None) -> datetime | None:
    """The start of the newest read that vouches for what the row says: its own, or a complete list that had it unchanged."""
    return vouched_at(machine.observed_at, machine.missing_since, account)


def vouched_at(
    observed_at: datetime | None, missing_since: datetime | None, account: ProviderAccount | None
) -> datetime | None:
    """The same from the columns alone."""
    listed = listed_at(missing_since, account) if observed_at else None
    return max((at for at in (observed_at, listed) if at), default=None)


def listed_at(missing_since: datetime | None, account: ProviderAccount | None) -> datetime | None:
    """The start of the newest believed list, where it did not lack the machine."""
    return account.complete_list_at if account and missing_since is None else None


def calls_that_move(instance_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """When the last call ended, for those whose last call was a create, start or migrate: absence proves nothing then."""
    last: dict[UUID, Job] = {}
    for job in Job.objects.filter(instance_id__in=instance_ids).exclude(called_at=None).order_by("called_at"):
        last[job.instance_id] = job
    return {
        key: job.call_ended_at or job.called_at
        for key, job in last.items()
        if job.verb in (Verb.CREATE, Verb.START, Verb.MIGRATE, Verb.REPLACE) and job.called_at
    }
