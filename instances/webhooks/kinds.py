"""Which events are told outside: as a webhook of the contract's types, as a message, as both, or not at all. Pure.

A new type of event needs a row here; a test over all that the code records holds that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import TextChoices

from instances.lifecycle import JobState, Phase, Verb, Wanted


class Severity(TextChoices):
    """Of a message, from the least to the most; the most passes quiet hours."""

    INFO = "info"
    WARNING = "warning"
    URGENT = "urgent"


WEBHOOK_TYPES = (
    "instance.created",
    "instance.running",
    "instance.ready",
    "instance.unhealthy",
    "instance.recovered",
    "instance.stopping",
    "instance.stopped",
    "instance.failed",
    "instance.reclaim_notified",
    "instance.migrated",
    "instance.deleted",
    "instance.gone",
    "instance.auto_stop_warning",
    "instance.discovered",
    "instance.changed_outside",
)
ALARM, AUTOMATION, RECLAIM_OUTCOME = "alarm", "automation", "reclaim_outcome"
TOPICS = (*WEBHOOK_TYPES, RECLAIM_OUTCOME, ALARM, AUTOMATION)
TEST = "webhook.test"
DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Telling:
    """`webhook` is its type there, `severity` that of its message; each "" or None where there is none.

    `topic` is what an endpoint for messages may choose it by.
    """

    webhook: str = ""
    severity: Severity | None = None
    topic: str = ""

    @property
    def is_told(self) -> bool:
        return bool(self.webhook) or self.severity is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What of an event decides how bad it is: whether its box is billed, whether a rule asked for its job."""

    billed: bool = False
    by_rule: bool = False
    alarm_kind: str = ""


SILENT = Telling()


def _both(type_: str, severity: Severity | None) -> Telling:
    return Telling(type_, severity, type_)


_TOLD = {
    "instance.created": _both("instance.created", Severity.INFO),
    "instance.running": _both("instance.running", None),
    "instance.ready": _both("instance.ready", Severity.INFO),
    "instance.unhealthy": _both("instance.unhealthy", Severity.WARNING),
    "instance.recovered": _both("instance.recovered", Severity.INFO),
    "instance.stopping": _both("instance.stopping", None),
    "instance.stopped": _both("instance.stopped", Severity.INFO),
    "instance.failed": _both("instance.failed", Severity.WARNING),
    # Ahead of time, or by having done it: either way it is the news that Novita takes it back.
    "instance.reclaim_notified": _both("instance.reclaim_notified", Severity.URGENT),
    "instance.reclaimed": _both("instance.reclaim_notified", Severity.URGENT),
    "instance.deleted": _both("instance.deleted", Severity.INFO),
    "instance.gone": _both("instance.gone", Severity.WARNING),
    "instance.auto_stop_warning": _both("instance.auto_stop_warning", Severity.WARNING),
    "instance.discovered": _both("instance.discovered", Severity.WARNING),
    "instance.changed_outside": _both("instance.changed_outside", Severity.INFO),
    "instance.migrated": _both("instance.migrated", Severity.INFO),
    # All that was tried for a reclaim is told by one message, at its end.
    "instance.reclaim_ended": Telling("", Severity.WARNING, RECLAIM_OUTCOME),
    "instance.reclaim_failed": Telling("", Severity.URGENT, RECLAIM_OUTCOME),
    "job.migrate_failed": Telling("", Severity.URGENT, RECLAIM_OUTCOME),
    "alarm.opened": Telling("", Severity.WARNING, ALARM),
    "alarm.repeated": Telling("", Severity.WARNING, ALARM),
    "alarm.escalated": Telling("", Severity.URGENT, ALARM),
    "alarm.cleared": Telling("", Severity.INFO, ALARM),
    "automation.paused": Telling("", Severity.WARNING, AUTOMATION),
    "automation.resumed": Telling("", Severity.INFO, AUTOMATION),
}
# Told by an alarm, by the event that follows from it, or news to nobody outside.
_SILENT = {
    *(f"instance.{phase}" for phase in Phase.values),
    *(f"instance.{wanted}_wanted" for wanted in Wanted.values),
    *(f"job.{verb}_{end}" for verb in Verb.values for end in ("requested", "sent", "unclear", "refused", *JobState.values)),
    "job.create_attempt_given_up",
    "instance.requested",
    "instance.adopted",
    "instance.released",
    "instance.renamed",
    "instance.revival_requested",
    "instance.replacement_created",
    "instance.replaced",
    "instance.moved_to_new_id",
    "instance.old_let_go",
    "instance.reappeared",
    "instance.started_late",
    "instance.absence_proven",
    "instance.surplus_found",
    "instance.startup_overdue",
    "instance.stop_refused",
    "instance.wish_ended",
    "instance.first_used",
    "instance.settings_changed",
    "instance.kept",
    "instance.keep_ended",
    "instance.heartbeat_issued",
    "instance.heartbeat_revoked",
    "instance.auto_stop_observed",
    "instance.auto_stop_averted",
    "auto_stop_policy.created",
    "auto_stop_policy.changed",
    "auto_stop_policy.deleted",
    "instance.connection_read",
    "instance.log_read",
    "account.frozen",
    "account.thawed",
    "account.doubted",
    "account.trusted",
    "account.freeze_lifted",
    "clock.went_back",
    "alarm.acknowledged",
    "api_key.created",
    "api_key.revoked",
    "api_key.rotated",
    "api_key.refused",
    "person.created",
    "person.changed",
    "person.password_changed",
    "sign_in.succeeded",
    "sign_in.failed",
    "sign_in.unlocked",
    "group.created",
    "group.changed",
    "group.deleted",
    "group.role_made",
    "webhook.created",
    "webhook.changed",
    "webhook.deleted",
    "webhook.disabled",
    "webhook.secret_rotated",
    "webhook.test_requested",
    "webhook.redelivery_requested",
}
TELLINGS: Mapping[str, Telling] = {**dict.fromkeys(_SILENT, SILENT), **_TOLD}

# Alarms not named here are warnings.
_ALARM_SEVERITY = {
    "unconfirmed": Severity.URGENT,
    "surplus_machine": Severity.URGENT,
    "provider_key_refused": Severity.URGENT,
    "account_frozen": Severity.URGENT,
    "account_freezing": Severity.URGENT,
    "default_region": Severity.INFO,
}
# Of these a higher level says that there is another one, not that it is worse.
_GROWING = {"unmanaged_billing"}
_RANK = list(Severity)
_OF_PEOPLE = {"job.migrate_failed"}


def telling_of(type_: str) -> Telling:
    return TELLINGS.get(type_, SILENT)


def severity_of(type_: str, seen: Circumstances) -> Severity | None:
    """Of the message that tells this event; None where it is worth none."""
    usual = telling_of(type_).severity
    if usual is None or (type_ in _OF_PEOPLE and seen.by_rule):
        return None
    if type_ == "instance.failed" and seen.billed:
        return Severity.URGENT
    if type_ == "alarm.escalated" and seen.alarm_kind in _GROWING:
        return Severity.WARNING
    if type_ in ("alarm.opened", "alarm.repeated"):
        return _ALARM_SEVERITY.get(seen.alarm_kind, usual)
    return usual


def reaches(severity: Severity, least: Severity) -> bool:
    return _RANK.index(severity) >= _RANK.index(least)


def wants(types: list[str], topic: str) -> bool:
    """Whether an endpoint that chose these types, or all by choosing none, is told of this one."""
    return not types or topic in types


def alarm_kind_of(after: Mapping[str, Any]) -> str:
    return str(after.get("kind", ""))
