"""The answers' shapes for the OpenAPI description; the values are made in `representations`."""

from rest_framework import serializers

from instances.api.fields import AnyObject, Labels
from instances.lifecycle import HealthState, JobState, Phase, Verb, Wanted
from instances.models.instance import AfterReclaim, AutoStopMode, BillingMode, LocalData, OnNotice


class ActorShape(serializers.Serializer[None]):
    kind = serializers.ChoiceField(choices=["key", "user", "rule", "command", "system", "outside"])
    name = serializers.CharField()


class JobErrorShape(serializers.Serializer[None]):
    code = serializers.CharField()
    detail = serializers.CharField()


class JobShape(serializers.Serializer[None]):
    id = serializers.UUIDField()
    instance_id = serializers.UUIDField()
    verb = serializers.ChoiceField(choices=Verb.values)
    state = serializers.ChoiceField(choices=JobState.values)
    requested_by = ActorShape()
    reason = serializers.CharField()
    error = JobErrorShape(allow_null=True)
    attempts = serializers.IntegerField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    placement = AnyObject(allow_null=True)
    superseded_by = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class EndpointShape(serializers.Serializer[None]):
    port = serializers.IntegerField()
    type = serializers.CharField()
    url = serializers.CharField()


class HealthShape(serializers.Serializer[None]):
    state = serializers.ChoiceField(choices=HealthState.values)
    checked_at = serializers.DateTimeField(allow_null=True)
    detail = serializers.CharField()


class AutoStopShape(serializers.Serializer[None]):
    mode = serializers.ChoiceField(choices=AutoStopMode.values)
    threshold = serializers.CharField(allow_null=True)
    stop_at = serializers.DateTimeField(allow_null=True)
    policy = serializers.CharField(allow_null=True)
    keep_until = serializers.DateTimeField(allow_null=True)
    keep_reason = serializers.CharField(allow_null=True)


class NextActionShape(serializers.Serializer[None]):
    what = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)
    why = serializers.CharField()


class OnReclaimShape(serializers.Serializer[None]):
    on_notice = serializers.ChoiceField(choices=OnNotice.values)
    after = serializers.ChoiceField(choices=AfterReclaim.values)
    save_image = serializers.CharField(allow_blank=True)


class InstanceShape(serializers.Serializer[None]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    novita_id = serializers.CharField(allow_null=True)
    managed = serializers.BooleanField()
    phase = serializers.ChoiceField(choices=Phase.values)
    phase_reason = serializers.CharField()
    phase_since = serializers.DateTimeField(allow_null=True)
    wanted = serializers.ChoiceField(choices=Wanted.values, allow_null=True)
    provider_status = serializers.CharField(allow_null=True)
    provider_error = serializers.CharField(allow_null=True)
    region = serializers.CharField(allow_null=True)
    cluster_id = serializers.CharField(allow_null=True)
    product_id = serializers.CharField(allow_null=True)
    product_name = serializers.CharField(allow_null=True)
    gpu_num = serializers.IntegerField()
    billing_mode = serializers.ChoiceField(choices=BillingMode.values)
    price_usd_per_hour = serializers.CharField(allow_null=True)
    cost_usd_so_far = serializers.CharField()
    spot_status = serializers.CharField(allow_null=True)
    reclaim_at = serializers.DateTimeField(allow_null=True)
    endpoints = EndpointShape(many=True)
    health = HealthShape()
    auto_stop = AutoStopShape()
    next_action = NextActionShape(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    data_purged_at = serializers.DateTimeField(allow_null=True)
    disk_usd_per_day = serializers.CharField(allow_null=True, help_text="What its disks cost beside the GPUs, as it is now")
    unverified_since = serializers.DateTimeField(
        allow_null=True, help_text="Since when Novita's lists lack it without being believed"
    )
    labels = Labels()
    owner = serializers.CharField(allow_null=True)
    protected = serializers.BooleanField()
    local_data = serializers.ChoiceField(choices=LocalData.values)
    on_reclaim = OnReclaimShape()
    template_id = serializers.CharField(allow_null=True)
    image_url = serializers.CharField(allow_null=True)
    open_job = JobShape(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ready_at = serializers.DateTimeField(allow_null=True)
    stopped_at = serializers.DateTimeField(allow_null=True)
    observed_at = serializers.DateTimeField(allow_null=True)


class AdoptedShape(InstanceShape):
    dry_run = serializers.BooleanField()
    automation = serializers.ListField(
        child=serializers.CharField(), help_text="What rules may do with it from now on, a sentence each"
    )


class InstanceWithSecretShape(InstanceShape):
    webhook_secret = serializers.CharField(
        required=False, help_text="Signs what goes to its webhook_url; shown once, where no WEBHOOK_SECRET does"
    )


class EventShape(serializers.Serializer[None]):
    id = serializers.IntegerField()
    type = serializers.CharField()
    at = serializers.DateTimeField()
    instance_id = serializers.UUIDField(allow_null=True)
    job_id = serializers.UUIDField(allow_null=True)
    actor = ActorShape()
    request_id = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
    before = AnyObject()
    after = AnyObject()


class AcknowledgedShape(serializers.Serializer[None]):
    by = serializers.CharField()
    reason = serializers.CharField()
    until = serializers.DateTimeField(allow_null=True)


class AlarmShape(serializers.Serializer[None]):
    id = serializers.IntegerField()
    kind = serializers.CharField()
    subject = serializers.CharField()
    instance_id = serializers.UUIDField(allow_null=True)
    text = serializers.CharField()
    remedy = serializers.CharField()
    opened_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    acknowledged = AcknowledgedShape(allow_null=True)
    cleared_at = serializers.DateTimeField(allow_null=True)


class LastUsedShape(serializers.Serializer[None]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    last_used_at = serializers.DateTimeField()


class ActResultShape(serializers.Serializer[None]):
    ref = serializers.CharField()
    instance_id = serializers.UUIDField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    ok = serializers.BooleanField()
    code = serializers.CharField()
    detail = serializers.CharField()
    job_id = serializers.UUIDField(allow_null=True)
    proposed_name = serializers.CharField(required=False, help_text="Where adopting needs another name: one that is free")
    automation = serializers.ListField(child=serializers.CharField(), required=False, help_text="As adopting one answers it")


class ActResultsShape(serializers.Serializer[None]):
    dry_run = serializers.BooleanField()
    results = ActResultShape(many=True)


class AutomationShape(serializers.Serializer[None]):
    paused_until = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField()
