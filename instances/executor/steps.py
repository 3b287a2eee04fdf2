"""What to do next for a job. Pure: values in, one step with its reason out.

A job is judged only by reads begun after its call ended; for the settle period after an accepted create, start or migrate,
absence proves nothing. Stop and delete are repeated with growing gaps and never fail.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from instances.lifecycle import CALL_FROM, MOVING, NEVER_FAIL, WISH_VERBS, Observed, Verb


class Act(StrEnum):
    CALL = "call"  # ask Novita
    LOOK = "look"  # search for what an unanswered create may have made
    READ = "read"  # read by id, or the provider's own job
    WAIT = "wait"
    SUCCEED = "succeed"
    FAIL = "fail"
    SUPERSEDE = "supersede"
    START_OVER = "start_over"  # an unanswered create is proven to have made nothing: a new attempt may follow


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    act: Act
    reason: str = ""
    code: str = ""
    at: datetime | None = None  # when to look again, for WAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """`outcome` is accepted or unclear once called. `shown` tells whether an errand's effect was read after its call.

    `repeats` is an edit that asks once more for a growth of the disk which an earlier call may have brought about: `shown`
    then tells whether what is read by now shows all that it asks for.
    """

    verb: Verb
    now: datetime
    called: bool = False
    outcome: str = ""
    call_ended_at: datetime | None = None
    attempts: int = 0
    yields: bool = False
    patience_until: datetime | None = None
    met: bool = False
    machine_known: bool = True
    observed: Observed = Observed.NOTHING
    observed_at: datetime | None = None
    status_error: str = ""
    shown: bool = False
    repeats: bool = False
    created_at: datetime | None = None
    ran_anew: bool = False  # it began to run after the call, by our reads or by Novita's own time
    provider_job: str = ""  # "", running, success, fail
    complete_list_at: datetime | None = None
    settle: timedelta = timedelta(seconds=60)


RECHECK = timedelta(seconds=15)  # observations wake a job; this is the safety net
LOOK_EVERY = timedelta(seconds=3)
HELD_LOOK = timedelta(minutes=1)
READ_EVERY = timedelta(seconds=10)
LISTS_TELL_WITHIN = timedelta(seconds=90)
PROVE_EVERY = timedelta(seconds=2)  # between the two reads that prove a deletion
LONGEST_GAP = timedelta(minutes=10)
MOST_REFUSALS = 5  # over a quarter of an hour
LONGEST_CAPACITY_GAP = timedelta(minutes=2)
EDIT_SHOWS_WITHIN = timedelta(minutes=5)
ERRAND_SHOWS_WITHIN = timedelta(hours=2)

_ERRANDS = (Verb.RESTART, Verb.EDIT, Verb.MIGRATE, Verb.SAVE_IMAGE)


def next_step(facts: JobFacts) -> Step:
    if facts.met and facts.verb in WISH_VERBS:
        return Step(act=Act.SUCCEED, reason="Novita shows it")
    if facts.verb is Verb.CREATE:
        return _create(facts)
    if facts.observed is Observed.ABSENT and facts.verb is Verb.DELETE and not facts.yields:
        return Step(act=Act.READ)  # a second read proves it
    if facts.observed is Observed.ABSENT:
        return Step(act=Act.SUPERSEDE, reason="it is gone from Novita")
    return _confirm(facts) if facts.called else _before_call(facts)


def repeat_gap(attempts: int, settle: timedelta) -> timedelta:
    """How long the n-th call may take to show before it is repeated: 30 s, or less to settle, doubling to 10 min."""
    return min(min(timedelta(seconds=30), settle) * (1 << min(max(attempts - 1, 0), 10)), LONGEST_GAP)


def doublings(waited: timedelta) -> int:
    """How loud a wait is told that no call counts: 0 up to the longest gap, then one more with each doubling."""
    return (waited // LONGEST_GAP).bit_length()


def capacity_gap(attempts: int) -> timedelta:
    """How long to wait after the n-th refusal for want of GPUs: 15 s, doubling up to 2 min."""
    return min(timedelta(seconds=15 * (1 << min(max(attempts - 1, 0), 10))), LONGEST_CAPACITY_GAP)


def refusal_gap(refusals: int) -> timedelta:
    """How long to wait after the n-th refusal of the key for a call: 1 min, doubling up to 10 min."""
    return min(timedelta(minutes=1) * (1 << min(max(refusals - 1, 0), 10)), LONGEST_GAP)


def gives_up(verb: Verb, refusals: int) -> bool:
    """Whether a job ends at the n-th refusal of the key for its call, though reads work; what ends a bill never does."""
    return refusals >= MOST_REFUSALS and verb not in NEVER_FAIL


def outage_gap(attempts: int) -> timedelta:
    """How long to wait after the n-th answer that Novita is away and did nothing: 2 s, doubling up to 15 s.

    Short, since the breaker and the pace already spare a Novita that is away, and work is to go on soon after it is back.
    """
    return min(timedelta(seconds=2 * (1 << min(max(attempts - 1, 0), 10))), timedelta(seconds=15))


def _before_call(facts: JobFacts) -> Step:
    if facts.yields:
        return Step(act=Act.SUPERSEDE, reason="something else is wanted by now")
    if facts.observed is Observed.NOTHING:
        return Step(act=Act.SUPERSEDE, reason="nothing of it exists at Novita")
    if facts.repeats and not _read_after(facts, facts.created_at):
        return Step(act=Act.READ)
    if facts.repeats and facts.shown:
        return Step(act=Act.SUCCEED, reason="Novita shows it by now")
    if facts.observed in CALL_FROM[facts.verb]:
        return Step(act=Act.CALL)
    if facts.verb in _ERRANDS:
        return Step(
            act=Act.FAIL, code="wrong_phase", reason=f"it is {facts.observed} at Novita: {facts.verb} is not possible"
        )
    return _wait(facts, f"waits, since Novita shows it {facts.observed}")


def _create(facts: JobFacts) -> Step:
    if not facts.called and not facts.machine_known:
        return Step(act=Act.SUPERSEDE, reason="something else is wanted by now") if facts.yields else Step(act=Act.CALL)
    if not facts.machine_known:
        return _unanswered_create(facts)
    if facts.yields:
        return Step(act=Act.SUPERSEDE, reason="its machine is known, and something else is wanted by now")
    ended = facts.observed in (Observed.EXITED, Observed.ABSENT)
    if ended and (not facts.called or _read_after(facts, facts.call_ended_at)):
        what = "stopped" if facts.observed is Observed.EXITED else "gone"
        detail = f": {facts.status_error}" if facts.status_error else ""
        return Step(act=Act.FAIL, code="start_up_failed", reason=f"Novita shows it {what} before it ran{detail}")
    return _wait(facts, f"waits for Novita: {facts.observed}")


def _unanswered_create(facts: JobFacts) -> Step:
    """Present is found by name; absent is proven only by a complete list begun after the settle period.

    One that seems to begin later than now was read before the clock was set back, perhaps before the call.
    """
    settled_at = (facts.call_ended_at or facts.now) + facts.settle
    if facts.complete_list_at is not None and settled_at < facts.complete_list_at <= facts.now:
        if facts.yields:
            return Step(act=Act.SUPERSEDE, reason="the create made nothing, and something else is wanted by now")
        return Step(act=Act.START_OVER, reason="a complete list after the settle period shows that the create made nothing")
    return Step(act=Act.LOOK)


def _confirm(facts: JobFacts) -> Step:
    if facts.yields and _read_after(facts, facts.call_ended_at):
        return Step(act=Act.SUPERSEDE, reason="it has settled, and something else is wanted by now")
    if facts.verb in (Verb.STOP, Verb.DELETE, Verb.START):
        return _confirm_wish(facts)
    return _confirm_errand(facts)


def _confirm_wish(facts: JobFacts) -> Step:
    """Repeat the call where a read well after it shows that it did not take."""
    gap = repeat_gap(facts.attempts, facts.settle)
    if facts.verb is Verb.START:
        gap = max(gap, facts.settle)  # until then absence of an effect proves nothing
    again_at = (facts.call_ended_at or facts.now) + gap
    if not _read_after(facts, again_at):
        if facts.verb is Verb.DELETE or _lists_are_late(facts):
            return Step(act=Act.READ)
        return _wait(facts, "waits for Novita to show it", at=min(again_at, facts.now + RECHECK))
    if facts.verb is Verb.START and facts.ran_anew and facts.observed is Observed.EXITED:
        return Step(act=Act.FAIL, code="exited", reason=_exit_text("it started and stopped again", facts))
    if facts.verb is Verb.START and facts.patience_until and facts.now > facts.patience_until:
        return Step(act=Act.FAIL, code="start_not_shown", reason="Novita took the start and never showed it running")
    if facts.observed in CALL_FROM[facts.verb]:
        return Step(act=Act.CALL, reason=f"asked {facts.attempts} times, and Novita still shows it {facts.observed}")
    return _wait(facts, f"waits, since Novita shows it {facts.observed}")


def _lists_are_late(facts: JobFacts) -> bool:
    """Whether no list has told of it for a while, since they fail or lack it: a read by id does."""
    since = max((one for one in (facts.call_ended_at, facts.observed_at) if one is not None), default=facts.now)
    return facts.now - since > LISTS_TELL_WITHIN


def _confirm_errand(facts: JobFacts) -> Step:
    if facts.shown or facts.provider_job == "success":
        return Step(act=Act.SUCCEED, reason="Novita shows it")
    if facts.provider_job == "fail":
        return Step(act=Act.FAIL, code="provider_job_failed", reason="Novita's own job failed")
    ended_at = facts.call_ended_at or facts.now
    at_rest = facts.observed not in MOVING
    if facts.outcome == "unclear" and at_rest and _read_after(facts, ended_at + facts.settle):
        return Step(act=Act.FAIL, code="unclear", reason="Novita's answer was lost and nothing shows that it was done")
    may_exit = facts.verb in (Verb.RESTART, Verb.MIGRATE)
    if may_exit and facts.observed is Observed.EXITED and _read_after(facts, ended_at + facts.settle):
        return Step(act=Act.FAIL, code="exited", reason=_exit_text("it exited", facts))
    limit = EDIT_SHOWS_WITHIN if facts.verb is Verb.EDIT else ERRAND_SHOWS_WITHIN
    if facts.now > ended_at + limit:
        return Step(act=Act.FAIL, code="not_shown", reason="Novita took it and never showed it done")
    if facts.verb in (Verb.MIGRATE, Verb.SAVE_IMAGE):
        return Step(act=Act.READ)
    return _wait(facts, "waits for Novita to show it", at=min(ended_at + facts.settle, facts.now + RECHECK))


def _exit_text(what: str, facts: JobFacts) -> str:
    return f"{what}: {facts.status_error}" if facts.status_error else what


def _read_after(facts: JobFacts, moment: datetime | None) -> bool:
    return moment is not None and facts.observed_at is not None and moment < facts.observed_at <= facts.now


def _wait(facts: JobFacts, reason: str, *, at: datetime | None = None) -> Step:
    return Step(act=Act.WAIT, reason=reason, at=at or facts.now + RECHECK)
