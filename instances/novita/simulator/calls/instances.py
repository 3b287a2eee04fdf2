"""Calls about instances."""

from itertools import islice
from typing import Any

from instances.novita.simulator import commands, validation, wire
from instances.novita.simulator.calls.context import Answer, Context
from instances.novita.simulator.calls.create import requested_instance, storage_mounts
from instances.novita.simulator.catalogue import PRODUCTS
from instances.novita.simulator.errors import RefusedError, instance_not_found, invalid
from instances.novita.simulator.lifecycle import MOVE_ENDINGS
from instances.novita.simulator.records import GONE_STATUSES, Instance, Moment


def create(context: Context) -> Answer:
    instance = requested_instance(context)
    commands.create(context.world, instance, context.now, pull_never_ends="never_pulls" in context.effects)
    if instance.billing_mode == "monthly":
        commands.renew(context.world, instance, context.now, max(1, instance.month), _monthly_price(instance))
    return {"id": instance.id}


def list_instances(context: Context) -> Answer:
    """Newest first."""
    page = validation.page(context.query, base=context.page_base)
    name, product, status = (validation.text(context.query, field) for field in ("name", "productName", "status"))
    if name or product or status or context.as_of < context.now:
        found = [
            i
            for i in reversed(_readable(context))
            if context.contains(name, i.name)
            and context.contains(product, i.product_name)
            and (not status or _moment(context, i).status == status)
        ]
        total, shown = len(found), found[page.cut()]
    else:
        visible = context.world.visible
        cut = page.cut()
        total, shown = len(visible), list(islice(reversed(visible.values()), cut.start, cut.stop))
    items = [wire.common(i, context.addresses, _moment(context, i), context.now) for i in shown]
    return {"instances": items, "total": total}


def _readable(context: Context) -> list[Instance]:
    if context.as_of >= context.now:
        return list(context.world.visible.values())
    return [i for i in context.world.instances.values() if _is_readable(context, i)]


def _is_readable(context: Context, instance: Instance) -> bool:
    """The provider knew it at the time the answer is of."""
    return instance.created_at <= context.as_of and (not instance.forgotten_at or instance.forgotten_at > context.as_of)


def _moment(context: Context, instance: Instance) -> Moment:
    if context.as_of < context.now:
        return instance.moment_at(context.as_of) or instance.history[0]
    return instance.now


def get(context: Context) -> Answer:
    key = validation.text(context.query, "instanceId", required=True)
    instance = context.world.instances.get(key)
    if instance is None or not _is_readable(context, instance):
        raise instance_not_found()
    answer = wire.detail(instance, context.addresses, _moment(context, instance), context.now)
    answer["jobs"] = [{"id": job.id, "type": job.type} for job in commands.open_jobs(context.world, instance, context.now)]
    return answer


def start(context: Context) -> Answer:
    instance = _named(context)
    commands.start(context.world, instance, context.now)
    return {"instanceId": instance.id, "state": instance.status}


def stop(context: Context) -> Answer:
    instance = _named(context)
    if "never_stops" not in context.effects or instance.status != "running":
        commands.stop(context.world, instance, context.now)
    return {"instanceId": instance.id, "state": "toStop"}


def restart(context: Context) -> Answer:
    commands.restart(context.world, _named(context), context.now)
    return {}


def delete(context: Context) -> Answer:
    instance = _named(context)
    if "never_deletes" not in context.effects or instance.status in GONE_STATUSES:
        commands.delete(context.world, instance, context.now)
    return {}


def migrate(context: Context) -> Answer:
    instance = _named(context)
    ending = next((one for one in MOVE_ENDINGS if one in context.effects), "")
    job = commands.migrate(context.world, instance, context.now, ending=ending)
    return {"instanceId": instance.id, "jobId": job.id}


def edit(context: Context) -> Answer:
    instance = _named(context)
    ports = validation.port_list(context.body) if context.body.get("ports") is not None else None
    if ports is not None:
        validation.checked_ports(ports, tools=len(instance.tools))
    expand_gb = validation.whole(context.body, "expandRootDisk", low=0, high=6144, default=0)
    if instance.rootfs_gb + expand_gb > 6144:
        raise invalid("expandRootDisk", "the disk would exceed 6144 GB")
    commands.edit(context.world, instance, context.now, ports=ports, expand_gb=expand_gb)
    return {}


def upgrade(context: Context) -> Answer:
    """Nothing is merged: what the body says is all there is."""
    body, instance = context.body, _named(context)
    changes: dict[str, Any] = {
        "image_url": validation.text(body, "imageUrl", required=True, longest=500),
        "image_auth_id": validation.text(body, "imageAuthId"),
        "envs": validation.envs(body, required=True),
    }
    for field in ("command", "entrypoint"):
        if field not in body:
            raise invalid(field, "must be sent, if only empty")
        changes[field] = validation.text(body, field, longest=2047)
    validation.flag(body, "save")
    volume = validation.json_object(body.get("networkVolume"))
    mounts = validation.items(volume, "volumeMounts", most=30, required=True)
    changes["storages"] = storage_mounts(
        context, instance.cluster_id, [(validation.text(m, "id", required=True), m) for m in mounts], "mountPath"
    )
    commands.upgrade(context.world, instance, context.now, changes)
    return {}


def set_auto_migrate(context: Context) -> Answer:
    instance = _named(context)
    is_open = validation.flag(context.body, "autoMigrateOpen")
    instance.auto_migrate_system_disk = validation.flag(context.body, "autoMigrateSystemDisk")
    instance.auto_migrate = is_open
    context.world.touch(instance)
    return {}


def renew(context: Context) -> Answer:
    instance = _named(context)
    months = validation.whole(context.body, "month", low=1, high=36)
    if instance.billing_mode != "monthly":
        raise RefusedError("UNSUPPORTED_BILLING_MODE", "only a monthly instance can be renewed")
    commands.renew(context.world, instance, context.now, months, _monthly_price(instance))
    return {}


def convert_to_monthly(context: Context) -> Answer:
    instance = _named(context)
    months = validation.whole(context.body, "month", low=1, high=36)
    if instance.billing_mode != "onDemand" or instance.status in ("exited", "stopping", "toStop", "pending"):
        raise RefusedError("UNSUPPORTED_BILLING_MODE", "instance can not be converted to monthly")
    commands.renew(context.world, instance, context.now, months, _monthly_price(instance))
    return {}


def set_auto_renew(context: Context) -> Answer:
    ids = context.body.get("instanceIds")
    if not isinstance(ids, list) or not ids:
        raise invalid("instanceIds", "an array of ids is required")
    renews = validation.flag(context.body, "autoRenew")
    month = validation.whole(context.body, "autoRenewMonth", low=0, high=12)
    for instance in [commands.find(context.world, str(key)) for key in ids]:
        instance.auto_renew, instance.auto_renew_month = renews, month
        context.world.touch(instance)
    return {}


def _named(context: Context) -> Instance:
    return commands.find(context.world, validation.text(context.body, "instanceId", required=True))


def _monthly_price(instance: Instance) -> int:
    product = PRODUCTS.get(instance.product_id)
    return product.monthly_price if product else instance.price * 648
