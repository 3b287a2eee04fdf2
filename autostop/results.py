"""What a pass answers: values, and their plain form for JSON."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from autostop.decide_outcome import Decision
from autostop.facts import Standing
from instances.api.times import rfc3339


class Outcome(StrEnum):
    KEPT = "kept"
    STOPPED = "stopped"
    WOULD_STOP = "would_stop"
    WAITS = "waits"
    NOT_JUDGED = "not_judged"
    WARNED = "warned"
    STARTED = "started"
    WOULD_START = "would_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One instance in a pass. WAITS: due, and left to a later pass. WARNED: told that it is going to be stopped."""

    instance_id: UUID
    name: str
    novita_id: str
    phase: str
    mode: str
    policy: str
    decision: Decision
    outcome: Outcome
    job_id: UUID | None = None

    def as_json(self) -> dict[str, Any]:
        decision = self.decision
        return {
            "instance_id": str(self.instance_id),
            "name": self.name,
            "novita_id": self.novita_id,
            "phase": self.phase,
            "mode": self.mode,
            "policy": self.policy,
            "outcome": str(self.outcome),
            "action": str(decision.action),
            "code": str(decision.code),
            "hold": str(decision.hold),
            "reason": decision.reason,
            "nearest_miss": decision.nearest_miss,
            "evidence": dict(decision.evidence),
            "idle_since": _time(decision.idle_since),
            "idle_for_seconds": int(decision.idle_for.total_seconds()) if decision.idle_for is not None else None,
            "next_at": _time(decision.next_at),
            "idle_stop_at": _time(decision.deadlines.idle_at),
            "hard_stop_at": _time(decision.deadlines.hard_at),
            "job_id": str(self.job_id) if self.job_id else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """A whole pass. `act_limit` is the most it stops; `run_id` is None for a rehearsal."""

    started_at: datetime
    duration: timedelta
    dry_run: bool
    trigger: str
    standing: Standing
    act_limit: int
    running: int
    metrics_read: int
    items: tuple[Item, ...]
    next_pass_at: datetime
    run_id: int | None = None

    def count(self, outcome: Outcome) -> int:
        return Counter(item.outcome for item in self.items)[outcome]

    @property
    def summary(self) -> str:
        why = self.standing.reason or self.standing.idle_reason
        held = f"; held: {why}" if why else ""
        return (
            f"{len(self.items)} considered, {self.running} running, {self.count(Outcome.STOPPED)} stopped, "
            f"{self.count(Outcome.WOULD_STOP)} would be stopped, {self.count(Outcome.WAITS)} wait for the next pass, "
            f"{self.count(Outcome.WARNED)} warned, {self.count(Outcome.STARTED)} started, "
            f"{self.count(Outcome.NOT_JUDGED)} not judged{held}"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "started_at": _time(self.started_at),
            "duration_ms": round(self.duration.total_seconds() * 1000),
            "dry_run": self.dry_run,
            "trigger": self.trigger,
            "hold": str(self.standing.hold or self.standing.idle_hold),
            "hold_reason": self.standing.reason or self.standing.idle_reason,
            "act_limit": self.act_limit,
            "running": self.running,
            "evaluated": len(self.items),
            "metrics_read": self.metrics_read,
            **{str(outcome): self.count(outcome) for outcome in Outcome},
            "next_pass_at": _time(self.next_pass_at),
            "summary": self.summary,
            "results": [item.as_json() for item in self.items],
        }


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
