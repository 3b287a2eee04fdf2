"""Why an instance is as it is, for its page: the explanation of the API in a person's words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from instances.models import Instance
from instances.story import who
from novita_manager.explain import explanation

_SOURCES = {"job": "its job", "auto_stop": "auto-stop", "sync": "sync"}
_JUDGED = ("checking", "ready", "unhealthy")
_NEXT_WORDS = {"would_stop": "auto-stop would stop it", "save_image": "save image"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    what: str
    at: datetime | None
    why: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTime:
    at: datetime | None
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What auto-stop thought last, by which policy, and when it stops the instance: if it idles, and whatever it does."""

    reason: str
    at: datetime | None
    policy: str = ""
    idle_stop: StopTime | None = None
    hard_stop: StopTime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    wish: str
    wish_reason: str
    wish_at: datetime | None
    met: bool
    next_steps: tuple[NextStep, ...]
    verdict: Verdict | None
    holds: tuple[str, ...]
    would_change: tuple[str, ...]


def why_of(instance: Instance, *, now: datetime) -> Why:
    told = explanation(instance, now=now, afresh=False)
    wish = told["wish"]
    return Why(
        wish=_wish(wish, managed=instance.managed),
        wish_reason=wish["reason"] if wish else "",
        wish_at=_time(wish["wanted_at"]) if wish else None,
        met=bool(wish and wish["met_at"]),
        next_steps=_next_steps(told["next_actions"]),
        verdict=_verdict(told["auto_stop"], runs=instance.managed and instance.phase in _JUDGED),
        holds=tuple(_capital(one["detail"]) for one in told["held_by"]),
        would_change=tuple(told["would_change"]),
    )


def _wish(wish: Mapping[str, Any] | None, *, managed: bool) -> str:
    if wish is None:
        return "Nothing" if managed else "Nothing: it was not made here"
    return f"{_capital(wish['wanted'])}, by {who(wish['by']['kind'], wish['by']['name'])}"


def _next_steps(actions: Mapping[str, Mapping[str, Any] | None]) -> tuple[NextStep, ...]:
    """Of all sources, the earliest first; one without a time comes last."""
    steps = [
        NextStep(
            what=_NEXT_WORDS.get(str(action["what"]), str(action["what"]).replace("_", " ")),
            at=_time(action["at"]),
            why=str(action["why"] or ""),
            source=_SOURCES[source],
        )
        for source, action in actions.items()
        if action
    ]
    return tuple(sorted(steps, key=lambda step: (step.at is None, step.at)))


def _verdict(evaluation: Mapping[str, Any] | None, *, runs: bool) -> Verdict | None:
    if evaluation is None:
        return Verdict(reason="It has not been judged yet: the next pass does.", at=None) if runs else None
    return Verdict(
        reason=_capital(evaluation["reason"]),
        at=_time(evaluation["decided_at"]),
        policy=str(evaluation["policy"]),
        idle_stop=_stop_time(evaluation["idle_stop"]),
        hard_stop=_stop_time(evaluation["hard_stop"]),
    )


def _stop_time(told: Mapping[str, Any] | None) -> StopTime | None:
    return StopTime(at=_time(told["at"]), by=str(told["by"])) if told else None


def _time(text: str | None) -> datetime | None:
    return parse_datetime(text) if text else None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
