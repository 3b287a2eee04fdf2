"""When working hours start an instance again. Pure. A start costs money, so it takes more than a clock.

Only what a rule stopped is started by a rule: who stopped it by hand meant it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from autostop.decide_facts import Hold, Mode
from autostop.words import clock_words
from instances.lifecycle import Observed, Wanted

START_AGAIN_AFTER = timedelta(minutes=30)
"""A start that failed waited for a GPU already: the next one waits until the shelves may have changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFacts:
    """`start_at` is the start time that passed since it was stopped and whose hours still last; `failed_at` is when the
    rule's last start of it failed, if it was stopped by nobody since."""

    now: datetime
    managed: bool = True
    mode: Mode = Mode.ENFORCE
    protected: bool = False
    observed: Observed = Observed.EXITED
    wanted: str = Wanted.STOPPED
    stopped_by_rule: bool = True
    open_verb: str = ""
    start_at: datetime | None = None
    failed_at: datetime | None = None
    hold: Hold = Hold.NONE


def start_reason(facts: StartFacts) -> str:
    """Why it is started now, or "" where it is not."""
    if facts.start_at is None or facts.start_at > facts.now:
        return ""
    if not facts.managed or facts.protected or facts.mode is not Mode.ENFORCE or facts.hold is not Hold.NONE:
        return ""
    if facts.observed is not Observed.EXITED or facts.wanted != Wanted.STOPPED or facts.open_verb:
        return ""
    if not facts.stopped_by_rule:
        return ""
    began = f"its working hours began at {clock_words(facts.start_at)}"
    if facts.failed_at is None:
        return f"{began}, and a rule had stopped it"
    if facts.now < facts.failed_at + START_AGAIN_AFTER:
        return ""
    return f"{began}, and the start that failed at {clock_words(facts.failed_at)} is tried again"
