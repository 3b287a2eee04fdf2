"""What Novita offers, as last read. Written by `catalogue` alone."""

from django.db import models

from instances.encryption import EncryptedJSONField


class Cluster(models.Model):
    id = models.CharField(max_length=255, primary_key=True)
    name = models.CharField(max_length=255)
    region = models.CharField(max_length=255)  # the name up to its first space
    supports_network_storage = models.BooleanField(default=False)
    refreshed_at = models.DateTimeField()

    class Meta:
        ordering = ["region", "id"]

    def __str__(self) -> str:
        return self.name


class Offer(models.Model):
    """A product in a cluster, for one GPU. Prices are USD per GPU-hour; a null price is not sold that way."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="offers")
    product_id = models.CharField(max_length=255)
    product_name = models.CharField(max_length=255)
    cpu_per_gpu = models.PositiveIntegerField(default=0)
    memory_gb_per_gpu = models.PositiveIntegerField(default=0)
    min_rootfs_gb = models.PositiveIntegerField(default=0)
    max_rootfs_gb = models.PositiveIntegerField(default=0)
    on_demand_usd_per_gpu_hour = models.DecimalField(max_digits=12, decimal_places=5, null=True, blank=True)
    spot_usd_per_gpu_hour = models.DecimalField(max_digits=12, decimal_places=5, null=True, blank=True)
    available = models.BooleanField(default=False)
    inventory = models.CharField(max_length=20, blank=True)
    refreshed_at = models.DateTimeField()

    class Meta:
        ordering = ["product_name", "product_id", "cluster_id"]
        constraints = [models.UniqueConstraint(fields=["cluster", "product_id"], name="offer_once_per_cluster")]

    def __str__(self) -> str:
        return f"{self.product_name} in {self.cluster_id}"


class Template(models.Model):
    id = models.CharField(max_length=64, primary_key=True)
    name = models.CharField(max_length=255)
    channel = models.CharField(max_length=20, blank=True)
    readme = models.TextField(blank=True)
    image_url = models.CharField(max_length=500)
    registry_auth_id = models.CharField(max_length=64, blank=True)
    command = models.CharField(max_length=2047, blank=True)
    entrypoint = models.CharField(max_length=2047, blank=True)
    rootfs_size_gb = models.PositiveIntegerField(default=0)
    ports = models.JSONField(default=list, blank=True)  # [{"port", "type"}]
    tools = models.JSONField(default=list, blank=True)  # [{"name", "port", "type"}]
    envs = EncryptedJSONField(blank=True, default="")  # [{"key", "value"}]
    min_cuda_version = models.CharField(max_length=20, blank=True)
    listed = models.BooleanField(default=True)  # False: read by id only, a community template
    refreshed_at = models.DateTimeField()

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class NetworkStorage(models.Model):
    id = models.CharField(max_length=64, primary_key=True)
    name = models.CharField(max_length=255, blank=True)
    cluster_id = models.CharField(max_length=255)
    size_gb = models.PositiveIntegerField(default=0)
    refreshed_at = models.DateTimeField()

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name or self.id
