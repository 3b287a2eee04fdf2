"""Shapes of what auto-stop answers, for the OpenAPI description."""

from rest_framework import serializers

from autostop.results import Outcome
from instances.api.fields import AnyObject


class ItemShape(serializers.Serializer[None]):
    instance_id = serializers.UUIDField()
    name = serializers.CharField()
    novita_id = serializers.CharField(allow_null=True)
    phase = serializers.CharField()
    mode = serializers.CharField()
    outcome = serializers.ChoiceField(choices=[str(one) for one in Outcome])
    action = serializers.CharField()
    code = serializers.CharField()
    hold = serializers.CharField()
    reason = serializers.CharField()
    evidence = AnyObject()
    idle_since = serializers.DateTimeField(allow_null=True)
    idle_for_seconds = serializers.IntegerField(allow_null=True)
    next_at = serializers.DateTimeField(allow_null=True)
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
    stopped = serializers.IntegerField()
    would_stop = serializers.IntegerField()
    waiting = serializers.IntegerField()
    not_judged = serializers.IntegerField()


class StatsShape(serializers.Serializer[None]):
    hold = serializers.CharField()
    hold_reason = serializers.CharField()
    next_pass_at = serializers.DateTimeField(allow_null=True)
    last_pass = PassRunShape(allow_null=True)
    instances_by_mode = serializers.DictField(child=serializers.IntegerField())
    decisions_by_code = serializers.DictField(child=serializers.IntegerField())
    stops = StopsShape()


class PolicyShape(serializers.Serializer[None]):
    name = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field may be named like an option of fields
    mode = serializers.CharField()
    threshold = serializers.CharField()
    gpu_percent = serializers.FloatField()
    cpu_cores = serializers.FloatField()
    startup_timeout = serializers.CharField()
    pull_timeout = serializers.CharField()
    interval = serializers.CharField()
    fewest_acts_per_pass = serializers.IntegerField()
    share_of_running_per_pass = serializers.FloatField()


class PoliciesShape(serializers.Serializer[None]):
    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = PolicyShape(many=True)
