"""Calls about templates, kept as the provider writes them (ports in its third notation)."""

from typing import Any

from instances.novita.simulator import validation
from instances.novita.simulator.calls.context import Answer, Context
from instances.novita.simulator.errors import RefusedError, invalid
from instances.novita.simulator.wire import epoch

FIRST_PRIVATE_ID = 107_671
PAGE_SIZE = 20
CHANNELS = frozenset({"official", "community", "private"})


def list_templates(context: Context) -> Answer:
    """Several channels may come joined by commas."""
    query = context.query
    page = validation.page(query, base=context.page_base, size=PAGE_SIZE)
    name, kind = validation.text(query, "name"), validation.text(query, "type")
    channels = {word.strip() for word in query.get("channel", "").split(",") if word.strip()}
    if channels - CHANNELS:
        raise invalid("channel", "one of official, community, private is required")
    found = [
        template
        for template in reversed(context.world.objects["template"].values())
        if context.contains(name, template["name"])
        and kind in ("", template["type"])
        and (not channels or template["channel"] in channels)
    ]
    return {
        "template": found[page.cut()],
        "pageSize": page.size,
        "pageNum": validation.query_whole(query, "pageNum"),
        "total": len(found),
    }


def get_template(context: Context) -> Answer:
    return {"template": _named(context, validation.text(context.query, "templateId", required=True))}


def create_template(context: Context) -> Answer:
    fields = _fields(validation.json_object(context.body.get("template")))
    context.world.next_random("template")
    key = str(FIRST_PRIVATE_ID + context.world.counters["template"])
    context.world.put("template", key, {"Id": key, **fields, "createdAt": epoch(context.now)})
    return {"templateId": key}


def update_template(context: Context) -> Answer:
    """What is not sent stays."""
    body = validation.json_object(context.body.get("template"))
    old = _own(context, validation.text(body, "Id", required=True))
    changed = _fields({**old, **body})
    context.world.put("template", old["Id"], {**old, **changed})
    return {"templateId": old["Id"]}


def delete_template(context: Context) -> Answer:
    template = _own(context, validation.text(context.body, "templateId", required=True))
    context.world.put("template", template["Id"], None)
    return {"templateId": template["Id"]}


def _named(context: Context, key: str) -> dict[str, Any]:
    template = context.world.objects["template"].get(key)
    if template is None:
        raise RefusedError("TEMPLATE_NOT_FOUND", "template not found")
    return template


def _own(context: Context, key: str) -> dict[str, Any]:
    template = _named(context, key)
    if template["channel"] != "private":
        raise RefusedError("FORBIDDEN", "not your template", status=403)
    return template


def _fields(body: validation.Body) -> dict[str, Any]:
    return {
        "name": validation.text(body, "name", required=True),
        "readme": validation.text(body, "readme", longest=102_400),
        "type": validation.choice(body, "type", ("instance", "serverless")),
        "channel": validation.choice(body, "channel", ("private",)),
        "image": validation.text(body, "image", required=True, longest=500),
        "imageAuth": validation.text(body, "imageAuth"),
        "startCommand": validation.text(body, "startCommand", longest=2047),
        "entrypoint": validation.text(body, "entrypoint", longest=2047),
        "rootfsSize": validation.whole(body, "rootfsSize", low=1, high=6144),
        "ports": [_port_group(item) for item in validation.items(body, "ports", most=10)],
        "envs": validation.envs(body),
        "tools": [],
        "recommendCards": [],
        "minCudaVersion": validation.text(body, "minCudaVersion"),
    }


def _port_group(item: dict[str, Any]) -> dict[str, Any]:
    numbers = item.get("ports")
    if not isinstance(numbers, list) or len(numbers) > 10:
        raise invalid("ports", "an array of at most 10 numbers is required")
    return {
        "type": validation.choice(item, "type", ("http", "tcp", "udp")),
        "ports": [validation.port_number(number, "ports") for number in numbers],
    }
