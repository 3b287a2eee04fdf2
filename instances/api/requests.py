"""Bodies of requests, with the limits of Novita and of our own columns."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from rest_framework import serializers

from instances.api.fields import Choice, Duration, Flag, Labels, Moment, Money, Strict, Text, WholeNumber
from instances.api.receivers import InstanceReceiver
from instances.correlation import ENVIRONMENT_NAME
from instances.lifecycle import Phase
from instances.models.instance import AfterReclaim, AutoStopMode, BillingMode, LocalData, OnNotice, OnStartupTimeout
from instances.naming import ID_SHAPE, LONGEST_NAME, RESERVED_NAMES

LARGEST_BULK = 500
_LONGEST_WAIT = timedelta(days=30)
_IMAGE_SHAPE = r"[^\s/]+(/[^\s/]+)+"
_MOST_PORTS_AND_TOOLS = 15
_PORTS_NOVITA_KEEPS = range(2222, 2225)


class NameField(Text):
    """1 to 100 letters, digits, `-`, `_` and `.`; nothing that could be taken for an id."""

    default_error_messages = {"like_an_id": "a name must not look like an id", "reserved": "this name is kept for the API"}

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_length=LONGEST_NAME,
            pattern=r"[A-Za-z0-9._-]+",
            hint="only letters, digits, -, _ and . are possible",
            **options,
        )

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if ID_SHAPE.fullmatch(name):
            self.fail("like_an_id")
        if name.lower() in RESERVED_NAMES:
            self.fail("reserved")
        return name


class PortField(WholeNumber):
    default_error_messages = {"kept": "Novita keeps the ports 2222 to 2224 for itself"}

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=1, max_value=65535, **options)

    def to_internal_value(self, data: Any) -> int:
        port = super().to_internal_value(data)
        if port in _PORTS_NOVITA_KEEPS:
            self.fail("kept")
        return port


class Port(Strict):
    port = PortField()
    type = Choice(choices=["http", "tcp"])


class Tool(Strict):
    name = Text(max_length=255)
    port = PortField()
    type = Choice(choices=["http", "tcp"], default="http")


class EnvironmentVariable(Strict):
    key = Text(max_length=511, pattern=r"[^=\s]+", hint="a name without spaces and = is needed")
    value = Text(max_length=4095, allow_blank=True, lines=True)

    def validate_key(self, key: str) -> str:
        if key == ENVIRONMENT_NAME:
            raise serializers.ValidationError("this name is kept for our own use", "reserved")
        return key


class NetworkStorageMount(Strict):
    id = Text(max_length=64)
    mount_path = Text(max_length=4095, pattern=r"/.*", hint="an absolute path is needed", default="/network")


class HttpCheck(Strict):
    port = PortField()
    path = Text(max_length=2000, pattern=r"/[^\s]*", hint="a path that begins with / is needed", default="/")
    status = WholeNumber(min_value=100, max_value=599, default=200)


class TcpCheck(Strict):
    port = PortField()


class HealthCheck(Strict):
    """Either, both, or neither for any exposed port."""

    http = HttpCheck(required=False)
    tcp = TcpCheck(required=False)


class OnReclaim(Strict):
    """What is done when Novita takes a spot instance back; what is left out has its default.

    `after`: `auto` starts it in place, then moves or replaces what is disposable; `off` asks a person. `save_image` is
    pushed when Novita announces it, as registry/repository:tag; "" saves none.
    """

    on_notice = Choice(choices=OnNotice.values, required=False)
    after = Choice(choices=AfterReclaim.values, required=False)
    save_image = Text(
        max_length=500, pattern=_IMAGE_SHAPE, hint="write it as registry/repository:tag", required=False, allow_blank=True
    )


class AutoStop(Strict):
    mode = Choice(choices=AutoStopMode.values, required=False)
    threshold = Duration(least=timedelta(seconds=1), most=_LONGEST_WAIT, required=False, allow_null=True)
    stop_at = Moment(future=True, required=False, allow_null=True)
    policy = Text(max_length=100, required=False, allow_null=True)

    def validate_policy(self, name: str | None) -> str:
        """Policies belong to the room above, which settings name by path."""
        if name and not import_string(settings.AUTO_STOP_POLICY_EXISTS)(name):
            raise serializers.ValidationError(f"there is no policy named {name!r}", "unknown_policy")
        return name or ""


def _several(child: Strict, *, most: int) -> serializers.ListSerializer[Any]:
    return serializers.ListSerializer(child=child, max_length=most, required=False)


def _refuse_repeats(items: Sequence[dict[str, Any]], name: str) -> None:
    seen: set[Any] = set()
    for item in items:
        if item[name] in seen:
            raise serializers.ValidationError(f"{item[name]} is named twice", "repeated")
        seen.add(item[name])


class Settings(Strict):
    """What can be given at creation and changed at any time."""

    auto_stop = AutoStop(required=False)
    health_check = HealthCheck(required=False, allow_null=True)
    webhook_url = InstanceReceiver(required=False, allow_blank=True)
    labels = Labels(required=False)
    owner = Text(max_length=255, required=False)
    protected = Flag(required=False)
    local_data = Choice(choices=LocalData.values, required=False)
    on_startup_timeout = Choice(choices=OnStartupTimeout.values, required=False)
    on_reclaim = OnReclaim(required=False)
    fallback_to_on_demand = Flag(required=False)
    max_price_usd_per_hour = Money(required=False, allow_null=True)


class Ports(Strict):
    ports = _several(Port(), most=_MOST_PORTS_AND_TOOLS)

    def validate_ports(self, ports: list[dict[str, Any]]) -> list[dict[str, Any]]:
        _refuse_repeats(ports, "port")
        return ports


class Create(Settings, Ports):
    name = NameField()
    product_name = Text(max_length=255, required=False)
    product_id = Text(max_length=255, required=False)
    template_id = Text(max_length=64, required=False)
    image_url = Text(max_length=500, pattern=r"\S+", hint="an image has no spaces", required=False)
    envs = _several(EnvironmentVariable(), most=100)
    command = Text(max_length=2047, allow_blank=True, lines=True, required=False)
    entrypoint = Text(max_length=2047, allow_blank=True, lines=True, required=False)
    registry_auth_id = Text(max_length=64, allow_blank=True, required=False)
    tools = _several(Tool(), most=_MOST_PORTS_AND_TOOLS)
    min_cuda_version = Text(max_length=20, pattern=r"\d{1,2}(\.\d{1,2})?", hint="write it as 12.4", required=False)
    gpu_num = WholeNumber(min_value=1, max_value=8, default=1)
    rootfs_size_gb = WholeNumber(min_value=10, max_value=6144, required=False)
    region = Text(max_length=255, required=False)
    regions = serializers.ListField(child=Text(max_length=255), min_length=1, max_length=50, required=False)
    billing_mode = Choice(choices=BillingMode.values, default=BillingMode.SPOT.value)
    network_storages = _several(NetworkStorageMount(), most=30)
    wait_for_capacity = Duration(most=_LONGEST_WAIT, default=timedelta(0))

    def validate_envs(self, envs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        _refuse_repeats(envs, "key")
        return envs

    def validate_network_storages(self, storages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        _refuse_repeats(storages, "id")
        _refuse_repeats(storages, "mount_path")
        return storages

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        errors: dict[str, Any] = {}
        for one, other in (("product_name", "product_id"), ("image_url", "template_id")):
            if (one in attrs) == (other in attrs):
                code, word = ("exclusive", "not both") if one in attrs else ("required", "one of them is needed")
                errors[one] = [serializers.ErrorDetail(f"write {one} or {other}: {word}", code)]
        if "region" in attrs and "regions" in attrs:
            errors["region"] = [serializers.ErrorDetail("write region or regions: not both", "exclusive")]
        if errors:
            raise serializers.ValidationError(errors)
        return attrs


def refuse_port_conflicts(
    ports: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]], health_check: dict[str, Any] | None
) -> None:
    """What ports, tools and health checks must hold together, a template's among them. Raises ValidationError."""
    if len(ports) + len(tools) > _MOST_PORTS_AND_TOOLS:
        raise serializers.ValidationError(
            {"ports": [f"Novita takes at most {_MOST_PORTS_AND_TOOLS} ports and tools together"]}, "max_length"
        )
    exposed = [one["port"] for one in (*ports, *tools)]
    if len(set(exposed)) != len(exposed):
        raise serializers.ValidationError({"tools": ["a tool and a port, or two tools, share a number"]}, "repeated")
    for kind, check in (health_check or {}).items():
        if check and check["port"] not in exposed:
            raise serializers.ValidationError(
                {"health_check": {kind: {"port": [f"port {check['port']} is not among the exposed ports"]}}}, "not_exposed"
            )


class Patch(Settings, Ports):
    name = NameField(required=False)
    expand_rootfs_gb = WholeNumber(min_value=1, max_value=6144, required=False)
    reason = Text(max_length=500, allow_blank=True, required=False)


class Act(Strict):
    reason = Text(max_length=500, allow_blank=True, default="")


class Adopt(Act, Settings):
    name = NameField(required=False)
    dry_run = Flag(default=False)


class SaveImage(Act):
    image = Text(max_length=500, pattern=_IMAGE_SHAPE, hint="write it as registry/repository:tag")
    registry_auth_id = Text(max_length=64, allow_blank=True, default="")


class LastUsed(Strict):
    last_used_at = Moment(required=False)


class Selection(Strict):
    """Which instances, by the names of the list's own filters."""

    phase = serializers.ListField(child=Choice(choices=Phase.values), max_length=20, required=False)
    region = Text(max_length=255, required=False)
    product_name = Text(max_length=255, required=False)
    billing_mode = Choice(choices=BillingMode.values, required=False)
    owner = Text(max_length=255, required=False)
    labels = Labels(required=False)


class StopAll(Act):
    dry_run = Flag(default=False)
    filter = Selection(required=False)


class Bulk(Act):
    """`settings`, `names` (by ref) and `take_proposed_names` go with adopt: other names than those they have at Novita."""

    action = Choice(choices=["start", "stop", "restart", "migrate", "delete", "adopt"])
    refs = serializers.ListField(child=Text(max_length=255), min_length=1, max_length=LARGEST_BULK, required=False)
    filter = Selection(required=False)
    settings = Settings(required=False)
    names = serializers.DictField(child=NameField(), required=False)
    take_proposed_names = Flag(required=False)
    dry_run = Flag(default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for name in ("settings", "names", "take_proposed_names"):
            if name in attrs and attrs["action"] != "adopt":
                raise serializers.ValidationError({name: ["it goes with adopt alone"]}, "invalid")
        if ("refs" in attrs) == ("filter" in attrs):
            raise serializers.ValidationError({"refs": ["write refs or filter, one of them"]}, "exclusive")
        return attrs


class Acknowledge(Strict):
    reason = Text(max_length=500)
    until = Moment(future=True, required=False, allow_null=True)


class Pause(Strict):
    paused_until = Moment(future=True, allow_null=True)
    reason = Text(max_length=500, allow_blank=True, default="")
