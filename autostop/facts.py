"""From rows and settings to the values a decision rests on."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery

from autostop.decide_facts import BILLED_RUNNING, Facts, Hold, Rules, Usage
from autostop.decide_signals import SHORTEST_WINDOW
from autostop.decide_start import StartFacts
from autostop.models import Evaluation, Heartbeat, PolicyMode
from autostop.policies import Policies, PolicyValue, chosen_canaries, mode_of
from autostop.schedule import start_due_at, stop_times
from autostop.usage import usage_of
from instances.events import AUTO_STOP
from instances.lifecycle import OPEN_STATES, Observed
from instances.models import Instance, Job, UtilisationWatch
from instances.utilisation.rows import Sample

_COLUMNS = (
    "id",
    "name",
    "managed",
    "phase",
    "ended_at",
    "wanted",
    "wanted_at",
    "wanted_by_kind",
    "wanted_by_name",
    "failure",
    "labels",
    "auto_stop_mode",
    "auto_stop_threshold",
    "auto_stop_policy",
    "stop_at",
    "keep_until",
    "keep_reason",
    "protected",
    "gpu_num",
    "last_used_at",
    "boot_stage",
    "boot_stage_since",
    "ready_at",
    "next_auto_stop_action",
    "created_at",
    "machine__novita_id",
    "machine__status",
    "machine__absent_at",
    "machine__gpu_num",
    "machine__running_since",
    "machine__unverified_since",
)
_RELATED = ("machine__utilisation_watch", "auto_stop_evaluation", "auto_stop_heartbeat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether rules may act at all now, whether they may stop for idleness, and why not."""

    hold: Hold = Hold.NONE
    reason: str = ""
    idle_hold: Hold = Hold.NONE
    idle_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What decisions of one moment share."""

    now: datetime
    policies: Policies
    standing: Standing = field(default_factory=Standing)
    samples: Mapping[int, Sequence[Sample]] = field(default_factory=dict)
    canaries: frozenset[UUID] = frozenset()
    warns_first: bool = False
    read_now: Mapping[int, str] = field(default_factory=dict)  # machines read in this pass, with the error of each or ""


def considered() -> QuerySet[Instance]:
    """Every managed instance that lives, or still shows a next action, with all a decision needs, in one query."""
    jobs = Job.objects.filter(instance=OuterRef("pk"), state__in=OPEN_STATES)
    open_verb = jobs.exclude(arguments__has_key="auto_migrate").values("verb")[:1]
    return (
        Instance.objects.managed()
        .filter(Q(ended_at=None) | Q(next_auto_stop_action__isnull=False))
        .select_related("machine", *_RELATED)
        .only(*_COLUMNS, *_RELATED)
        .annotate(open_verb=Subquery(open_verb))
        .order_by("created_at", "id")
    )


def verb_in_hand(job: Job | None) -> str:
    """As `considered` tells it: what only switches Novita's own moving off is cut short by nothing, and holds nothing up."""
    return str(job.verb) if job is not None and not job.is_about_own_moves else ""


def policy_for(instance: Instance, policies: Policies) -> PolicyValue:
    return policies.of(instance.auto_stop_policy, instance.labels)


def policy_if_known(instance: Instance, policies: Policies) -> PolicyValue | None:
    """None where its labels are none: it is set aside where it is judged, and keeps nobody else from that."""
    try:
        return policy_for(instance, policies)
    except (AttributeError, TypeError):
        return None


def is_billed(instance: Instance) -> bool:
    return instance.observed in BILLED_RUNNING


def canaries_among(instances: Iterable[Instance], policies: Policies) -> frozenset[UUID]:
    """The instances on which policies in canary mode really act."""
    running: dict[str, list[UUID]] = defaultdict(list)
    for instance in instances:
        policy = policy_if_known(instance, policies)
        if policy is not None and policy.mode == PolicyMode.CANARY and is_billed(instance):
            running[policy.name].append(instance.pk)
    return frozenset(one for name, ids in running.items() for one in chosen_canaries(policies.named[name], ids))


def canaries_now(policies: Policies) -> frozenset[UUID]:
    """The same from the database; no query where no policy is in canary mode."""
    if not any(one.mode == PolicyMode.CANARY for one in policies.all()):
        return frozenset()
    rows = Instance.objects.managed().not_ended().select_related("machine")
    return canaries_among(rows.only("id", "labels", "auto_stop_policy", "machine__status", "machine__absent_at"), policies)


def facts_of(instance: Instance, scene: Scene, *, open_verb: str) -> Facts:
    """Ready and the run's begin count only while Novita shows it running: else they tell of an earlier run.

    Raises whatever a row that no code of ours writes makes fail.
    """
    machine, standing = instance.machine, scene.standing
    if standing.hold is Hold.NONE and machine is not None and machine.unverified_since is not None:
        standing = Standing(hold=Hold.FROZEN, reason="Novita's lists lack it and are not believed yet")
    runs = instance.observed is Observed.RUNNING
    policy = policy_for(instance, scene.policies)
    mode, why = mode_of(policy, instance.auto_stop_mode, canary=instance.pk in scene.canaries)
    known = evaluation_of(instance)
    beat = heartbeat_of(instance)
    ready_at = instance.ready_at if runs and instance.well_since_running else None
    rules = policy.rules if instance.auto_stop_threshold is None else _with_threshold(policy, instance)
    running_since = machine.running_since if machine and runs else None
    return Facts(
        now=scene.now,
        rules=rules,
        managed=instance.managed,
        mode=mode,
        mode_reason=why,
        protected=instance.protected,
        observed=instance.observed,
        raw_status=machine.status if machine else "",
        wanted=instance.wanted,
        wanted_since=instance.wanted_at,
        open_verb=open_verb,
        running_since=running_since,
        ready_at=ready_at,
        startup_deadline_at=_startup_deadline(instance, scene.policies),
        last_used_at=instance.last_used_at,
        beaten_at=beat.beaten_at if beat else None,
        beat_active_at=beat.active_at if beat else None,
        usage=_usage(instance, scene, rules, ready_at or running_since) if runs else None,
        stop_at=instance.stop_at,
        scheduled_stop_at=_scheduled_stop(instance, policy, scene),
        keep_until=instance.keep_until,
        keep_reason=instance.keep_reason,
        promised_at=known.promised_at if known else None,
        warns_first=scene.warns_first,
        idle_before=known.idle_in_a_row if known else 0,
        interval=scene.policies.interval,
        hold=standing.hold,
        hold_reason=standing.reason,
        idle_hold=standing.idle_hold,
        idle_hold_reason=standing.idle_reason,
    )


def evaluation_of(instance: Instance) -> Evaluation | None:
    """The stored evaluation, as the query of a pass fetched it."""
    found: Evaluation | None = getattr(instance, "auto_stop_evaluation", None)
    return found


def heartbeat_of(instance: Instance) -> Heartbeat | None:
    found: Heartbeat | None = getattr(instance, "auto_stop_heartbeat", None)
    return found


def watch_of(instance: Instance) -> UtilisationWatch | None:
    found: UtilisationWatch | None = getattr(instance.machine, "utilisation_watch", None)
    return found


def _with_threshold(policy: PolicyValue, instance: Instance) -> Rules:
    threshold = instance.auto_stop_threshold or policy.rules.threshold
    if threshold < timedelta(0):
        raise ValueError(f"its threshold is {threshold}")
    return replace(policy.rules, threshold=threshold)


def _scheduled_stop(instance: Instance, policy: PolicyValue, scene: Scene) -> datetime | None:
    """When its working hours stop it. What ends while it is kept does not: then those of the moment the keep ends count.

    A time that passed before it was wanted, or before the policy said so, stops nothing.
    """
    stops = scene.policies.stops.get(policy.name)
    if stops is None or policy.schedule is None:
        return None
    if instance.keep_until is not None and instance.keep_until > scene.now:
        stops = stop_times(policy.schedule, instance.keep_until)
    return stops.due_at(max((at for at in (instance.wanted_at, policy.changed_at) if at is not None), default=None))


def _usage(instance: Instance, scene: Scene, rules: Rules, floor: datetime | None) -> Usage | None:
    """What the metrics of this run say; what was read in this pass counts as read now. None where nobody asked yet."""
    machine_id = instance.machine_id or 0
    watch, known = watch_of(instance), evaluation_of(instance)
    read_error = scene.read_now.get(machine_id)
    samples = scene.samples.get(machine_id, ())
    if watch is None and read_error is None and not samples:
        return None
    stored_at, stored_error = (watch.read_at, watch.error) if watch else (None, "")
    return usage_of(
        samples,
        rules=rules,
        floor=floor,
        now=scene.now,
        read_at=stored_at if read_error is None else scene.now,
        gpu_active_at=known.gpu_active_at if known else None,
        cpu_active_at=known.cpu_active_at if known else None,
        error=stored_error if read_error is None else read_error,
    )


def _startup_deadline(instance: Instance, policies: Policies) -> datetime | None:
    """When its stage of starting up is overdue; without a stage, counted from the run's begin."""
    since = instance.boot_stage_since
    if since is None or not instance.boot_stage:
        since = instance.machine.running_since if instance.machine else None
    if since is None:
        return None
    return since + (policies.pull_timeout if instance.boot_stage == "pulling" else policies.startup_timeout)


def samples_from(instances: Iterable[Instance], policies: Policies, now: datetime) -> datetime:
    """How far back samples are needed: the longest threshold that holds, and a little more, so that none ends unseen."""
    longest = max((one.rules.threshold for one in policies.all()), default=SHORTEST_WINDOW)
    own = max((one.auto_stop_threshold for one in instances if one.auto_stop_threshold is not None), default=longest)
    return now - max(longest, own, SHORTEST_WINDOW) - 2 * policies.interval - timedelta(minutes=5)


def start_facts_of(instance: Instance, scene: Scene, *, open_verb: str) -> StartFacts:
    """What decides whether working hours start it. Where no schedule starts anything its time is None."""
    policy = policy_for(instance, scene.policies)
    mode, _ = mode_of(policy, instance.auto_stop_mode, canary=instance.pk in scene.canaries)
    by_rule = (instance.wanted_by_kind, instance.wanted_by_name) == (AUTO_STOP.kind, AUTO_STOP.name)
    # A stop leaves no failure: the wish of this rule that ended with one was a start.
    failed_at = instance.wanted_at if by_rule and instance.failure else None
    start_at = None
    if policy.schedule is not None and policy.schedule.start is not None and instance.wanted_at is not None:
        stopped_since = None if failed_at else instance.wanted_at
        start_at = start_due_at(policy.schedule, stopped_since=stopped_since, now=scene.now)
    return StartFacts(
        now=scene.now,
        managed=instance.managed,
        mode=mode,
        protected=instance.protected,
        observed=instance.observed,
        wanted=instance.wanted,
        stopped_by_rule=by_rule,
        open_verb=open_verb,
        start_at=start_at,
        failed_at=failed_at,
        hold=scene.standing.hold,
    )
