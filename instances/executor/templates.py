"""Filling a request in from a template that could not be read when it was made: Novita was away then."""

from datetime import datetime

from django.db import transaction

from instances import catalogue
from instances.executor.steps import Act, Step
from instances.models import Instance
from instances.novita.client import Novita
from instances.operations.wishes import locked_instance

_FILLED = ("image_url", "registry_auth_id", "command", "entrypoint", "min_cuda_version", "ports", "tools")
_DEFAULT_ROOTFS_GB = 60


def fill_in(instance: Instance, client: Novita, now: datetime) -> Step | None:
    """Take over the fields the request left open; a failure step where there is no such template.

    Raises NovitaError where Novita gives no answer yet.
    """
    if instance.image_url or not instance.template_id:
        return None
    template = catalogue.template_by_id(instance.template_id, client=client, now=now)
    if template is None or not template.image_url:
        what = "names no image" if template else "does not exist at Novita"
        return Step(act=Act.FAIL, code="unknown_template", reason=f"template {instance.template_id} {what}")
    named = {name: getattr(instance, name) for name in _FILLED if getattr(instance, name)}
    if instance.rootfs_size_gb != _DEFAULT_ROOTFS_GB:
        named["rootfs_size_gb"] = instance.rootfs_size_gb
    filled = catalogue.resolve_template(template, named | {"envs": instance.envs or []})
    with transaction.atomic():
        fresh = locked_instance(instance.pk)
        for target in (fresh, instance):
            for name, value in filled.items():
                setattr(target, name, list(value) if isinstance(value, tuple) else value)
        fresh.save(update_fields=list(filled))
    return None
