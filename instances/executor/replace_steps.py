"""What to do next for a replacement. Pure: values in, one step with its reason out.

A new machine is made beside the old one and takes its place only once it is proven ready; then the old one is let go. Never
more than one attempt at a time, so that there are two live machines at most.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from instances.executor.steps import LOOK_EVERY, repeat_gap
from instances.lifecycle import Observed


class ReplaceAct(StrEnum):
    CALL = "call"  # ask Novita for the new one
    LOOK = "look"  # search for what an unanswered create may have made
    START_OVER = "start_over"
    PROBE = "probe"  # it runs: whether it is ready
    SWAP = "swap"
    LET_GO = "let_go"  # ask Novita to delete the old one
    UNDO = "undo"  # ask Novita to delete the new one, which nobody has used, and end
    WAIT = "wait"
    SUCCEED = "succeed"
    FAIL = "fail"
    SUPERSEDE = "supersede"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceStep:
    act: ReplaceAct
    reason: str = ""
    code: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceFacts:
    """`needed`: the reclaim it is for is still open. `ready_by`: until when the new one must be ready.

    `lets` counts how often the deletion of the old one was asked for, the last time at `let_go_at`.
    """

    now: datetime
    yields: bool = False
    needed: bool = True
    attempted: bool = False
    call_ended_at: datetime | None = None
    complete_list_at: datetime | None = None
    new_known: bool = False
    new: Observed = Observed.NOTHING
    new_is_well: bool = False
    new_details_read: bool = False
    ready_by: datetime | None = None
    swapped: bool = False
    may_let_go: bool = True
    old: Observed = Observed.EXITED
    lets: int = 0
    let_go_at: datetime | None = None
    settle: timedelta = timedelta(seconds=60)


WAIT_EVERY = timedelta(seconds=3)
MOST_LETS = 5
_NEVER_RAN = (Observed.EXITED, Observed.ABSENT, Observed.REMOVING)


def next_replace_step(facts: ReplaceFacts) -> ReplaceStep:
    if facts.swapped:
        return _after_swap(facts)
    if not facts.attempted:
        return _not_wanted(facts, undo=False) or ReplaceStep(act=ReplaceAct.CALL)
    if not facts.new_known:
        return _unanswered(facts)
    if facts.new in _NEVER_RAN:
        return ReplaceStep(act=ReplaceAct.UNDO, code="start_up_failed", reason=f"the new one is {facts.new} before it ran")
    gone = _not_wanted(facts, undo=True)
    if gone is not None:
        return gone
    if facts.new is Observed.RUNNING and facts.new_is_well:
        return ReplaceStep(act=ReplaceAct.SWAP, reason="the new one is proven ready")
    if facts.ready_by is not None and facts.now > facts.ready_by:
        return ReplaceStep(act=ReplaceAct.UNDO, code="not_ready", reason="the new one was not ready in time")
    if facts.new is Observed.RUNNING and facts.new_details_read:
        return ReplaceStep(act=ReplaceAct.PROBE)
    return _wait(facts, f"waits for the new one: {facts.new}")


def _not_wanted(facts: ReplaceFacts, *, undo: bool) -> ReplaceStep | None:
    """Something else is wanted by now, or Novita does not take the old one after all."""
    if facts.yields:
        act = ReplaceAct.UNDO if undo else ReplaceAct.SUPERSEDE
        return ReplaceStep(act=act, reason="something else is wanted by now")
    if not facts.needed:
        act = ReplaceAct.UNDO if undo else ReplaceAct.FAIL
        return ReplaceStep(act=act, code="not_needed", reason="the reclaim it was for is over")
    return None


def _unanswered(facts: ReplaceFacts) -> ReplaceStep:
    settled_at = (facts.call_ended_at or facts.now) + facts.settle
    if facts.complete_list_at is None or facts.complete_list_at <= settled_at:
        return ReplaceStep(act=ReplaceAct.LOOK, at=facts.now + LOOK_EVERY)
    reason = "a complete list after the settle period shows that the create made nothing"
    return _not_wanted(facts, undo=False) or ReplaceStep(act=ReplaceAct.START_OVER, reason=reason)


def _after_swap(facts: ReplaceFacts) -> ReplaceStep:
    if facts.old is Observed.ABSENT:
        return ReplaceStep(act=ReplaceAct.SUCCEED, reason="the new one is ready and the old one is gone")
    left = "the old one is left, and proposed for deletion"
    if facts.yields:
        return ReplaceStep(act=ReplaceAct.SUPERSEDE, reason=f"something else is wanted by now; {left}")
    if not facts.may_let_go:
        return ReplaceStep(act=ReplaceAct.SUCCEED, reason=f"the new one is ready; it is protected now: {left}")
    again_at = facts.let_go_at + repeat_gap(facts.lets, facts.settle) if facts.let_go_at else facts.now
    if facts.now < again_at or facts.old is Observed.REMOVING:
        return _wait(facts, "the new one is ready; waits for Novita to show the old one deleted")
    if facts.lets >= MOST_LETS:
        return ReplaceStep(
            act=ReplaceAct.SUCCEED, reason=f"the new one is ready; Novita was asked {facts.lets} times in vain: {left}"
        )
    return ReplaceStep(act=ReplaceAct.LET_GO)


def _wait(facts: ReplaceFacts, reason: str) -> ReplaceStep:
    return ReplaceStep(act=ReplaceAct.WAIT, reason=reason, at=facts.now + WAIT_EVERY)
