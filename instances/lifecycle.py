"""The words of an instance's life and the two tables that rule it. Pure: no clock, no database, no network.

`next_verb` says which job an unmet wish needs; `phase_of` says in one word, with a reason, what people see.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import TextChoices


class Wanted(TextChoices):
    RUNNING = "running"
    STOPPED = "stopped"
    DELETED = "deleted"


class Verb(TextChoices):
    CREATE = "create"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    EDIT = "edit"
    DELETE = "delete"
    MIGRATE = "migrate"
    REPLACE = "replace"
    SAVE_IMAGE = "save_image"


# Verbs that pursue a wish; the others are errands, which end when done and change no wish.
WISH_VERBS = {
    Verb.CREATE: Wanted.RUNNING,
    Verb.START: Wanted.RUNNING,
    Verb.STOP: Wanted.STOPPED,
    Verb.DELETE: Wanted.DELETED,
}


class JobState(TextChoices):
    QUEUED = "queued"
    CLAIMED = "claimed"
    SENT = "sent"
    CONFIRMING = "confirming"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


OPEN_STATES = (JobState.QUEUED, JobState.CLAIMED, JobState.SENT, JobState.CONFIRMING)


class Phase(TextChoices):
    REQUESTED = "requested"
    CREATING = "creating"
    PULLING = "pulling"
    STARTING = "starting"
    CHECKING = "checking"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    STOPPING = "stopping"
    STOPPED = "stopped"
    RESTARTING = "restarting"
    MIGRATING = "migrating"
    RECLAIMING = "reclaiming"
    DELETING = "deleting"
    DELETED = "deleted"
    FAILED = "failed"
    GONE = "gone"
    UNKNOWN = "unknown"


ENDED_PHASES = (Phase.DELETED, Phase.GONE)


class HealthState(TextChoices):
    NONE = "none"
    CHECKING = "checking"
    OK = "ok"
    FAILING = "failing"


class Observed(StrEnum):
    """What a machine is doing, by what Novita last showed."""

    NOTHING = "nothing"  # no machine is known to exist, nor proven to have ended
    CREATING = "creating"
    PULLING = "pulling"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    EXITED = "exited"
    RESTARTING = "restarting"
    MIGRATING = "migrating"
    REMOVING = "removing"
    ABSENT = "absent"  # `removed`, or missing from a complete list and not found by id
    UNKNOWN = "unknown"


# Novita's words, lower-cased; the console's older spellings among them.
_OBSERVED = {
    "pending": Observed.CREATING,
    "tocreate": Observed.CREATING,
    "tobecreated": Observed.CREATING,
    "creating": Observed.CREATING,
    "created": Observed.CREATING,
    "pulling": Observed.PULLING,
    "tostart": Observed.STARTING,
    "tobestarted": Observed.STARTING,
    "starting": Observed.STARTING,
    "running": Observed.RUNNING,
    "tostop": Observed.STOPPING,
    "tobeexited": Observed.STOPPING,
    "stopping": Observed.STOPPING,
    "exited": Observed.EXITED,
    "torestart": Observed.RESTARTING,
    "restarting": Observed.RESTARTING,
    "toreset": Observed.RESTARTING,
    "resetting": Observed.RESTARTING,
    "migrating": Observed.MIGRATING,
    "toremove": Observed.REMOVING,
    "tobeterminated": Observed.REMOVING,
    "removing": Observed.REMOVING,
    "terminating": Observed.REMOVING,
    "removed": Observed.ABSENT,
    "terminated": Observed.ABSENT,
}

# Novita bills GPU time from `pulling` until it shows the machine stopped or gone.
BILLED = frozenset(
    {
        Observed.PULLING,
        Observed.STARTING,
        Observed.RUNNING,
        Observed.STOPPING,
        Observed.RESTARTING,
        Observed.MIGRATING,
        Observed.REMOVING,
        Observed.UNKNOWN,
    }
)
MOVING = frozenset(set(Observed) - {Observed.NOTHING, Observed.RUNNING, Observed.EXITED, Observed.ABSENT, Observed.UNKNOWN})
MOVING_STATUSES = tuple(word for word, observed in _OBSERVED.items() if observed in MOVING)  # lower-cased


def observed_of(status: str, *, absent: bool = False) -> Observed:
    """The meaning of a raw provider status; "" means that no machine has been seen yet."""
    if absent:
        return Observed.ABSENT
    if not status:
        return Observed.NOTHING
    return _OBSERVED.get(status.lower(), Observed.UNKNOWN)


def shows(wanted: str, observed: Observed) -> bool:
    """Whether an observation shows that a wish is met."""
    return (
        {
            Wanted.RUNNING: observed is Observed.RUNNING,
            Wanted.STOPPED: observed is Observed.EXITED,
            Wanted.DELETED: observed is Observed.ABSENT,
        }.get(Wanted(wanted), False)
        if wanted
        else False
    )


def wish_shown_by(observed: Observed) -> str:
    """The wish that what is observed amounts to, or "" where nothing is left to want."""
    if observed in (Observed.EXITED, Observed.STOPPING):
        return Wanted.STOPPED
    if observed in (Observed.ABSENT, Observed.NOTHING, Observed.REMOVING):
        return ""
    return Wanted.RUNNING


_START_FROM = {Observed.EXITED, Observed.STOPPING}
_STOP_FROM = {
    Observed.CREATING,
    Observed.PULLING,
    Observed.STARTING,
    Observed.RUNNING,
    Observed.STOPPING,
    Observed.RESTARTING,
    Observed.MIGRATING,
    Observed.UNKNOWN,
}


# What Novita must show of a machine that it may be asked to do this with; what is asked for before waits.
CALL_FROM: dict[Verb, frozenset[Observed]] = {
    Verb.START: frozenset({Observed.EXITED}),
    Verb.STOP: frozenset({Observed.RUNNING}),
    Verb.DELETE: frozenset(set(Observed) - {Observed.REMOVING, Observed.ABSENT, Observed.NOTHING}),
    Verb.RESTART: frozenset({Observed.RUNNING}),
    Verb.EDIT: frozenset({Observed.RUNNING, Observed.EXITED}),
    Verb.MIGRATE: frozenset({Observed.RUNNING, Observed.EXITED}),
    Verb.SAVE_IMAGE: frozenset({Observed.RUNNING, Observed.EXITED}),
}
# They end a bill: asked again until Novita shows them done, and loud while it does not.
NEVER_FAIL = (Verb.STOP, Verb.DELETE)


def next_verb(wanted: str, met: bool, observed: Observed) -> Verb | None:
    """The job an unmet wish needs now, or None: the wish is met, will be met by waiting, or cannot be met.

    Once a wish is met, a difference is news and never a verb. A stop is asked for in every living state but is only sent
    from `running`: the executor waits for it, and never deletes instead.
    """
    if met or not wanted:
        return None
    if wanted == Wanted.DELETED:
        return None if observed in (Observed.ABSENT, Observed.NOTHING) else Verb.DELETE
    if wanted == Wanted.STOPPED:
        return Verb.STOP if observed in _STOP_FROM else None
    if observed is Observed.NOTHING:
        return Verb.CREATE
    return Verb.START if observed in _START_FROM else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseFacts:
    """All that a phase depends on.

    `verb` and `called` describe the open job, if any: called means that Novita was asked at least once.
    `given_up` means that the create ended without a machine; `overdue` names the deadline that passed, `failure` says why
    the last job failed; `well_since_running` that the instance was ready since it last began to run.
    """

    wanted: str = ""
    met: bool = False
    verb: str = ""
    called: bool = False
    observed: Observed = Observed.NOTHING
    raw_status: str = ""
    given_up: bool = False
    failure: str = ""
    overdue: str = ""
    health: str = HealthState.NONE
    health_detail: str = ""
    well_since_running: bool = False
    reclaim_open: bool = False
    spot_notified: bool = False
    reclaim_at: datetime | None = None
    price_text: str = ""


_VERB_PHASES = {
    Verb.DELETE: Phase.DELETING,
    Verb.STOP: Phase.STOPPING,
    Verb.RESTART: Phase.RESTARTING,
    Verb.MIGRATE: Phase.MIGRATING,
    Verb.REPLACE: Phase.MIGRATING,
}
_STATUS_PHASES = {
    Observed.CREATING: Phase.CREATING,
    Observed.PULLING: Phase.PULLING,
    Observed.STARTING: Phase.STARTING,
    Observed.STOPPING: Phase.STOPPING,
    Observed.RESTARTING: Phase.RESTARTING,
    Observed.MIGRATING: Phase.MIGRATING,
    Observed.REMOVING: Phase.DELETING,
    Observed.UNKNOWN: Phase.UNKNOWN,
}


def phase_of(facts: PhaseFacts) -> tuple[Phase, str]:
    """The phase people see and its reason in words. The first rule that matches wins."""
    return _ended(facts) or _failed(facts) or _pursued(facts) or _by_status(facts)


def _ended(facts: PhaseFacts) -> tuple[Phase, str] | None:
    if facts.observed is Observed.ABSENT:
        if facts.verb == Verb.REPLACE and facts.called and facts.wanted == Wanted.RUNNING:
            return Phase.MIGRATING, "Novita no longer shows it; what replaces it is being made"
        if facts.wanted == Wanted.DELETED and facts.verb == Verb.DELETE and not facts.met:
            return Phase.DELETING, "Novita no longer shows it; a second read must prove it"
        if facts.wanted == Wanted.DELETED:
            return Phase.DELETED, "Novita no longer lists it and does not find it"
        return Phase.GONE, "Novita no longer lists it and does not find it, though nobody here deleted it"
    if facts.observed is Observed.NOTHING and facts.wanted == Wanted.DELETED and not facts.verb:
        return Phase.DELETED, "it was given up before anything was created at Novita"
    return None


def _failed(facts: PhaseFacts) -> tuple[Phase, str] | None:
    if facts.given_up and facts.observed is Observed.NOTHING and not facts.verb:
        return Phase.FAILED, facts.failure or "it could not be created"
    if facts.overdue and not facts.well_since_running and facts.verb not in NEVER_FAIL:
        return Phase.FAILED, f"{facts.overdue}{_still_billed(facts)}"
    return None


def _pursued(facts: PhaseFacts) -> tuple[Phase, str] | None:
    if not facts.verb or (facts.met and facts.verb in WISH_VERBS):
        return None
    phase = _VERB_PHASES.get(Verb(facts.verb))
    if phase is not None and facts.called:
        return phase, f"Novita was asked to {facts.verb} it and has not shown it done yet"
    if not facts.called and (phase is not None or facts.verb in (Verb.CREATE, Verb.START)):
        return Phase.REQUESTED, f"{facts.verb} is asked for and {_not_sent(facts)}"
    if facts.verb == Verb.CREATE and facts.observed is Observed.NOTHING:
        return Phase.CREATING, "Novita was asked to create it and does not show it yet"
    if facts.verb == Verb.START and facts.observed is Observed.EXITED:
        return Phase.STARTING, "Novita was asked to start it and does not show it yet"
    return None


def _not_sent(facts: PhaseFacts) -> str:
    if facts.verb not in NEVER_FAIL:
        return "not sent to Novita yet"
    waits = facts.observed is not Observed.NOTHING and facts.observed not in CALL_FROM[Verb(facts.verb)]
    why = f"waits, since Novita shows it {facts.observed}" if waits else "not sent to Novita yet"
    return f"{why}{_still_billed(facts)}"


def _still_billed(facts: PhaseFacts) -> str:
    return f"; still billed {facts.price_text}" if facts.observed in BILLED and facts.price_text else ""


def _by_status(facts: PhaseFacts) -> tuple[Phase, str]:
    if facts.observed is Observed.RUNNING:
        return _running(facts)
    if facts.observed is Observed.EXITED:
        if facts.reclaim_open:
            return Phase.RECLAIMING, "Novita took this spot instance back"
        return Phase.STOPPED, facts.failure or "Novita shows it stopped"
    phase = _STATUS_PHASES.get(facts.observed)
    if phase is Phase.UNKNOWN:
        return phase, f"Novita reports the unfamiliar status {facts.raw_status!r}: nothing acts on it"
    if phase is not None:
        return phase, f"Novita reports {facts.raw_status}"
    return Phase.REQUESTED, "nothing has been seen at Novita yet"


def _running(facts: PhaseFacts) -> tuple[Phase, str]:
    notice = "; Novita has announced that it takes this spot instance back" if facts.spot_notified else ""
    if facts.health == HealthState.FAILING and facts.well_since_running:
        return Phase.UNHEALTHY, f"{facts.health_detail or 'its health checks fail'}{notice}"
    if facts.health in (HealthState.OK, HealthState.NONE) or facts.well_since_running:
        return Phase.READY, f"{facts.health_detail or 'Novita reports running'}{notice}"
    return (
        Phase.CHECKING,
        f"{facts.health_detail or 'Novita reports running; its health checks have not passed yet'}{notice}",
    )
