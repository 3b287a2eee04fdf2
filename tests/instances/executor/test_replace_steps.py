"""The steps of a replacement, by table and over all that may be known of the two machines."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.executor.replace_steps import MOST_LETS, ReplaceAct, ReplaceFacts, next_replace_step
from instances.lifecycle import Observed
from tests.factories import NOW

SECOND = timedelta(seconds=1)


def facts(**changes: Any) -> ReplaceFacts:
    """The new one is made and known, and on its way."""
    values: dict[str, Any] = {"now": NOW, "attempted": True, "new_known": True, "new": Observed.PULLING}
    return ReplaceFacts(**values | changes)


def unanswered(**changes: Any) -> ReplaceFacts:
    asked = {"new_known": False, "new": Observed.NOTHING, "call_ended_at": NOW - 90 * SECOND}
    return facts(**asked | changes)


LONG_AGO = NOW - timedelta(hours=1)
READY = {"new": Observed.RUNNING, "new_details_read": True, "new_is_well": True}
SWAPPED = {**READY, "swapped": True, "new_is_current": True}
UNDONE = {"undone": True, "undone_code": "not_ready", "undos": 1, "undo_at": NOW}


@pytest.mark.parametrize(
    ("known", "act"),
    [
        (facts(attempted=False, new_known=False), ReplaceAct.CALL),
        (facts(attempted=False, new_known=False, yields=True), ReplaceAct.SUPERSEDE),
        (facts(attempted=False, new_known=False, needed=False), ReplaceAct.FAIL),
        (unanswered(), ReplaceAct.LOOK),
        (unanswered(complete_list_at=NOW - 60 * SECOND), ReplaceAct.LOOK),
        (unanswered(complete_list_at=NOW - 10 * SECOND), ReplaceAct.START_OVER),
        (unanswered(complete_list_at=NOW + 10 * SECOND), ReplaceAct.LOOK),
        (unanswered(complete_list_at=NOW - 10 * SECOND, yields=True), ReplaceAct.SUPERSEDE),
        (unanswered(yields=True), ReplaceAct.LOOK),
        (facts(), ReplaceAct.WAIT),
        (facts(yields=True), ReplaceAct.UNDO),
        (facts(needed=False), ReplaceAct.UNDO),
        (facts(new=Observed.EXITED), ReplaceAct.UNDO),
        (facts(new=Observed.ABSENT), ReplaceAct.FAIL),
        (facts(ready_by=NOW - SECOND), ReplaceAct.UNDO),
        (facts(new=Observed.RUNNING), ReplaceAct.WAIT),
        (facts(new=Observed.RUNNING, new_details_read=True), ReplaceAct.PROBE),
        (facts(**READY), ReplaceAct.SWAP),
        (facts(**READY, yields=True), ReplaceAct.UNDO),
        (facts(**SWAPPED), ReplaceAct.LET_GO),
        (facts(**SWAPPED, kept="it is protected"), ReplaceAct.SUCCEED),
        (facts(**SWAPPED, held="paused"), ReplaceAct.WAIT),
        (facts(**SWAPPED | {"new": Observed.STARTING}), ReplaceAct.WAIT),
        (facts(**SWAPPED | {"new": Observed.UNKNOWN}), ReplaceAct.WAIT),
        (facts(**SWAPPED | {"new": Observed.EXITED}), ReplaceAct.SUPERSEDE),
        (facts(**SWAPPED | {"new_is_current": False}), ReplaceAct.SUPERSEDE),
        (facts(attempted=False, new_known=False, kept="it is protected"), ReplaceAct.SUPERSEDE),
        (facts(attempted=False, new_known=False, held="paused"), ReplaceAct.WAIT),
        (facts(attempted=False, new_known=False, held="paused", kept="precious", by_rule=False), ReplaceAct.CALL),
        (facts(**READY, needed=False), ReplaceAct.UNDO),
        (facts(**READY, **UNDONE), ReplaceAct.WAIT),
        (facts(**READY, **UNDONE | {"undo_at": NOW - timedelta(minutes=1)}), ReplaceAct.UNDO),
        (facts(**READY, **UNDONE | {"undo_at": NOW - timedelta(minutes=1), "new_is_current": True}), ReplaceAct.FAIL),
        (facts(**READY, **UNDONE | {"undo_at": NOW - timedelta(hours=1), "undos": 30}), ReplaceAct.UNDO),
        (facts(**READY, **UNDONE, yields=True), ReplaceAct.WAIT),
        (facts(**READY, **UNDONE | {"undo_at": NOW - timedelta(minutes=1)}, yields=True), ReplaceAct.SUPERSEDE),
        (facts(**READY, **UNDONE | {"undo_at": LONG_AGO, "undos": 0}, yields=True), ReplaceAct.UNDO),
        (facts(**UNDONE | {"undos": 0}, new=Observed.REMOVING, yields=True), ReplaceAct.SUPERSEDE),
        (facts(**UNDONE, new=Observed.ABSENT), ReplaceAct.FAIL),
        (facts(**UNDONE | {"undone_code": ""}, new=Observed.ABSENT), ReplaceAct.SUPERSEDE),
        (facts(**SWAPPED, old=Observed.ABSENT), ReplaceAct.SUCCEED),
        (facts(**SWAPPED, old=Observed.REMOVING, lets=1, let_go_at=NOW), ReplaceAct.WAIT),
        (facts(**SWAPPED, lets=1, let_go_at=NOW - 10 * SECOND), ReplaceAct.WAIT),
        (facts(**SWAPPED, lets=1, let_go_at=NOW - 40 * SECOND), ReplaceAct.LET_GO),
        (facts(**SWAPPED, lets=MOST_LETS, let_go_at=NOW - timedelta(hours=1)), ReplaceAct.SUCCEED),
        (facts(**SWAPPED, yields=True), ReplaceAct.SUPERSEDE),
    ],
)
def test_each_step_follows_from_what_is_known(known: ReplaceFacts, act: ReplaceAct) -> None:
    assert next_replace_step(known).act is act


ANY = st.builds(
    facts,
    yields=st.booleans(),
    needed=st.booleans(),
    attempted=st.booleans(),
    call_ended_at=st.sampled_from([None, NOW - timedelta(hours=1), NOW]),
    complete_list_at=st.sampled_from([None, NOW - timedelta(hours=2), NOW, NOW + timedelta(hours=2)]),
    new_known=st.booleans(),
    new=st.sampled_from(Observed),
    new_is_well=st.booleans(),
    new_details_read=st.booleans(),
    ready_by=st.sampled_from([None, NOW - SECOND, NOW + SECOND]),
    swapped=st.booleans(),
    new_is_current=st.booleans(),
    kept=st.sampled_from(["", "it is protected"]),
    held=st.sampled_from(["", "paused"]),
    undone=st.booleans(),
    undone_code=st.sampled_from(["", "not_ready"]),
    undos=st.integers(0, 9),
    undo_at=st.sampled_from([None, NOW - timedelta(hours=1), NOW]),
    old=st.sampled_from(Observed),
    lets=st.integers(0, MOST_LETS),
    let_go_at=st.sampled_from([None, NOW - timedelta(hours=1), NOW]),
)


@given(ended=st.integers(-600, 600), listed=st.none() | st.integers(-600, 600))
def test_it_starts_over_only_on_a_list_begun_after_the_settle_period_and_not_later_than_now(
    ended: int, listed: int | None
) -> None:
    listed_at = None if listed is None else NOW + listed * SECOND
    step = next_replace_step(unanswered(call_ended_at=NOW + ended * SECOND, complete_list_at=listed_at))

    proven = listed is not None and ended + 60 < listed <= 0
    assert step.act is (ReplaceAct.START_OVER if proven else ReplaceAct.LOOK)


@given(known=ANY)
def test_the_old_one_is_let_go_only_after_the_new_one_took_its_place(known: ReplaceFacts) -> None:
    step = next_replace_step(known)

    if step.act is ReplaceAct.LET_GO:
        assert known.swapped
        assert not known.kept
        assert not known.held
        assert not known.yields
        assert known.new_is_current
        assert known.new is Observed.RUNNING
    if known.undone:
        ends = (ReplaceAct.SUCCEED, ReplaceAct.FAIL, ReplaceAct.SUPERSEDE)
        assert step.act in (ReplaceAct.UNDO, ReplaceAct.WAIT, *ends)
        gone = not known.new_known or known.new in (Observed.ABSENT, Observed.REMOVING) or known.new_is_current
        assert step.act not in ends or gone or known.undos  # a living one is left only once its deletion was asked for
    if step.act is ReplaceAct.SWAP:
        assert known.new_is_well
        assert known.new is Observed.RUNNING
        assert not known.yields
        assert known.needed
        assert not known.undone
    if step.act is ReplaceAct.CALL:
        assert not known.attempted  # never a second one while the first may exist
    if step.act is ReplaceAct.UNDO:
        assert not known.swapped or known.undone
        assert known.new_known
    if step.act is not ReplaceAct.CALL and step.act is not ReplaceAct.PROBE and step.act is not ReplaceAct.LET_GO:
        assert step.reason or step.act is ReplaceAct.LOOK
