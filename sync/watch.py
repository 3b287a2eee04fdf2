"""The cadence of looking: the poll of everything, the watch of what moves, single reads, deadlines, balance."""

import math
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Lower
from django.utils import timezone

from instances.lifecycle import MOVING_STATUSES, OPEN_STATES, Observed, observed_of
from instances.models import Instance, Machine, PeriodicWork, ProviderAccount, Reclaim
from instances.models.reclaim import OPEN_RECLAIMS
from instances.novita.client import Novita
from instances.novita.endpoints import PAGE_SIZE
from instances.novita.errors import AuthFailed, NotFound, NovitaError
from instances.novita.pace import Rank
from instances.novita.types import InstanceList
from instances.observation import observe, observe_details, observe_not_found
from instances.periodic import Claim, bring_forward, claim, finish, is_due, renewing
from instances.provider import novita
from instances.provider_key import note_key_refused
from instances.readings import reading_of
from instances.vouching import locked_account
from sync.listing import run_list

log = structlog.get_logger("sync")

WATCH_INTERVAL = timedelta(seconds=5)
NOTICE_INTERVAL = timedelta(seconds=15)  # how old the spot fields may be while one of ours is notified
READS_A_ROUND = 20
PAGES_TO_WATCH = 2


def poll_if_due(now: datetime) -> bool:
    """The full list, every INSTANCE_POLL_INTERVAL or as seldom as keeps lists under half the pace."""
    if not is_due("poll", now=now):
        return False
    every = poll_interval()
    was_away = _nobody_listed_since(now - 3 * every)
    held = claim("poll", every=every, lease=settings.JOB_LEASE, now=now)
    return held is not None and _list(held, novita(), trigger="start-up" if was_away else "poll")


def watch_if_due(now: datetime) -> bool:
    """What is in motion, every few seconds: by the list while that is cheap, else by id."""
    held = claim("watch", every=watch_interval(), lease=settings.JOB_LEASE, now=now)
    if held is None:
        return False
    if not in_motion():
        finish(held, now=timezone.now(), ok=True, detail="nothing is in motion")
        return True
    if pages_of_a_list() <= PAGES_TO_WATCH or _spot_fields_are_due(now):
        return _list(held, novita(), trigger="watch")
    keep = renewing(held, timezone.now)
    for number, machine in enumerate(_moving_machines()):
        keep(number)
        read_by_id(machine, novita())
    finish(held, now=timezone.now(), ok=True)
    return True


def read_details_if_due(now: datetime) -> bool:
    """Each machine once by id when it starts to run or stops, and each missing one, at most 20 a round."""
    if not _with_details_due(now):
        return False
    held = claim("details", every=timedelta(seconds=1), lease=settings.JOB_LEASE, now=now)
    if held is None:
        return False
    keep = renewing(held, timezone.now)
    for number, machine in enumerate(_with_details_due(now)):  # anew, now that it is ours: another worker may have read them
        keep(number)
        read_by_id(machine, novita())
    finish(held, now=timezone.now(), ok=True)
    return True


def read_balance_if_due(now: datetime) -> bool:
    held = claim("balance", every=timedelta(minutes=1), lease=settings.JOB_LEASE, now=now)
    if held is None:
        return False
    try:
        balance = novita().balance()
    except NovitaError as error:
        if isinstance(error, AuthFailed):
            note_key_refused(error.message, now=timezone.now())
        finish(held, now=timezone.now(), ok=False, detail=error.message)
        return False
    ProviderAccount.objects.filter(pk=1).update(balance_usd=balance.available_usd, balance_read_at=now)
    finish(held, now=timezone.now(), ok=True)
    return True


def _nobody_listed_since(moment: datetime) -> bool:
    """Whether the product was off, or Novita away: what the next list finds happened meanwhile."""
    return not PeriodicWork.objects.filter(name__in=["poll", "watch"], succeeded_at__gte=moment).exists()


def _spot_fields_are_due(now: datetime) -> bool:
    """Spot fields are promised by lists alone: while one of ours is notified, a list of any size is at most so old."""
    if not reclaims_are_watched():
        return False
    account = ProviderAccount.objects.filter(pk=1).first()
    at = account.complete_list_at if account else None
    return at is None or now - at >= NOTICE_INTERVAL - watch_interval()


def in_motion() -> bool:
    """Whether anything is on its way: a machine, a wish that Novita was asked for, an attempt without an id."""
    asked = Instance.objects.managed().filter(jobs__state__in=OPEN_STATES, jobs__called_at__isnull=False)
    moving = _in_motion().exists() or Machine.objects.unresolved().exists() or asked.exists()
    return moving or reclaims_are_watched()


def reclaims_are_watched() -> bool:
    """Whether one of ours is announced to be taken back, or stopped in a way that leaves open by whom."""
    watched = Q(notified_at__isnull=False, taken_at=None) | Q(code="doubt")
    return Reclaim.objects.filter(watched, state__in=OPEN_RECLAIMS).exists()


def pages_of_a_list() -> int:
    """As long as the last one was."""
    totals = ProviderAccount.objects.filter(pk=1).values_list("list_total", flat=True)
    return _pages_of(sum(totals))


def _pages_of(total: int) -> int:
    return max(1, math.ceil(total / PAGE_SIZE))


def poll_interval() -> timedelta:
    """The configured interval, stretched so that lists take at most half the pace."""
    return _interval_for(pages_of_a_list())


def _interval_for(pages: int) -> timedelta:
    least = timedelta(seconds=(pages + 1) * 120 / settings.NOVITA_REQUESTS_PER_MINUTE)
    return max(settings.INSTANCE_POLL_INTERVAL, least)


def watch_interval() -> timedelta:
    return min(WATCH_INTERVAL, settings.INSTANCE_POLL_INTERVAL)


def read_by_id(machine: Machine, client: Novita) -> None:
    """One read by id, observed; a machine that has begun to run or has stopped gets its details stored too."""
    began_at = timezone.now()
    try:
        detail = client.get_instance(machine.novita_id or "", rank=Rank.REST)
    except NotFound:
        with transaction.atomic():
            account = locked_account()
            machine = Machine.objects.get(pk=machine.pk)
            observe_not_found(machine, began_at=began_at, now=timezone.now(), account=account)
            Machine.objects.filter(pk=machine.pk).update(details_read_at=began_at)
        return
    except NovitaError as error:
        log.info("sync.read_failed", novita_id=machine.novita_id, error=error.code)
        Machine.objects.filter(pk=machine.pk).update(details_read_at=began_at)
        return
    with transaction.atomic():
        account = locked_account()
        machine = Machine.objects.get(pk=machine.pk)
        fresh = observe(machine, reading_of(detail), began_at=began_at, now=timezone.now(), account=account)
        if fresh and machine.details_due and observed_of(detail.status) in (Observed.RUNNING, Observed.EXITED):
            observe_details(machine, detail, now=timezone.now())


def _with_details_due(now: datetime) -> list[Machine]:
    """At most 20: first those never read, then the longest waiting."""
    retry_before = now - WATCH_INTERVAL
    at_rest = Q(details_due=True, status__in=["running", "exited"])
    read_before = Q(details_read_at=None) | Q(details_read_at__lt=retry_before) | Q(details_read_at__lt=F("status_since"))
    lacking = Q(missing_since__isnull=False) | Q(unverified_since__isnull=False)
    due = Machine.objects.known().filter(at_rest & read_before | lacking)
    narrow = due.only("novita_id", "details_read_at", "missing_since", "unverified_since", "status_since")
    ordered = narrow.order_by(F("details_read_at").asc(nulls_first=True))
    return [one for one in ordered if _is_time_to_read(one, now)][:READS_A_ROUND]


def _is_time_to_read(machine: Machine, now: datetime) -> bool:
    """Reads by id are repeated at growing gaps: a machine may stay missing and yet be found, or lack an address for ever."""
    read_at, since = machine.details_read_at, machine.missing_since or machine.unverified_since or machine.status_since
    if read_at is None or since is None or read_at < since:
        return True
    return now - read_at > max(WATCH_INTERVAL, min((now - since) / 2, timedelta(minutes=5)))


def _in_motion() -> QuerySet[Machine]:
    """By the words we know: an unfamiliar one is no motion, and acts on nothing."""
    return Machine.objects.known().annotate(word=Lower("status")).filter(word__in=MOVING_STATUSES)


def _moving_machines() -> list[Machine]:
    moving = _in_motion()
    asked = Machine.objects.known().filter(
        current_of__jobs__state__in=OPEN_STATES, current_of__jobs__called_at__isnull=False
    )
    either = Q(pk__in=moving.values("pk")) | Q(pk__in=asked.values("pk"))
    return list(Machine.objects.filter(either).order_by("observed_at")[:READS_A_ROUND])


def _list(held: Claim, client: Novita, *, trigger: str) -> bool:
    try:
        result = run_list(client, trigger=trigger, on_page=renewing(held, timezone.now))
    except NovitaError as error:
        finish(held, now=timezone.now(), ok=False, detail=f"{error.code}: {error.message}")
        log.warning("sync.list_failed", trigger=trigger, error=error.code)
        return False
    if result.listed.complete:
        _postpone_other(held, result.listed)
    finish(held, now=timezone.now(), ok=result.listed.complete, detail=result.run.problem)
    if any(change.kind in ("discover", "resolve", "missing", "unverified") for change in result.changes):
        bring_forward("details", to=timezone.now())
    return True


def _postpone_other(held: Claim, listed: InstanceList) -> None:
    """A complete list is a poll, whoever asked for it; and a watch, where that was due before the list began."""
    began_at = listed.began_at
    if held.name == "watch":
        next_poll_at = began_at + _interval_for(_pages_of(listed.total))
        PeriodicWork.objects.filter(name="poll").update(next_due_at=next_poll_at)
    else:
        PeriodicWork.objects.filter(name="watch", next_due_at__lte=began_at).update(next_due_at=began_at + watch_interval())
