"""What to do about a reclaim. Pure: values in, one action with its code and reason out, also for doing nothing.

A start in place keeps the disks and comes first. What loses them (a move, a replacement) is for disposable data alone. In
doubt nobody revives anything: a person is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from instances.lifecycle import MOVING, Observed, Wanted
from instances.spot import Sign
from instances.words import clock


class Action(StrEnum):
    NOTHING = "nothing"  # no reclaim, or none that is open
    WAIT = "wait"
    START = "start"
    MIGRATE = "migrate"
    REPLACE = "replace"
    RECREATE = "create"
    SAVE_IMAGE = "save_image"
    ASK = "ask"  # a person must say
    END = "end"


ACTS = (Action.START, Action.MIGRATE, Action.REPLACE, Action.RECREATE, Action.SAVE_IMAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReclaimFacts:
    """One instance with its reclaim. `open`: its record is open; `handled`: the sign that is read was dealt with before.

    `tries`: the verbs asked so far, oldest first, the last one ended at `last_ended_at`. `provider_job`: the kind of a job
    of Novita's that runs on it, None where that could not be read. `well`: its health checks pass since it runs.
    `moved_at`: when a reclaim last moved or replaced it. `held` holds every rule, `destruction_held` what loses data.
    """

    now: datetime
    wanted: str
    observed: Observed
    sign: Sign
    open: bool = True
    handled: bool = False
    managed: bool = True
    seen_at: datetime | None = None
    notified_at: datetime | None = None
    taken_at: datetime | None = None
    reclaim_at: datetime | None = None
    protected: bool = False
    precious: bool = False
    on_notice: str = "wait"
    after: str = "auto"
    save_image: bool = False
    made_here: bool = True
    enabled: bool = True
    held: str = ""
    destruction_held: str = ""
    job_open: str = ""
    provider_job: str | None = ""
    surplus: bool = False
    ran: bool = False  # it was seen running since it was taken
    same_machine: bool = True  # it has the machine still that the sign is about
    tries: Sequence[str] = ()
    unready: int = 0  # how many of them made another that did not come up, or was not ready in time
    last_ended_at: datetime | None = None
    moved_at: datetime | None = None
    cool_down: timedelta = timedelta(0)
    well: bool = False
    overdue: bool = False
    purged_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReclaimDecision:
    """`at`: when it is looked at again, None where only news changes it. `outcome` and `failed` go with an end."""

    action: Action
    code: str
    reason: str
    at: datetime | None = None
    outcome: str = ""
    failed: bool = False

    @property
    def acts(self) -> bool:
        return self.action in ACTS


LOOK_EVERY = timedelta(seconds=5)
HELD_LOOK = timedelta(minutes=1)
FIRST_TRIES = 3
FIRST_GAPS = (timedelta(0), timedelta(seconds=15), timedelta(seconds=30))  # three tries, well within five minutes
GAP, LONGEST_GAP = timedelta(minutes=5), timedelta(minutes=30)
STUCK_AFTER = timedelta(minutes=10)
MOST_UNREADY = 2


def decide_reclaim(facts: ReclaimFacts) -> ReclaimDecision:
    return (
        _no_record(facts)
        or _ended_by_others(facts)
        or _lost(facts)
        or _runs(facts)
        or _not_free(facts)
        or (_notice(facts) if facts.taken_at is None else _taken(facts))
    )


def sequence(facts: ReclaimFacts) -> tuple[Action, ...]:
    """The acts of a round: a start in place, and for disposable data what comes after it is refused."""
    if facts.precious or facts.protected or facts.after == "start":
        return (Action.START,)
    moves = {"auto": (Action.MIGRATE, Action.REPLACE), "migrate": (Action.MIGRATE,), "replace": (Action.REPLACE,)}
    return (Action.START, *(one for one in moves.get(facts.after, ()) if one is not Action.REPLACE or facts.made_here))


def next_try(facts: ReclaimFacts) -> tuple[Action, datetime]:
    """Which act is next and when: three starts, then the round, then rounds at growing gaps, without end."""
    acts = sequence(facts)
    done = sum(1 for verb in facts.tries if verb in (Action.START, Action.MIGRATE, Action.REPLACE))
    since = facts.last_ended_at or facts.taken_at or facts.now
    if done < FIRST_TRIES:
        return Action.START, since + FIRST_GAPS[done]
    place = (done - FIRST_TRIES + 1) % len(acts)
    if place:
        return acts[place], since
    rounds = (done - FIRST_TRIES + 1) // len(acts)
    return Action.START, since + min(GAP * (1 << min(rounds - 1, 10)), LONGEST_GAP)


def _no_record(facts: ReclaimFacts) -> ReclaimDecision | None:
    if facts.open:
        return None
    if not facts.managed:
        return _nothing("unmanaged", "it was not made here and nobody has adopted it: rules leave it alone")
    if facts.sign is not Sign.NONE and facts.handled:
        return _nothing("handled", "this reclaim was dealt with before: it starts nothing again")
    return _nothing("not_reclaimed", f"Novita shows it {facts.observed}, and no sign that it takes it back")


def _ended_by_others(facts: ReclaimFacts) -> ReclaimDecision | None:
    if not facts.managed:
        return _end("released", "it was released: rules leave it alone")
    if facts.wanted != Wanted.RUNNING:
        return _end("not_wanted", f"it is wanted {facts.wanted or 'nothing'}, not running: it is not brought back")
    return None


def _lost(facts: ReclaimFacts) -> ReclaimDecision | None:
    if facts.observed is Observed.NOTHING:
        return None if not facts.job_open else _wait(facts, "job_open", f"its {facts.job_open} is under way")
    if facts.observed is not Observed.ABSENT:
        return None
    if facts.job_open:
        return _wait(facts, "job_open", f"its {facts.job_open} is under way")
    remakes = Action.REPLACE in sequence(facts) and Action.MIGRATE in facts.tries and facts.taken_at is not None
    if not remakes:
        return _end("gone", "it is gone from Novita, and its data with it", failed=True)
    if facts.provider_job is None:
        return _wait(facts, "jobs_unread", "Novita's own jobs could not be read: nothing is made anew before that")
    held = _provider_works(facts) or _held(facts, loses=True)
    return held or ReclaimDecision(
        action=Action.RECREATE, code="lost", reason="Novita lost it in the move and its data is disposable: it is made anew"
    )


def _runs(facts: ReclaimFacts) -> ReclaimDecision | None:
    if facts.observed is not Observed.RUNNING or facts.sign is not Sign.NONE:
        return None
    if facts.taken_at is None and facts.same_machine:
        return _end("withdrawn", "Novita no longer takes it back")  # a replacement under way gives itself up
    if facts.job_open:
        return _wait(facts, "job_open", f"it runs; its {facts.job_open} is under way")
    if facts.well:
        return _end("back", "it runs again and its health checks pass")
    if facts.overdue:
        return _end("back_unwell", "it runs again, but its health checks do not pass", failed=True)
    return _wait(facts, "checking", "it runs again; its health checks have not passed yet")


def _not_free(facts: ReclaimFacts) -> ReclaimDecision | None:
    """What must be over before anything is asked of Novita."""
    if facts.job_open:
        return _wait(facts, "job_open", f"its {facts.job_open} is under way")
    if facts.observed is Observed.UNKNOWN:
        return _wait(facts, "unknown_status", "Novita reports an unfamiliar status: nothing acts on it")
    return _provider_works(facts)


def _provider_works(facts: ReclaimFacts) -> ReclaimDecision | None:
    """Novita is at something itself, or there is a second machine already: none is made or moved beside that."""
    if facts.provider_job:
        return _wait(facts, "provider_job", f"a job of Novita's own, {facts.provider_job}, is under way on it")
    if facts.surplus:
        return _ask("surplus", "it has a second live machine at Novita: which of them is to stay, a person must say", facts)
    return None


def _held(facts: ReclaimFacts, *, loses: bool) -> ReclaimDecision | None:
    if not facts.enabled:
        return _ask("disabled", "bringing back is switched off (MIGRATION_ENABLED): start it yourself", facts)
    reason = facts.held or (facts.destruction_held if loses else "")
    return _wait(facts, "held", reason, facts.now + HELD_LOOK) if reason else None


def _notice(facts: ReclaimFacts) -> ReclaimDecision:
    """Announced and not taken; or stopped, with fields that leave open by whom."""
    deadline = facts.reclaim_at or facts.now
    if facts.sign is Sign.DOUBT:
        if facts.now < deadline:
            reason = f"it stopped before {clock(deadline)}, when Novita was to take it: who stopped it is open until then"
            return _ask("doubt", reason, facts, at=deadline)
        return _ask("doubt", "it stopped, and Novita does not say that it took it: start it yourself if it is to run", facts)
    if facts.observed is Observed.EXITED and facts.now < deadline:
        return _end("stopped", "it stopped, and no sign is left that Novita took it: it is not revived")
    if facts.observed is Observed.EXITED:
        text = "it stopped at the hour of its reclaim, and Novita does not say that it took it: start it if it is to run"
        return _ask("doubt", text, facts)
    left = f"Novita takes it back at {clock(deadline)}"
    until = f"it may run until {clock(deadline)}"  # beside the announcement, which names the same hour
    wait = _wait(facts, "notified", f"{until}; then it is started again in place, which keeps its disks", deadline)
    if facts.now >= deadline or facts.observed is not Observed.RUNNING:
        return wait
    if facts.save_image and Action.SAVE_IMAGE not in facts.tries:
        return _held(facts, loses=False) or _act(Action.SAVE_IMAGE, "save_image", f"{left}: its image is saved before")
    if facts.on_notice != "replace" or Action.REPLACE in facts.tries:
        return wait
    return _replace_before(facts, left, wait)


def _replace_before(facts: ReclaimFacts, left: str, wait: ReclaimDecision) -> ReclaimDecision:
    if facts.precious or facts.protected or not facts.made_here:
        what = "its data is precious" if facts.precious else "it is protected" if facts.protected else "it was not made here"
        return _wait(facts, "notified", f"{what}: it is not replaced; {wait.reason}", wait.at)
    held = _held(facts, loses=True) or _cooling(facts)
    return held or _act(Action.REPLACE, "notified", f"{left}: another is made ready before, elsewhere if need be")


def _taken(facts: ReclaimFacts) -> ReclaimDecision:
    if facts.ran and facts.observed is Observed.EXITED:
        return _end("stopped_again", "it ran again and stopped, which was no reclaim: it is not revived", failed=True)
    if facts.after == "off":
        return _ask(
            "policy_off", "Novita took it back, and it is not to be brought back by itself: start it yourself", facts
        )
    if facts.observed in MOVING and not _is_stuck(facts):
        return _wait(facts, "moving", f"Novita shows it {facts.observed}")
    action, at = next_try(facts) if facts.observed is Observed.EXITED else (Action.REPLACE, facts.now)
    if at > facts.now:
        return _wait(facts, "gap", _waits(facts, action, at), at)
    return _not_replaced(facts, action) or _try(facts, action)


def _try(facts: ReclaimFacts, action: Action) -> ReclaimDecision:
    if action is not Action.START:
        held = _held(facts, loses=True)
        if held is not None and held.action is Action.WAIT and not facts.held and facts.observed is Observed.EXITED:
            action, held = Action.START, None  # what loses nothing goes on meanwhile
        held = held or (_cooling(facts) if action is not Action.START else None)
        if held is not None:
            return held
        if action is not Action.START and facts.provider_job is None:
            return _wait(facts, "jobs_unread", "Novita's own jobs could not be read: nothing is moved before that")
    return _held(facts, loses=False) or _act(action, str(action), _why(facts, action))


def _not_replaced(facts: ReclaimFacts, action: Action) -> ReclaimDecision | None:
    """Where another is next and may not be made: by the policy, beside one that runs, or since others came to nothing."""
    if action not in sequence(facts) or facts.observed not in (Observed.EXITED, Observed.MIGRATING):
        text = f"Novita shows it {facts.observed}, and nothing set for it says what is to be done then: look at it"
        return _ask("not_replaced", text, facts)
    if action is Action.REPLACE and facts.unready >= MOST_UNREADY:
        text = f"{facts.unready} machines made in its place were not ready in time: no more are made before you look at it"
        return _ask("not_ready", text, facts)
    return None


def _is_stuck(facts: ReclaimFacts) -> bool:
    """A move that Novita gave up on and still shows as under way."""
    if facts.observed is not Observed.MIGRATING or Action.REPLACE not in sequence(facts) or not facts.tries:
        return False
    gave_up = facts.tries[-1] == Action.MIGRATE and facts.last_ended_at is not None
    return gave_up and facts.last_ended_at is not None and facts.now > facts.last_ended_at + STUCK_AFTER


def _cooling(facts: ReclaimFacts) -> ReclaimDecision | None:
    if facts.moved_at is None or facts.now >= facts.moved_at + facts.cool_down:
        return None
    at = facts.moved_at + facts.cool_down
    return _wait(
        facts, "cool_down", f"it was moved at {clock(facts.moved_at)}: it is not moved again before {clock(at)}", at
    )


def _why(facts: ReclaimFacts, action: Action) -> str:
    tries = len(facts.tries)
    if action is Action.START:
        more = "" if not tries else f" (try {tries + 1})"
        return f"Novita took it back and it is wanted running: it is started in place, which keeps its disks{more}"
    if facts.observed is Observed.MIGRATING:
        return "its move ended at Novita without an end being shown: another is made in its place"
    if action is Action.MIGRATE:
        return "it could not be started where it was, and its data is disposable: it is moved to another node"
    return "it could neither be started nor moved, and its data is disposable: another is made ready in its place"


def _waits(facts: ReclaimFacts, action: Action, at: datetime) -> str:
    text = f"{len(facts.tries)} tries did not work: the next {action} is at {clock(at)}"
    if sequence(facts) == (Action.START,) and facts.purged_at is not None:
        text += f"; Novita keeps its data until {clock(facts.purged_at)}"
    return text


def paced(decision: ReclaimDecision, limit: int, now: datetime) -> ReclaimDecision:
    """A due act that waits, since this pass has done its share."""
    reason = f"{decision.reason}; it waits for the next pass: one pass does at most {limit}"
    return ReclaimDecision(action=Action.WAIT, code="pace", reason=reason, at=now + LOOK_EVERY)


def _nothing(code: str, reason: str) -> ReclaimDecision:
    return ReclaimDecision(action=Action.NOTHING, code=code, reason=reason)


def _end(outcome: str, reason: str, *, failed: bool = False) -> ReclaimDecision:
    return ReclaimDecision(action=Action.END, code=outcome, reason=reason, outcome=outcome, failed=failed)


def _act(action: Action, code: str, reason: str) -> ReclaimDecision:
    return ReclaimDecision(action=action, code=code, reason=reason)


def _ask(code: str, reason: str, facts: ReclaimFacts, *, at: datetime | None = None) -> ReclaimDecision:
    return ReclaimDecision(action=Action.ASK, code=code, reason=reason, at=at or facts.now + HELD_LOOK)


def _wait(facts: ReclaimFacts, code: str, reason: str, at: datetime | None = None) -> ReclaimDecision:
    return ReclaimDecision(action=Action.WAIT, code=code, reason=reason, at=at or facts.now + LOOK_EVERY)
