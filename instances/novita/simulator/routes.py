"""Which call answers at which path. The call's name is the word faults and counts use for it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from instances.novita.simulator.calls import account, billing, instances, jobs, monitoring, products, templates
from instances.novita.simulator.calls.context import Context

GPU = "/gpu-instance/openapi/v1"
ACCOUNT = "/openapi/v1"


class Route(NamedTuple):
    call: str
    handler: Callable[[Context], Any]


_GETS: dict[str, Route] = {
    f"{GPU}/clusters": Route("clusters", products.list_clusters),
    f"{GPU}/products": Route("products", products.list_products),
    f"{GPU}/cpu/products": Route("cpu_products", products.list_cpu_products),
    f"{GPU}/gpu/instances": Route("list", instances.list_instances),
    f"{GPU}/gpu/instance": Route("get", instances.get),
    f"{GPU}/jobs": Route("jobs", jobs.list_jobs),
    f"{GPU}/images": Route("images", jobs.list_images),
    f"{GPU}/templates": Route("templates", templates.list_templates),
    f"{GPU}/template": Route("templates", templates.get_template),
    f"{GPU}/repository/auths": Route("registry", account.list_auths),
    f"{GPU}/networkstorages/list": Route("storages", account.list_storages),
    f"{GPU}/networks": Route("networks", account.list_networks),
    f"{GPU}/network": Route("networks", account.get_network),
    f"{GPU}/image/prewarm": Route("prewarm", account.list_prewarms),
    f"{GPU}/image/prewarm/quota": Route("prewarm", account.prewarm_quota),
    f"{ACCOUNT}/metrics/gpu/instance": Route("metrics", monitoring.instance_metrics),
    f"{ACCOUNT}/billing/balance/detail": Route("balance", billing.balance),
    f"{ACCOUNT}/billing/bill/list": Route("bills", billing.usage_bills),
    f"{ACCOUNT}/billing/bill/monthly/list": Route("bills", billing.fixed_term_bills),
    f"{ACCOUNT}/billing/monthly/bill": Route("bills", billing.monthly_bills),
    "/v3/user": Route("balance", billing.legacy_user),
}
_POSTS: dict[str, Route] = {
    f"{GPU}/gpu/instance/create": Route("create", instances.create),
    f"{GPU}/gpu/instance/start": Route("start", instances.start),
    f"{GPU}/gpu/instance/stop": Route("stop", instances.stop),
    f"{GPU}/gpu/instance/restart": Route("restart", instances.restart),
    f"{GPU}/gpu/instance/delete": Route("delete", instances.delete),
    f"{GPU}/gpu/instance/edit": Route("edit", instances.edit),
    f"{GPU}/gpu/instance/upgrade": Route("upgrade", instances.upgrade),
    f"{GPU}/gpu/instance/migrate": Route("migrate", instances.migrate),
    f"{GPU}/gpu/instance/setAutoMigrate": Route("auto_migrate", instances.set_auto_migrate),
    f"{GPU}/gpu/instance/renewInstance": Route("renew", instances.renew),
    f"{GPU}/gpu/instance/transToMonthlyInstance": Route("renew", instances.convert_to_monthly),
    f"{GPU}/gpu/instance/setAutoRenew": Route("renew", instances.set_auto_renew),
    f"{GPU}/job/save/image": Route("save_image", jobs.save_image),
    f"{GPU}/job/break": Route("break_job", jobs.break_job),
    f"{GPU}/template/create": Route("templates", templates.create_template),
    f"{GPU}/template/update": Route("templates", templates.update_template),
    f"{GPU}/template/delete": Route("templates", templates.delete_template),
    f"{GPU}/repository/auth/save": Route("registry", account.save_auth),
    f"{GPU}/repository/auth/delete": Route("registry", account.delete_auth),
    f"{GPU}/networkstorage/create": Route("storages", account.create_storage),
    f"{GPU}/networkstorage/update": Route("storages", account.update_storage),
    f"{GPU}/networkstorage/delete": Route("storages", account.delete_storage),
    f"{GPU}/network/create": Route("networks", account.create_network),
    f"{GPU}/network/update": Route("networks", account.update_network),
    f"{GPU}/network/delete": Route("networks", account.delete_network),
    f"{GPU}/image/prewarm": Route("prewarm", account.create_prewarm),
    f"{GPU}/image/prewarm/edit": Route("prewarm", account.edit_prewarm),
    f"{GPU}/image/prewarm/delete": Route("prewarm", account.delete_prewarms),
}
ROUTES = {"GET": _GETS, "POST": _POSTS}
