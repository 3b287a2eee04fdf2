"""Shapes of what a sync answers, for the OpenAPI description."""

from rest_framework import serializers


class ChangeShape(serializers.Serializer[None]):
    kind = serializers.CharField()
    novita_id = serializers.CharField(allow_null=True)
    instance_id = serializers.CharField(allow_null=True)
    reason = serializers.CharField()


class SyncResultShape(serializers.Serializer[None]):
    id = serializers.IntegerField(allow_null=True)
    dry_run = serializers.BooleanField()
    complete = serializers.BooleanField()
    problem = serializers.CharField()
    pages = serializers.IntegerField()
    seen = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField())
    changes = ChangeShape(many=True)
