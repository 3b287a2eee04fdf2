"""What Novita offers, to look at: the catalogue is read from Novita and written by nobody else."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from instances.admin.looking import LookOnlyAdmin
from instances.models import Cluster, NetworkStorage, Offer, Template
from instances.words import usd_per_hour


@admin.register(Cluster)
class ClusterAdmin(LookOnlyAdmin):
    list_display = ["name", "region", "supports_network_storage", "refreshed_at"]
    list_filter = ["region"]
    search_fields = ["name", "id"]


@admin.register(Offer)
class OfferAdmin(LookOnlyAdmin):
    list_display = ["product_name", "cluster", "available", "inventory", "spot", "on_demand", "refreshed_at"]
    list_filter = ["available", "inventory", "cluster"]
    list_select_related = ["cluster"]
    search_fields = ["product_name", "product_id", "cluster__name"]

    @admin.display(description="spot $/GPU-h", ordering="spot_usd_per_gpu_hour")
    def spot(self, offer: Offer) -> str:
        return usd_per_hour(offer.spot_usd_per_gpu_hour) or "-"

    @admin.display(description="on-demand $/GPU-h", ordering="on_demand_usd_per_gpu_hour")
    def on_demand(self, offer: Offer) -> str:
        return usd_per_hour(offer.on_demand_usd_per_gpu_hour) or "-"


@admin.register(Template)
class TemplateAdmin(LookOnlyAdmin):
    list_display = ["name", "id", "channel", "image_url", "listed", "refreshed_at"]
    list_filter = ["channel", "listed"]
    search_fields = ["name", "id", "image_url"]
    exclude = ["envs"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Template]:
        templates: QuerySet[Template] = super().get_queryset(request).defer("envs")
        return templates


@admin.register(NetworkStorage)
class NetworkStorageAdmin(LookOnlyAdmin):
    list_display = ["name", "id", "cluster_id", "size_gb", "refreshed_at"]
    list_filter = ["cluster_id"]
    search_fields = ["name", "id"]
