"""Shapes of what one instance tells of itself, of a rehearsed placement and of regions, for the OpenAPI description."""

from rest_framework import serializers

from instances.api.fields import AnyObject
from instances.api.shapes import ActorShape, EndpointShape, EventShape, JobShape, NextActionShape
from instances.lifecycle import Phase, Wanted
from instances.models.instance import BillingMode


class SshShape(serializers.Serializer[None]):
    command = serializers.CharField(allow_null=True)
    password = serializers.CharField(allow_null=True)


class JupyterShape(serializers.Serializer[None]):
    url = serializers.CharField(allow_null=True)


class WebTerminalShape(serializers.Serializer[None]):
    url = serializers.CharField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    password = serializers.CharField(allow_null=True)


class EnvironmentVariableShape(serializers.Serializer[None]):
    key = serializers.CharField()
    value = serializers.CharField(allow_null=True)


class ConnectionShape(serializers.Serializer[None]):
    endpoints = EndpointShape(many=True)
    ssh = SshShape(allow_null=True)
    jupyter = JupyterShape(allow_null=True)
    web_terminal = WebTerminalShape(allow_null=True)
    envs = EnvironmentVariableShape(many=True)
    secrets_shown = serializers.BooleanField()
    read_at = serializers.DateTimeField(allow_null=True)


class PointShape(serializers.Serializer[None]):
    at = serializers.DateTimeField()
    value = serializers.FloatField(allow_null=True)


class MetricsShape(serializers.Serializer[None]):
    instance_id = serializers.UUIDField()
    minutes = serializers.IntegerField()
    gpu_percent = PointShape(many=True)
    gpu_memory_percent = PointShape(many=True)
    cpu_percent = PointShape(many=True)
    memory_percent = PointShape(many=True)
    disk_percent = PointShape(many=True)
    gpus = serializers.DictField(child=PointShape(many=True))
    read_at = serializers.DateTimeField()


class LogShape(serializers.Serializer[None]):
    instance_id = serializers.UUIDField()
    source = serializers.ChoiceField(choices=["instance", "system"])  # type: ignore[assignment]  # named like an option
    text = serializers.CharField()
    complete = serializers.BooleanField()
    read_at = serializers.DateTimeField()


class WishShape(serializers.Serializer[None]):
    wanted = serializers.ChoiceField(choices=Wanted.values)
    wanted_at = serializers.DateTimeField(allow_null=True)
    by = ActorShape()
    reason = serializers.CharField()
    met_at = serializers.DateTimeField(
        allow_null=True, help_text="When Novita showed it so, or when it was adopted; null while it is pursued."
    )


class ObservedShape(serializers.Serializer[None]):
    novita_id = serializers.CharField(allow_null=True)
    provider_status = serializers.CharField(allow_null=True)
    provider_error = serializers.CharField(allow_null=True)
    status_since = serializers.DateTimeField(allow_null=True)
    observed_at = serializers.DateTimeField(allow_null=True)
    missing_since = serializers.DateTimeField(allow_null=True)
    unverified_since = serializers.DateTimeField(allow_null=True)
    not_found_at = serializers.DateTimeField(allow_null=True)
    spot_status = serializers.CharField(allow_null=True)
    reclaim_at = serializers.DateTimeField(allow_null=True)
    billed_since = serializers.DateTimeField(allow_null=True)


class NextActionsShape(serializers.Serializer[None]):
    job = NextActionShape(allow_null=True)
    auto_stop = NextActionShape(allow_null=True)
    sync = NextActionShape(allow_null=True)


class DeadlineShape(serializers.Serializer[None]):
    at = serializers.DateTimeField()
    by = serializers.CharField()


class KeptShape(serializers.Serializer[None]):
    until = serializers.DateTimeField()
    reason = serializers.CharField()
    by = serializers.CharField()


class TurnShape(serializers.Serializer[None]):
    at = serializers.DateTimeField()
    local = serializers.CharField()
    turn = serializers.CharField()


class EvaluationShape(serializers.Serializer[None]):
    action = serializers.CharField()
    code = serializers.CharField()
    hold = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
    nearest_miss = serializers.CharField(allow_null=True)
    evidence = AnyObject()
    policy = serializers.CharField()
    idle_since = serializers.DateTimeField(allow_null=True)
    idle_stop = DeadlineShape(allow_null=True)
    hard_stop = DeadlineShape(allow_null=True)
    warned_of = serializers.DateTimeField(allow_null=True)
    kept = KeptShape(allow_null=True)
    decided_at = serializers.DateTimeField()
    same_since = serializers.DateTimeField(allow_null=True)
    next_at = serializers.DateTimeField(allow_null=True)
    next_runs = TurnShape(many=True)


class HeldByShape(serializers.Serializer[None]):
    code = serializers.CharField()
    detail = serializers.CharField()


class OpenAlarmShape(serializers.Serializer[None]):
    kind = serializers.CharField()
    text = serializers.CharField()
    remedy = serializers.CharField()


class ExplanationShape(serializers.Serializer[None]):
    instance_id = serializers.UUIDField()
    name = serializers.CharField()
    phase = serializers.ChoiceField(choices=Phase.values)
    phase_reason = serializers.CharField()
    phase_since = serializers.DateTimeField(allow_null=True)
    wish = WishShape(allow_null=True)
    observed = ObservedShape(allow_null=True)
    open_job = JobShape(allow_null=True)
    next_action = NextActionShape(allow_null=True)
    next_actions = NextActionsShape()
    auto_stop = EvaluationShape(allow_null=True)
    held_by = HeldByShape(many=True)
    alarms = OpenAlarmShape(many=True)
    recent_events = EventShape(many=True)
    would_change = serializers.ListField(child=serializers.CharField())


class CandidateShape(serializers.Serializer[None]):
    rank = serializers.IntegerField()
    product_id = serializers.CharField()
    product_name = serializers.CharField()
    region = serializers.CharField()
    billing_mode = serializers.ChoiceField(choices=BillingMode.values)
    price_usd_per_hour = serializers.CharField()
    inventory = serializers.CharField()


class RefusedOfferShape(serializers.Serializer[None]):
    product_id = serializers.CharField()
    product_name = serializers.CharField()
    region = serializers.CharField()
    billing_mode = serializers.ChoiceField(choices=BillingMode.values)
    price_usd_per_hour = serializers.CharField(allow_null=True)
    inventory = serializers.CharField()
    code = serializers.CharField()
    reason = serializers.CharField()


class PlacementShape(serializers.Serializer[None]):
    candidates = CandidateShape(many=True)
    refused = RefusedOfferShape(many=True)


class ClusterShape(serializers.Serializer[None]):
    id = serializers.CharField()
    name = serializers.CharField()
    network_storage = serializers.BooleanField()
    refreshed_at = serializers.DateTimeField(
        allow_null=True, help_text="When the products of this cluster were last read; null before the first time."
    )


class RegionShape(serializers.Serializer[None]):
    region = serializers.CharField()
    clusters = ClusterShape(many=True)
