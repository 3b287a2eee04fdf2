"""Jobs as an instance's page shows them: how far they came, what they ran into, where a create was placed and why there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from instances.api.jobs import NEEDS_CREATE
from instances.lifecycle import JobState
from instances.models import Instance, Job
from instances.story import who
from instances.words import usd_per_hour

MOST_JOBS = 50
MOST_OFFERS = 40

_TONES = {"succeeded": "good", "failed": "bad", "cancelled": "still", "superseded": "still"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferLine:
    """An offer of a placement; `reason` is empty for one that fits."""

    what: str
    where: str
    billing: str
    price: str
    stock: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """`note`: what an open job waits for. `control`: `cancel` or `retry` where the person may ask for it."""

    id: UUID
    verb: str
    state: str
    tone: str
    who: str
    reason: str
    attempts: int
    error: str
    error_code: str
    note: str
    next_attempt_at: datetime | None
    made_way: bool
    fitting: tuple[OfferLine, ...]
    refused: tuple[OfferLine, ...]
    created_at: datetime
    finished_at: datetime | None
    control: str


def scope_of_job(verb: str) -> str:
    """What a person needs to cancel or retry it."""
    return "create" if verb in NEEDS_CREATE else "operate"


def job_lines(instance: Instance, scopes: Iterable[str]) -> tuple[JobLine, ...]:
    """The newest jobs; one query. `scopes` are those of the person who looks."""
    jobs = list(instance.jobs.all()[:MOST_JOBS])
    held = frozenset(scopes)
    idle = not any(job.is_open for job in jobs)
    return tuple(
        _job_line(job, _control(job, instance, newest=job is jobs[0], idle=idle) if scope_of_job(job.verb) in held else "")
        for job in jobs
    )


def _control(job: Job, instance: Instance, *, newest: bool, idle: bool) -> str:
    if job.is_open:
        return "" if job.was_called else "cancel"
    return "retry" if newest and idle and job.state == JobState.FAILED and instance.managed else ""


def _job_line(job: Job, control: str) -> JobLine:
    placement: Mapping[str, Any] = job.placement or {}
    return JobLine(
        id=job.pk,
        verb=job.verb.replace("_", " "),
        state=job.state,
        tone=_TONES.get(job.state, "moving"),
        who=who(job.requested_by_kind, job.requested_by_name),
        reason=job.reason,
        attempts=job.attempts,
        error=job.error_detail if job.error_code else "",
        error_code=job.error_code,
        note="" if job.error_code else job.error_detail,
        next_attempt_at=job.next_attempt_at if job.is_open else None,
        made_way=job.superseded_by_id is not None,
        fitting=tuple(map(offer_line, placement.get("candidates", ())[:MOST_OFFERS])),
        refused=tuple(map(offer_line, placement.get("refused", ())[:MOST_OFFERS])),
        created_at=job.created_at,
        finished_at=job.finished_at,
        control=control,
    )


def offer_line(offer: Mapping[str, Any]) -> OfferLine:
    """From the plain form of a candidate or a refusal."""
    price = offer.get("price_usd_per_hour")
    return OfferLine(
        what=str(offer.get("product_name") or offer.get("product_id")),
        where=str(offer.get("region") or offer.get("cluster_id") or ""),
        billing=str(offer.get("billing_mode", "")).replace("_", "-"),
        price=usd_per_hour(Decimal(str(price)) if price else None),
        stock=str(offer.get("inventory") or ""),
        reason=str(offer.get("reason") or ""),
    )
