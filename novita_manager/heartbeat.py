"""A sign of life for a watchdog outside: a GET to HEARTBEAT_URL after every complete observe-and-decide pass.

It falls silent when deciding stops, or when Novita has not been listed completely for two intervals: that silence is the
alarm that still works when this product does not.
"""

from datetime import datetime, timedelta

import requests
import structlog
from django.conf import settings
from django.utils import timezone

from instances.models import PeriodicWork, ProviderAccount
from instances.periodic import claim, finish
from sync.watch import poll_interval

log = structlog.get_logger("heartbeat")

SECONDS = 5.0
_LEASE = timedelta(seconds=30)


def send_if_due(now: datetime) -> bool:
    """True where a beat was sent."""
    if not settings.HEARTBEAT_URL or not _passed_since_last(now):
        return False
    held = claim("heartbeat", every=timedelta(0), lease=_LEASE, now=now)
    if held is None:
        return False
    try:
        answer = requests.get(settings.HEARTBEAT_URL, timeout=SECONDS, allow_redirects=False, stream=True)
        answer.close()
        ok, detail = answer.status_code < 400, f"HTTP {answer.status_code}"
    except requests.RequestException as error:
        ok, detail = False, type(error).__name__
    if not ok:
        log.warning("heartbeat.refused", detail=detail)
    finish(held, now=timezone.now(), ok=ok, detail=detail)
    return True


def _passed_since_last(now: datetime) -> bool:
    """Whether a pass was decided since the last beat, on a list that is not old."""
    rows = {row.name: row for row in PeriodicWork.objects.filter(name__in=["auto_stop", "heartbeat"])}
    decided_at = rows["auto_stop"].succeeded_at if "auto_stop" in rows else None
    beaten_at = rows["heartbeat"].started_at if "heartbeat" in rows else None
    account = ProviderAccount.objects.filter(pk=1).first()
    listed_at = account.complete_list_at if account else None
    if decided_at is None or listed_at is None or now - listed_at > 2 * poll_interval():
        return False
    return beaten_at is None or beaten_at < decided_at
