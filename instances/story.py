"""An event as one sentence of the story it belongs to. Pure: values in, words out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from instances.lifecycle import Verb
from instances.words import usd_per_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What of an event the story needs: its type, who did it by value, and what changed."""

    type: str
    actor_kind: str = "system"
    actor_name: str = ""
    reason: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


_PHASES = {
    "requested": "It waits to be sent to Novita",
    "creating": "Novita is creating it",
    "pulling": "Novita is pulling its image, billed from now on",
    "starting": "Novita is starting it",
    "checking": "It runs; its health checks have not passed yet",
    "ready": "It is ready",
    "unhealthy": "It became unhealthy",
    "recovered": "It recovered and is ready again",
    "stopping": "It is stopping",
    "stopped": "It stopped",
    "restarting": "It is restarting",
    "migrating": "It is moving to another node",
    "reclaiming": "Novita took it back; it waits to be brought back",
    "reclaimed": "Novita took this spot instance back",
    "deleting": "It is being deleted",
    "deleted": "It is deleted",
    "failed": "It failed",
    "gone": "It is gone from Novita",
    "unknown": "Novita shows it in an unfamiliar state",
}
_VERB_WORDS = {Verb.SAVE_IMAGE: "save the image of", Verb.MIGRATE: "move", Verb.EDIT: "change"}
_JOB_ENDS = {
    "sent": "Novita was asked to {verb} it",
    "unclear": "Novita's answer to the {noun} was lost: looking for what became of it",
    "succeeded": "The {noun} is done",
    "failed": "The {noun} failed",
    "cancelled": "{who} cancelled the {noun}",
    "superseded": "The {noun} made way for a newer wish",
    "refused": "Novita refused the {noun}",
}


def who(kind: str, name: str) -> str:
    """An actor as the subject of a sentence: `admin`, `key demo`, `rule auto-stop`."""
    if kind == "user":
        return name or "a person"
    if kind in ("system", "outside"):
        return name or {"system": "novita-manager", "outside": "Novita"}[kind]
    return f"{kind} {name}".strip()


def sentence(told: Told) -> str:
    """What happened, without its reason. A type nobody taught it is told in its own words."""
    teller = _TELLERS.get(told.type)
    if teller is not None:
        return teller(told)
    room, _, what = told.type.partition(".")
    if room == "instance" and what in _PHASES:
        return _PHASES[what]
    if room == "instance" and what.endswith("_wanted"):
        return f"{_subject(told)} wants it {what.removesuffix('_wanted')}"
    if room == "job":
        return _of_job(told, what)
    return _in_its_own_words(told)


def _subject(told: Told) -> str:
    return who(told.actor_kind, told.actor_name)


def _of_job(told: Told, what: str) -> str:
    """`create_sent`, `save_image_failed`: a verb and how far it came."""
    verb, _, end = what.rpartition("_")
    if verb not in Verb.values:
        return _in_its_own_words(told)
    words, noun = _VERB_WORDS.get(Verb(verb), verb), verb.replace("_", " ")
    if end == "requested":
        return f"{_subject(told)} asked to {words} it"
    shape = _JOB_ENDS.get(end)
    return shape.format(verb=words, noun=noun, who=_subject(told)) if shape else _in_its_own_words(told)


def _in_its_own_words(told: Told) -> str:
    words = told.type.replace(".", ": ", 1).replace("_", " ")
    return words[:1].upper() + words[1:]


def _requested(told: Told) -> str:
    mode = {"spot": "a spot", "on_demand": "an on-demand"}.get(str(told.after.get("billing_mode")), "an")
    return f"{_subject(told)} asked for {mode} {told.after.get('product') or 'instance'}"


def _create_sent(told: Told) -> str:
    place = " in ".join(str(told.after[name]) for name in ("product_name", "region") if told.after.get(name))
    price = _price(told)
    return f"Novita was asked to create it{f': {place}' if place else ''}{price}"


def _created(told: Told) -> str:
    return f"Novita created it as {told.after.get('novita_id', '(no id)')}"


def _running(told: Told) -> str:
    region = told.after.get("region")
    return f"Novita shows it running{f' in {region}' if region else ''}{_price(told)}"


def _price(told: Told) -> str:
    """` at $0.35 per hour`, or nothing where the event tells no price."""
    try:
        price = Decimal(str(told.after["price_usd_per_hour"]))
    except (KeyError, InvalidOperation):
        return ""
    return f" at {usd_per_hour(price)} per hour" if price.is_finite() else ""


def _revival(told: Told) -> str:
    how = {
        "start": "started where it was",
        "migrate": "moved to another node",
        "replace": "replaced by another machine",
        "create": "made anew",
        "save_image": "saved as an image",
    }
    return f"It is to be {how.get(str(told.after.get('verb')), 'started where it was')}"


def _replaced(words: str) -> Callable[[Told], str]:
    """With its place and price before and after, where they differ."""

    def tell(told: Told) -> str:
        place = told.after.get("region")
        moved = f" in {place}" if place and place != told.before.get("region") else ""
        before = _price(Told(type=told.type, after=told.before))
        was = f", before{before}" if before and before != _price(told) else ""
        return f"{words}{moved}{_price(told)}{was}"

    return tell


def _settings_changed(told: Told) -> str:
    changes = [f"{name.replace('_', ' ')} to {_value(value)}" for name, value in told.after.items()]
    return f"{_subject(told)} set {', '.join(changes)}" if changes else f"{_subject(told)} changed its settings"


def _value(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _changed_outside(told: Told) -> str:
    wanted = told.after.get("wanted")
    how = {"running": "started", "stopped": "stopped"}.get(str(wanted), "deleted")
    return f"It was {how} outside of novita-manager, and that is respected"


def _wish_ended(told: Told) -> str:
    before, after = told.before.get("wanted") or "nothing", told.after.get("wanted") or "nothing"
    return f"It is no longer wanted {before}: wanted is {after}, as Novita shows it"


def _alarm(words: str) -> Callable[[Told], str]:
    def tell(told: Told) -> str:
        kind = str(told.after.get("kind", "")).replace("_", " ")
        return words.format(who=_subject(told), kind=kind)

    return tell


def _api_key(did: str) -> Callable[[Told], str]:
    return lambda told: f"{_subject(told)} {did} the API key {told.after.get('name', '')}".rstrip()


def _of_name(did: str, then: str = "") -> Callable[[Told], str]:
    """What somebody did to a person or a group, by its name."""

    def tell(told: Told) -> str:
        name = str(told.after.get("name") or told.before.get("name") or "somebody")
        return f"{_subject(told)} {did} {name} {then}".rstrip()

    return tell


def _sign_in_failed(told: Told) -> str:
    name = told.after.get("name")
    return f"A sign-in {f'as {name}' if name else 'under a name nobody has'} failed from {told.after.get('address', '')}"


def _fixed(words: str) -> Callable[[Told], str]:
    return lambda told: words.format(who=_subject(told))


_TELLERS: dict[str, Callable[[Told], str]] = {
    "instance.requested": _requested,
    "instance.created": _created,
    "instance.running": _running,
    "instance.settings_changed": _settings_changed,
    "instance.changed_outside": _changed_outside,
    "instance.wish_ended": _wish_ended,
    "instance.adopted": _fixed("{who} adopted it"),
    "instance.released": _fixed("{who} released it: nothing here touches it from now on"),
    "instance.discovered": _fixed("It was found at Novita, made by someone else"),
    "instance.first_used": _fixed("{who} used it for the first time"),
    "instance.connection_read": _fixed("{who} read its passwords and environment"),
    "instance.log_read": _fixed("{who} read its log"),
    "instance.reclaim_notified": _fixed("Novita announced that it takes this spot instance back"),
    "instance.revival_requested": _revival,
    "instance.replacement_created": _fixed("Novita made what is to replace it; it is not used before it is ready"),
    "instance.replaced": _replaced("Another machine took its place"),
    "instance.moved_to_new_id": _replaced("Novita moved it to another id"),
    "instance.old_let_go": _fixed("Novita was asked to delete the machine it had before"),
    "instance.migrated": _replaced("It is well at its new place"),
    "instance.reclaim_ended": _fixed("The reclaim is over"),
    "instance.reclaim_failed": _fixed("The reclaim ended badly"),
    "instance.reappeared": _fixed("It came back at Novita"),
    "instance.surplus_found": _fixed("A second live machine of it was found at Novita"),
    "instance.startup_overdue": _fixed("It takes longer to start than allowed"),
    "instance.stop_refused": _fixed("A stop by a rule was refused"),
    "instance.auto_stop_observed": _fixed("Auto-stop would stop it, but only observes"),
    "instance.kept": _fixed("{who} keeps it: no rule stops it for a while"),
    "instance.keep_ended": _fixed("{who} no longer keeps it: rules may stop it again"),
    "instance.heartbeat_issued": _fixed("{who} made an address for its heartbeat"),
    "instance.heartbeat_revoked": _fixed("{who} took the address of its heartbeat back"),
    "instance.auto_stop_averted": _fixed("The stop that was warned of does not come"),
    "instance.auto_stop_warning": _fixed("Auto-stop warns that it is going to stop it"),
    "job.create_sent": _create_sent,
    "job.create_refused": _fixed("Novita refused an offer"),
    "job.create_attempt_given_up": _fixed("Nothing came of the create: another attempt may follow"),
    "webhook.disabled": _fixed("A webhook was switched off"),
    "api_key.created": _api_key("made"),
    "api_key.revoked": _api_key("revoked"),
    "alarm.opened": _alarm("Alarm: {kind}"),
    "alarm.cleared": _alarm("The alarm is over: {kind}"),
    "alarm.acknowledged": _alarm("{who} acknowledged the alarm: {kind}"),
    "auto_stop_policy.created": _of_name("made the auto-stop policy"),
    "auto_stop_policy.changed": _of_name("changed the auto-stop policy"),
    "auto_stop_policy.deleted": _of_name("deleted the auto-stop policy"),
    "automation.paused": _fixed("{who} paused all automation"),
    "automation.resumed": _fixed("{who} resumed automation"),
    "sign_in.succeeded": _fixed("{who} signed in"),
    "sign_in.failed": _sign_in_failed,
    "sign_in.unlocked": _of_name("let", "try to sign in again"),
    "person.created": _of_name("made the account of"),
    "person.changed": _of_name("changed the account of"),
    "person.password_changed": _of_name("changed the password of"),
    "group.created": _of_name("made the group"),
    "group.changed": _of_name("changed the group"),
    "group.deleted": _of_name("deleted the group"),
    "group.role_made": _of_name("set the permissions of the role"),
}
