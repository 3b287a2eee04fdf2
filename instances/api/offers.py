"""What Novita offers, as last read: products, regions, templates."""

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from instances.api.detail_shapes import RegionShape
from instances.api.filters import OfferFilter, TemplateFilter
from instances.api.representations import money
from instances.api.times import rfc3339
from instances.api.viewsets import ApiViewSet
from instances.catalogue import NEVER
from instances.models import Cluster, Offer, Template


class OfferShape(serializers.Serializer[None]):
    product_id = serializers.CharField()
    product_name = serializers.CharField()
    region = serializers.CharField()
    cluster_id = serializers.CharField()
    cpu_per_gpu = serializers.IntegerField()
    memory_gb_per_gpu = serializers.IntegerField()
    min_rootfs_gb = serializers.IntegerField()
    max_rootfs_gb = serializers.IntegerField()
    on_demand_usd_per_gpu_hour = serializers.CharField(allow_null=True)
    spot_usd_per_gpu_hour = serializers.CharField(allow_null=True)
    available = serializers.BooleanField()
    inventory = serializers.CharField()
    refreshed_at = serializers.DateTimeField()


class ExposedPortShape(serializers.Serializer[None]):
    port = serializers.IntegerField()
    type = serializers.CharField()


class ToolShape(ExposedPortShape):
    name = serializers.CharField()


class TemplateShape(serializers.Serializer[None]):
    id = serializers.CharField()
    name = serializers.CharField()
    channel = serializers.CharField()
    image_url = serializers.CharField()
    rootfs_size_gb = serializers.IntegerField()
    ports = ExposedPortShape(many=True)
    tools = ToolShape(many=True)
    env_keys = serializers.ListField(child=serializers.CharField())
    command = serializers.CharField()
    entrypoint = serializers.CharField()
    min_cuda_version = serializers.CharField()
    refreshed_at = serializers.DateTimeField()


class TemplateDetailShape(TemplateShape):
    readme = serializers.CharField()


class ProductViewSet(ApiViewSet):
    queryset = Offer.objects.select_related("cluster")
    serializer_class = OfferShape
    filterset_class = OfferFilter
    scopes = {"list": "read"}

    def list(self, request: Request) -> Response:
        return self.listed(self.filter_queryset(self.get_queryset()), _offer_json)


@extend_schema_view(list=extend_schema(responses=RegionShape(many=True)))
class RegionViewSet(ApiViewSet):
    queryset = Cluster.objects.all()
    serializer_class = RegionShape
    filter_backends = []
    scopes = {"list": "read"}

    def list(self, request: Request) -> Response:
        regions: dict[str, list[dict[str, Any]]] = {}
        for cluster in Cluster.objects.all():
            regions.setdefault(cluster.region, []).append(_cluster_json(cluster))
        rows = [{"region": region, "clusters": clusters} for region, clusters in regions.items()]
        return self.listed(rows, lambda row: row)


class TemplateViewSet(ApiViewSet):
    queryset = Template.objects.all()
    serializer_class = TemplateShape
    filterset_class = TemplateFilter
    lookup_field = "id"
    lookup_value_regex = "[^/]+"
    scopes = {"list": "read", "retrieve": "read"}

    def list(self, request: Request) -> Response:
        return self.listed(self.filter_queryset(self.get_queryset()), _template_json)

    @extend_schema(responses=TemplateDetailShape)
    def retrieve(self, request: Request, id: str) -> Response:  # noqa: A002 - the name of the address's part
        template = Template.objects.filter(pk=id).first() if "\0" not in id else None
        if template is None:
            raise Http404("there is no such template here")
        return Response({**_template_json(template), "readme": template.readme})


def _cluster_json(cluster: Cluster) -> dict[str, Any]:
    return {
        "id": cluster.id,
        "name": cluster.name,
        "network_storage": cluster.supports_network_storage,
        "refreshed_at": None if cluster.refreshed_at == NEVER else rfc3339(cluster.refreshed_at),
    }


def _offer_json(offer: Offer) -> dict[str, Any]:
    return {
        "product_id": offer.product_id,
        "product_name": offer.product_name,
        "region": offer.cluster.region,
        "cluster_id": offer.cluster_id,
        "cpu_per_gpu": offer.cpu_per_gpu,
        "memory_gb_per_gpu": offer.memory_gb_per_gpu,
        "min_rootfs_gb": offer.min_rootfs_gb,
        "max_rootfs_gb": offer.max_rootfs_gb,
        "on_demand_usd_per_gpu_hour": money(offer.on_demand_usd_per_gpu_hour),
        "spot_usd_per_gpu_hour": money(offer.spot_usd_per_gpu_hour),
        "available": offer.available,
        "inventory": offer.inventory,
        "refreshed_at": rfc3339(offer.refreshed_at),
    }


def _template_json(template: Template) -> dict[str, Any]:
    return {
        "id": template.id,
        "name": template.name,
        "channel": template.channel,
        "image_url": template.image_url,
        "rootfs_size_gb": template.rootfs_size_gb,
        "ports": template.ports,
        "tools": template.tools,
        "env_keys": [one["key"] for one in template.envs or []],
        "command": template.command,
        "entrypoint": template.entrypoint,
        "min_cuda_version": template.min_cuda_version,
        "refreshed_at": rfc3339(template.refreshed_at),
    }
