"""What a person may ask of an instance now, each with its consequence said first."""

from dataclasses import dataclass

from instances.lifecycle import Observed, Wanted
from instances.models import Instance
from instances.operations import name_to_propose
from instances.person_verbs import VERBS, offered
from instances.scopes import scope_of_verb
from instances.stakes import stakes_of
from instances.verb_words import consequence

_SETTLED = (Observed.RUNNING, Observed.EXITED)
_SAVE_IMAGE = "save-image"
ALL_VERBS = (*VERBS, _SAVE_IMAGE)
_GRAVE = frozenset({"delete", "migrate"})
_AT_ONCE = "keep-awake"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbChoice:
    """`asks`: what has to be written for it: `name`, `image`, `typed_name` or nothing; `at_once`: nothing is to weigh."""

    name: str
    label: str
    consequence: str
    asks: str
    proposed: str
    grave: bool
    at_once: bool


_ASKS = {"adopt": "name", _SAVE_IMAGE: "image", "delete": "typed_name"}


def verb_choices(instance: Instance, scopes: frozenset[str]) -> tuple[VerbChoice, ...]:
    """Those that make sense now and that the person's scopes allow."""
    stakes = stakes_of(instance)
    return tuple(
        VerbChoice(
            name=name,
            label=VERBS[name].label if name in VERBS else "Save as image",
            consequence=consequence(name, stakes),
            asks=_ASKS.get(name, ""),
            proposed=name_to_propose(instance) if name == "adopt" else "",
            grave=name in _GRAVE,
            at_once=name == _AT_ONCE,
        )
        for name in _names(instance)
        if scope_of_verb(name) in scopes
    )


def _names(instance: Instance) -> list[str]:
    """Keep awake first: it is the one with nothing to weigh. Errands before what gives it away or ends it."""
    names = list(offered(instance))
    if may_run_errand(instance):
        at = next((names.index(one) for one in ("release", "delete") if one in names), len(names))
        names[at:at] = ["migrate", _SAVE_IMAGE]
    return sorted(names, key=lambda name: name != _AT_ONCE)


def may_run_errand(instance: Instance) -> bool:
    if not instance.managed or instance.has_ended or instance.wanted == Wanted.DELETED:
        return False
    return instance.observed in _SETTLED and instance.open_job is None
