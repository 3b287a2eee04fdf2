"""Shapes of what auto-stop answers, for the OpenAPI description."""

from rest_framework import serializers

from autostop.models import PolicyMode
from autostop.results import Outcome
from autostop.schedule import MODES
from instances.api.detail_shapes import TurnShape
from instances.api.fields import AnyObject, Labels


class ItemShape(serializers.Serializer[None]):
    instance_id = serializers.UUIDField()
    name = serializers.CharField()
    novita_id = serializers.CharField(allow_null=True)
    phase = serializers.CharField()
    mode = serializers.CharField()
    policy = serializers.CharField()
    outcome = serializers.ChoiceField(choices=[str(one) for one in Outcome])
    action = serializers.CharField()
    code = serializers.CharField()
    hold = serializers.CharField()
    reason = serializers.CharField()
    nearest_miss = serializers.CharField()
    evidence = AnyObject()
    idle_since = serializers.DateTimeField(allow_null=True)
    idle_for_seconds = serializers.IntegerField(allow_null=True)
    next_at = serializers.DateTimeField(allow_null=True)
    idle_stop_at = serializers.DateTimeField(allow_null=True)
    hard_stop_at = serializers.DateTimeField(allow_null=True)
    job_id = serializers.UUIDField(allow_null=True)


class PassResultShape(serializers.Serializer[None]):
    run_id = serializers.IntegerField(allow_null=True)
    started_at = serializers.DateTimeField()
    duration_ms = serializers.IntegerField()
    dry_run = serializers.BooleanField()
    trigger = serializers.CharField()
    hold = serializers.CharField()
    hold_reason = serializers.CharField()
    act_limit = serializers.IntegerField()
    running = serializers.IntegerField()
    evaluated = serializers.IntegerField()
    metrics_read = serializers.IntegerField()
    kept = serializers.IntegerField()
    stopped = serializers.IntegerField()
    would_stop = serializers.IntegerField()
    waits = serializers.IntegerField()
    not_judged = serializers.IntegerField()
    warned = serializers.IntegerField()
    started = serializers.IntegerField()
    would_start = serializers.IntegerField()
    next_pass_at = serializers.DateTimeField(allow_null=True)
    summary = serializers.CharField()
    results = ItemShape(many=True)


class StopsShape(serializers.Serializer[None]):
    total = serializers.IntegerField()
    last_24h = serializers.IntegerField()


class PassRunShape(serializers.Serializer[None]):
    id = serializers.IntegerField()
    started_at = serializers.DateTimeField()
    duration_ms = serializers.IntegerField()
    trigger = serializers.CharField()
    hold = serializers.CharField()
    hold_reason = serializers.CharField()
    act_limit = serializers.IntegerField()
    running = serializers.IntegerField()
    evaluated = serializers.IntegerField()
    metrics_read = serializers.IntegerField()
    warned = serializers.IntegerField()
    started = serializers.IntegerField()
    stopped = serializers.IntegerField()
    would_stop = serializers.IntegerField()
    waiting = serializers.IntegerField()
    not_judged = serializers.IntegerField()


class SavedShape(serializers.Serializer[None]):
    days = serializers.IntegerField()
    stops = serializers.IntegerField()
    stops_counted = serializers.IntegerField()
    hours = serializers.CharField()
    usd = serializers.CharField()
    formula = serializers.CharField()
    most_hours_per_stop = serializers.IntegerField()


class StatsShape(serializers.Serializer[None]):
    hold = serializers.CharField()
    hold_reason = serializers.CharField()
    next_pass_at = serializers.DateTimeField(allow_null=True)
    last_pass = PassRunShape(allow_null=True)
    instances_by_mode = serializers.DictField(child=serializers.IntegerField())
    decisions_by_code = serializers.DictField(child=serializers.IntegerField())
    held_by_signal = serializers.DictField(child=serializers.IntegerField())
    stops = StopsShape()
    not_spent = SavedShape()


class ScheduleShape(serializers.Serializer[None]):
    mode = serializers.ChoiceField(choices=MODES)
    start = serializers.CharField(allow_null=True)
    stop = serializers.CharField(allow_null=True)
    days = serializers.ListField(child=serializers.CharField())


class PolicyShape(serializers.Serializer[None]):
    name = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field may be named like an option of fields
    description = serializers.CharField()
    rank = serializers.IntegerField(allow_null=True)
    labels = Labels()
    mode = serializers.ChoiceField(choices=PolicyMode.values)
    canary_count = serializers.IntegerField(allow_null=True)
    canary_percent = serializers.IntegerField(allow_null=True)
    threshold = serializers.CharField()
    gpu_percent = serializers.FloatField()
    cpu_cores = serializers.FloatField()
    coverage_percent = serializers.IntegerField()
    in_a_row = serializers.IntegerField()
    holds = serializers.DictField(child=serializers.CharField(allow_null=True))
    grace_after_start = serializers.CharField()
    grace_after_ready = serializers.CharField()
    max_age = serializers.CharField(allow_null=True)
    warning_lead = serializers.CharField()
    unknown_limit = serializers.CharField()
    time_zone = serializers.CharField()
    schedule = ScheduleShape(allow_null=True)
    next_runs = TurnShape(many=True)
    evaluated_at = serializers.DateTimeField(allow_null=True)


class PoliciesShape(serializers.Serializer[None]):
    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = PolicyShape(many=True)


class HeartbeatShape(serializers.Serializer[None]):
    issued = serializers.BooleanField()
    issued_at = serializers.DateTimeField(allow_null=True)
    issued_by = serializers.CharField(allow_null=True)
    beaten_at = serializers.DateTimeField(allow_null=True)
    active_at = serializers.DateTimeField(allow_null=True)
    gpu_percent = serializers.FloatField(allow_null=True)
    cpu_cores = serializers.FloatField(allow_null=True)


class IssuedHeartbeatShape(HeartbeatShape):
    url = serializers.CharField()
    snippet = serializers.CharField()
