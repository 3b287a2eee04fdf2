"""What to do next for a replacement. Pure: values in, one step with its reason out.

A new machine is made beside the old one and takes its place only once it is proven ready; then the old one is let go. Never
more than one attempt at a time, so that there are two live machines at most.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from instances.executor.steps import HELD_LOOK, LOOK_EVERY, repeat_gap
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
    """`needed`: the reclaim it is for is still open, and the old one does not run again. `ready_by`: until when the new one
    must be ready. `kept`: why no rule may do away with the old one; `held`: why not now.

    `lets` counts how often the deletion of the old one was asked for, the last time at `let_go_at`. `undos` counts that of
    the new one by calls that came back, `undo_at` is the last try; `undone_code` and `undone_reason` say how the job ends.
    """

    now: datetime
    yields: bool = False
    needed: bool = True
    by_rule: bool = True
    attempted: bool = False
    call_ended_at: datetime | None = None
    complete_list_at: datetime | None = None
    new_known: bool = False
    new: Observed = Observed.NOTHING
    new_is_well: bool = False
    new_is_current: bool = False
    new_details_read: bool = False
    ready_by: datetime | None = None
    swapped: bool = False
    kept: str = ""
    held: str = ""
    old: Observed = Observed.EXITED
    lets: int = 0
    let_go_at: datetime | None = None
    undone: bool = False
    undone_code: str = ""
    undone_reason: str = ""
    undos: int = 0
    undo_at: datetime | None = None
    settle: timedelta = timedelta(seconds=60)


WAIT_EVERY = timedelta(seconds=3)
MOST_LETS = 5
_NEVER_RAN = (Observed.EXITED, Observed.ABSENT, Observed.REMOVING)


def next_replace_step(facts: ReplaceFacts) -> ReplaceStep:
    if facts.undone:
        return _after_undo(facts)
    if facts.swapped:
        return _after_swap(facts)
    if not facts.attempted:
        return _not_wanted(facts, undo=False) or _kept_from(facts) or ReplaceStep(act=ReplaceAct.CALL)
    if not facts.new_known:
        return _unanswered(facts)
    return _made(facts)


def _made(facts: ReplaceFacts) -> ReplaceStep:
    if facts.new is Observed.ABSENT:
        return ReplaceStep(act=ReplaceAct.FAIL, code="start_up_failed", reason="the new one is gone before it ran")
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
        return ReplaceStep(act=act, code="not_needed", reason="the reclaim it was for is over, or its machine runs")
    return None


def _kept_from(facts: ReplaceFacts) -> ReplaceStep | None:
    """What holds a rule before it asks for a machine that is to take the place of the old one."""
    if facts.by_rule and facts.kept:
        return ReplaceStep(act=ReplaceAct.SUPERSEDE, reason=f"{facts.kept}: rules leave it alone")
    if facts.by_rule and facts.held:
        return ReplaceStep(act=ReplaceAct.WAIT, reason=facts.held, at=facts.now + HELD_LOOK)
    return None


def _unanswered(facts: ReplaceFacts) -> ReplaceStep:
    settled_at = (facts.call_ended_at or facts.now) + facts.settle
    if facts.complete_list_at is None or not settled_at < facts.complete_list_at <= facts.now:
        return ReplaceStep(act=ReplaceAct.LOOK, at=facts.now + LOOK_EVERY)
    reason = "a complete list after the settle period shows that the create made nothing"
    return _not_wanted(facts, undo=False) or ReplaceStep(act=ReplaceAct.START_OVER, reason=reason)


def _after_swap(facts: ReplaceFacts) -> ReplaceStep:
    if facts.old is Observed.ABSENT:
        return ReplaceStep(act=ReplaceAct.SUCCEED, reason="the new one is ready and the old one is gone")
    left = "the old one is left, and proposed for deletion"
    if facts.yields:
        return ReplaceStep(act=ReplaceAct.SUPERSEDE, reason=f"something else is wanted by now; {left}")
    if not facts.new_is_current:
        return ReplaceStep(act=ReplaceAct.SUPERSEDE, reason=f"another is its current one by now; {left}")
    if facts.new in _NEVER_RAN:
        return ReplaceStep(act=ReplaceAct.SUPERSEDE, reason=f"the new one is {facts.new} after it was ready; {left}")
    if facts.kept:
        return ReplaceStep(act=ReplaceAct.SUCCEED, reason=f"the new one is ready; {facts.kept} now: {left}")
    again_at = facts.let_go_at + repeat_gap(facts.lets, facts.settle) if facts.let_go_at else facts.now
    if facts.now < again_at or facts.old is Observed.REMOVING:
        return _wait(facts, "the new one is ready; waits for Novita to show the old one deleted")
    if facts.lets >= MOST_LETS:
        return ReplaceStep(
            act=ReplaceAct.SUCCEED, reason=f"the new one is ready; Novita was asked {facts.lets} times in vain: {left}"
        )
    if facts.held:
        return ReplaceStep(act=ReplaceAct.WAIT, reason=f"the old one stays: {facts.held}", at=facts.now + HELD_LOOK)
    if facts.new is not Observed.RUNNING:
        return _wait(facts, f"the old one stays until the new one runs again: it is {facts.new}")
    return ReplaceStep(act=ReplaceAct.LET_GO)


def _after_undo(facts: ReplaceFacts) -> ReplaceStep:
    """Nothing follows but its end, once the new one is shown gone.

    Who wants something else waits until Novita was asked, and for one gap after that at most.
    """
    code, reason = facts.undone_code, facts.undone_reason or "the new one was given up"
    end = ReplaceAct.FAIL if code else ReplaceAct.SUPERSEDE
    if not facts.new_known or facts.new is Observed.ABSENT:
        return ReplaceStep(act=end, code=code, reason=reason)
    if facts.new_is_current:
        return ReplaceStep(act=end, code=code, reason=f"{reason}; it is the instance's by now, and is kept")
    again_at = facts.undo_at + repeat_gap(facts.undos, facts.settle) if facts.undo_at else facts.now
    if facts.yields and facts.new is Observed.REMOVING:
        return ReplaceStep(act=ReplaceAct.SUPERSEDE, reason=f"{reason}; Novita is deleting it")
    waits = facts.now < again_at or facts.new is Observed.REMOVING
    if facts.yields and facts.undos and not waits:
        return ReplaceStep(act=ReplaceAct.SUPERSEDE, reason=f"{reason}; its deletion was asked for and is not shown yet")
    if waits:
        return _wait(facts, f"{reason}; waits for Novita to show the new one deleted")
    return ReplaceStep(act=ReplaceAct.UNDO, code=code, reason=reason)


def _wait(facts: ReplaceFacts, reason: str) -> ReplaceStep:
    return ReplaceStep(act=ReplaceAct.WAIT, reason=reason, at=facts.now + WAIT_EVERY)
