"""Why auto-stop does what it does to one instance: decided afresh from what is stored, asking nobody."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from autostop.decide import decide, unjudged
from autostop.decide_facts import ACTIVE
from autostop.decide_outcome import Decision
from autostop.facts import Scene, canaries_now, considered, evaluation_of, facts_of, policy_if_known, samples_from
from autostop.models import Evaluation
from autostop.policies import PolicyValue, read_policies
from autostop.safety import standing_at
from autostop.schedule import next_runs
from instances.api.times import rfc3339
from instances.models import Instance
from instances.set_aside import AWAY
from instances.utilisation.rows import samples_since


def decision_now(instance: Instance, now: datetime) -> tuple[Decision, PolicyValue] | None:
    """What would be decided now, and by which policy; None for one that no pass considers."""
    found = considered().filter(pk=instance.pk).first()
    if found is None:
        return None
    policies = read_policies(now)
    scene = Scene(
        now=now,
        policies=policies,
        standing=standing_at(now),
        samples=samples_since(samples_from([found], policies, now), [found.machine_id or 0]),
        canaries=canaries_now(policies),
        warns_first=True,
    )
    try:
        decision = decide(facts_of(found, scene, open_verb=str(getattr(found, "open_verb", "") or "")))
    except AWAY:
        raise
    except Exception as error:  # noqa: BLE001 - the answer tells it
        decision = unjudged(error)
    return decision, policy_if_known(found, policies) or policies.default


def auto_stop_json(instance: Instance, *, now: datetime | None = None) -> dict[str, Any] | None:
    """The part of an explanation that auto-stop gives; None for an instance no rule looks at."""
    now = now or timezone.now()
    made = decision_now(instance, now)
    if made is None:
        return None
    decision, policy = made
    found = considered().filter(pk=instance.pk).first()
    known = evaluation_of(found) if found else None
    times = decision.deadlines
    return {
        "action": str(decision.action),
        "code": str(decision.code),
        "hold": str(decision.hold) or None,
        "reason": decision.reason,
        "nearest_miss": decision.nearest_miss or None,
        "evidence": dict(decision.evidence),
        "policy": policy.name,
        "idle_since": _time(decision.idle_since),
        "idle_stop": {"at": _time(times.idle_at), "by": times.idle_by} if times.idle_at else None,
        "hard_stop": {"at": _time(times.hard_at), "by": times.hard_by} if times.hard_at else None,
        "warned_of": _time(known.promised_at) if known else None,
        "kept": {"until": _time(instance.keep_until), "reason": instance.keep_reason, "by": instance.keep_by}
        if instance.keep_until
        else None,
        "decided_at": rfc3339(now),
        "same_since": _time(known.same_since) if known else None,
        "next_at": _time(decision.next_at),
        "next_runs": runs_json(policy, now),
    }


def stored_json(instance: Instance) -> dict[str, Any] | None:
    """What the last pass that found something new has stored: it stays as it is until then, whenever it is read.

    Who is active moves the idle stop time with every pass: there is none to tell of.
    """
    known = Evaluation.objects.filter(instance=instance).first()
    if known is None:
        return None
    idle_at = None if known.code in ACTIVE else known.idle_stop_at
    return {
        "action": known.action,
        "code": known.code,
        "hold": known.hold or None,
        "reason": known.reason,
        "policy": known.policy,
        "idle_stop": {"at": _time(idle_at), "by": known.idle_stop_by} if idle_at else None,
        "hard_stop": {"at": _time(known.hard_stop_at), "by": known.hard_stop_by} if known.hard_stop_at else None,
        "warned_of": _time(known.promised_at),
        "decided_at": rfc3339(known.decided_at),
    }


def runs_json(policy: PolicyValue, now: datetime) -> list[dict[str, str]]:
    """The next five turns of a policy's working hours."""
    if policy.schedule is None:
        return []
    return [
        {"at": rfc3339(run.at), "local": run.at.astimezone(policy.zone).isoformat(), "turn": str(run.turn)}
        for run in next_runs(policy.schedule, now)
    ]


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
