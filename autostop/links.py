"""The links of a warning: what one tap does about it. Each acts once, and only by its page's button.

A token is a random nonce signed with the secret key. It can be made again for whoever delivers the warning, so that it needs
to stand in no event, and it cannot be made from the database alone, which keeps its hash.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.urls import reverse

from autostop.models import KeepAct, KeepLink
from autostop.policies import read_policies
from autostop.schedule import end_of_day
from instances.events import Actor
from instances.messages.news import base_url
from instances.models import Instance
from instances.operations import WrongPhase, keep_until, request_stop

LASTS_AFTER_STOP = timedelta(hours=24)
KEEP_SHORTLY = timedelta(hours=2)
_SALT = "autostop.links"
_LONGEST_TOKEN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    act: str
    label: str
    url: str


def _signer() -> Signer:
    return Signer(salt=_SALT, sep=".")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _token(nonce: str) -> str:
    return _signer().sign(nonce)


def issue(instance: Instance, *, stop_at: datetime, now: datetime) -> None:
    """The links of a warning of this stop time, in the caller's transaction."""
    rows = []
    for act in KeepAct:
        nonce = secrets.token_urlsafe(16)
        rows.append(
            KeepLink(
                instance_id=instance.pk,
                act=act,
                nonce=nonce,
                token_hash=_hash(_token(nonce)),
                stop_at=stop_at,
                issued_at=now,
                expires_at=stop_at + LASTS_AFTER_STOP,
            )
        )
    KeepLink.objects.bulk_create(rows, ignore_conflicts=True)


def links_of(instance_id: UUID, stop_at: datetime) -> tuple[Link, ...]:
    """The addresses of a warning's links, for its messages."""
    rows = KeepLink.objects.filter(instance_id=instance_id, stop_at=stop_at).order_by("id")
    return tuple(
        Link(act=row.act, label=row.get_act_display(), url=f"{base_url()}{reverse('keep', args=[_token(row.nonce)])}")
        for row in rows
    )


def find_link(token: str) -> KeepLink | None:
    """The link of a token that was really made here. Looking at it changes nothing."""
    if len(token) > _LONGEST_TOKEN:
        return None
    try:
        _signer().unsign(token)
    except BadSignature:
        return None
    return KeepLink.objects.select_related("instance__machine").filter(token_hash=_hash(token)).first()


def kept_until(link: KeepLink, *, now: datetime) -> datetime:
    """Until when a link keeps the instance: never shorter than it is kept already."""
    until = now + KEEP_SHORTLY
    if link.act == KeepAct.KEEP_TODAY:
        policy = read_policies(now).of(link.instance.auto_stop_policy, link.instance.labels)
        until = max(until, end_of_day(now, policy.zone))
    return max(until, link.instance.keep_until or until)


def use(link: KeepLink, *, actor: Actor, now: datetime) -> datetime | None:
    """Do what the link says, once; until when it is kept, or None for a stop. Raises OperationRefused.

    A refused act leaves the link as it was.
    """
    if now >= link.expires_at:
        raise WrongPhase("this link is no longer valid: its stop time is a day past")
    with transaction.atomic():
        if not KeepLink.objects.filter(pk=link.pk, used_at=None).update(used_at=now, used_by=actor.name[:255]):
            raise WrongPhase("this link was used already, and acts only once")
        if link.act == KeepAct.STOP_NOW:
            request_stop(link.instance_id, actor=actor, reason="stopped by the link of a warning", now=now)
            return None
        until = kept_until(link, now=now)
        keep_until(
            link.instance_id, until, reason=f"{link.get_act_display()}, by the link of a warning", actor=actor, now=now
        )
        return until
