"""From the body of a create to what is asked for, answered at once from the catalogue where it is loaded."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.cache import cache
from rest_framework.exceptions import ErrorDetail, ValidationError

from instances import catalogue
from instances.api.problems import Problem
from instances.api.provider_reads import ask
from instances.api.requests import refuse_port_conflicts
from instances.models import Instance, Template
from instances.novita.errors import NovitaError
from instances.operations import Allowance, InstanceSpec, NameTaken, admit_create
from instances.placement import NO_CAPACITY, Candidate, Impossible, Placement, Refusal, as_dict, rank, verdict
from instances.provider import novita

CATALOGUE_RETRY_SECONDS = 5
_TEMPLATE_SECONDS = 8.0
_NO_SUCH_TEMPLATE_SECONDS = 60
_PLAIN = (
    "product_name",
    "product_id",
    "gpu_num",
    "billing_mode",
    "max_price_usd_per_hour",
    "fallback_to_on_demand",
    "template_id",
    "wait_for_capacity",
    "webhook_url",
    "labels",
    "owner",
    "protected",
    "local_data",
    "on_startup_timeout",
    "on_reclaim",
    "health_check",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked for; its placement and why it is impossible, both None while the catalogue is not loaded."""

    spec: InstanceSpec
    placement: Placement | None
    impossible: Impossible | None

    def refuse_if_impossible(self) -> None:
        """Raises what the request must be told now; a lack of capacity only where it does not want to wait."""
        if self.impossible is None or (self.impossible.code == NO_CAPACITY and self.spec.wait_for_capacity):
            return
        field = "" if self.impossible.code == NO_CAPACITY else self.impossible.field
        raise Problem(self.impossible.detail, code=self.impossible.code, status=self.impossible.status, field=field)

    def admitted(self, allowance: Allowance | None) -> InstanceSpec:
        """The spec as the caller's key may have it. Raises KeyLimit, and Problem while prices are not known."""
        if self.placement is None and allowance is not None and allowance.max_usd_per_hour is not None:
            raise Problem(
                "this key may spend so much per hour, and Novita's prices have not been read yet",
                code="catalogue_not_loaded",
                status=503,
                retry_after=CATALOGUE_RETRY_SECONDS,
            )
        candidates = self.placement.candidates if self.placement else ()
        return admit_create(allowance, self.spec, [one.price_usd_per_hour for one in candidates])

    def refuse_if_unknown(self) -> None:
        """Raises for a product or region that does not exist."""
        if self.impossible is not None and self.impossible.code.startswith("unknown_"):
            raise refused_field(self.impossible.field, self.impossible.code, self.impossible.detail)


def plan(body: dict[str, Any], *, owner: str, now: datetime) -> Plan:
    """What a validated body asks for. Raises ValidationError for what the catalogue does not know."""
    spec = _spec(body, owner=owner, now=now)
    refuse_port_conflicts(spec.ports, spec.tools, spec.health_check)
    if not catalogue.is_loaded():
        return Plan(spec=spec, placement=None, impossible=None)
    unknown = catalogue.locate_storages(one["id"] for one in spec.network_storages).unknown
    if unknown:
        raise refused_field("network_storages", "unknown_network_storage", f"Novita has no storage {', '.join(unknown)}")
    offers, wish = catalogue.offers_for(), catalogue.wish_of(spec)
    placement = rank(wish, offers)
    impossible = verdict(wish, offers, placement, regions=catalogue.known_regions())
    made = Plan(spec=spec, placement=placement, impossible=impossible)
    made.refuse_if_unknown()
    return made


def refuse_taken_name(name: str) -> None:
    """Raises NameTaken early, before what the catalogue has to say; the database holds it in any case."""
    if Instance.objects.managed().not_ended().filter(name__iexact=name).exists():
        raise NameTaken(f"a managed instance named {name!r} exists: choose another name", field="name")


def placement_json(placement: Placement) -> dict[str, Any]:
    """The answer of a dry run."""
    return {
        "candidates": [_offer_json(one) for one in placement.candidates],
        "refused": [_offer_json(one) for one in placement.refused],
    }


def settings_columns(body: dict[str, Any]) -> dict[str, Any]:
    """Columns of the settings a body names."""
    names = ("health_check", "webhook_url", "labels", "owner", "protected", "local_data", "on_startup_timeout", "on_reclaim")
    money = ("fallback_to_on_demand", "max_price_usd_per_hour")
    columns = {name: body[name] for name in ("name", *names, *money) if name in body}
    auto_stop = body.get("auto_stop", {})
    for given, column in (
        ("mode", "auto_stop_mode"),
        ("threshold", "auto_stop_threshold"),
        ("stop_at", "stop_at"),
        ("policy", "auto_stop_policy"),
    ):
        if given in auto_stop:
            columns[column] = auto_stop[given]
    return columns


def refused_field(field: str, code: str, detail: str) -> ValidationError:
    return ValidationError({field: [ErrorDetail(detail, code)]})


def refuse_unfit_ports(instance: Instance, body: dict[str, Any]) -> None:
    """Ports and health checks of a change must fit what is not changed."""
    if "ports" not in body and not body.get("health_check"):
        return
    ports = body.get("ports", (instance.machine.ports if instance.machine else None) or instance.ports)
    check = body.get("health_check", instance.health_check)
    refuse_port_conflicts(ports, instance.tools, check)


def _offer_json(one: Candidate | Refusal) -> dict[str, Any]:
    return {name: value for name, value in as_dict(one).items() if name != "cluster_id"}


def _spec(body: dict[str, Any], *, owner: str, now: datetime) -> InstanceSpec:
    values = {name: body[name] for name in _PLAIN if name in body}
    values |= settings_columns(body)
    values.setdefault("owner", owner)
    values["regions"] = tuple(body.get("regions") or ([body["region"]] if "region" in body else []))
    values["network_storages"] = tuple(dict(one) for one in body.get("network_storages", ()))
    template = _template(body["template_id"], now) if "template_id" in body else None
    values |= catalogue.resolve_template(template, {name: _plain(value) for name, value in body.items()})
    if template is not None and not values["image_url"]:
        raise refused_field("template_id", "template_without_image", "this template names no image")
    return InstanceSpec(**values)


def _plain(value: Any) -> Any:
    return [dict(one) if isinstance(one, dict) else one for one in value] if isinstance(value, list) else value


def _template(template_id: str, now: datetime) -> Template | None:
    """The template, asked of Novita the first time it is named; None where Novita does not answer and the job must judge."""
    known = catalogue.template_by_id(template_id, now=now)
    if known is not None:
        return known
    unknown = refused_field("template_id", "unknown_template", f"Novita has no template {template_id!r}")
    if cache.get(f"no-template:{template_id}"):
        raise unknown
    try:
        found = ask(lambda: catalogue.template_by_id(template_id, client=novita(), now=now), seconds=_TEMPLATE_SECONDS)
    except NovitaError:
        return None
    if found is None:
        cache.set(f"no-template:{template_id}", True, _NO_SUCH_TEMPLATE_SECONDS)
        raise unknown
    return found
