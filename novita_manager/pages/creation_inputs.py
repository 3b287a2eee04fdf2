"""The inputs of the create page, each for one part of the body of the API's create."""

from collections.abc import Iterable
from dataclasses import replace

from django.conf import settings as given

from instances import catalogue
from instances.models import Template
from instances.models.instance import BillingMode
from instances.placement import ANY_REGION
from novita_manager.pages import setting_inputs as settings
from novita_manager.pages.typed import Input, environment, number, ports

MOST_GPUS = 8

NAME = Input(name="name", label="Name", path=("name",), required=True, hint="Letters, digits, -, _ and .")
PRODUCT = Input(name="product_name", label="GPU", kind="products", path=("product_name",), required=True)
GPU_NUM = Input(
    name="gpu_num",
    label="GPUs",
    kind="choice",
    path=("gpu_num",),
    read=number,
    choices=[(str(count), str(count)) for count in range(1, MOST_GPUS + 1)],
    width="short",
)
BILLING = Input(
    name="billing_mode",
    label="Billing",
    kind="radio",
    path=("billing_mode",),
    choices=[
        (str(BillingMode.SPOT), "Spot: cheaper, and Novita may take it back"),
        (str(BillingMode.ON_DEMAND), "On demand"),
    ],
)
TEMPLATE = Input(name="template_id", label="Template", kind="choice", path=("template_id",))
TEMPLATE_BY_ID = Input(
    name="template_by_id",
    label="Or a community template, by its id",
    path=("template_id",),
    hint="It goes before the one chosen above.",
)
IMAGE = Input(
    name="image_url", label="Image", path=("image_url",), placeholder="docker.io/pytorch/pytorch:latest", required=True
)
DISK = Input(
    name="rootfs_size_gb",
    label="Root disk, GB",
    kind="number",
    path=("rootfs_size_gb",),
    read=number,
    hint="Empty: the template's, else 60.",
    width="short",
)
PORTS = Input(
    name="ports", label="Ports", path=("ports",), read=ports, placeholder="8080/http, 22/tcp", hint="Empty: the template's."
)
ENVS = Input(
    name="envs",
    label="Environment",
    kind="lines",
    path=("envs",),
    read=environment,
    placeholder="HF_TOKEN=...",
    hint="One a line, as NAME=value. Kept encrypted; added to the template's.",
)
COMMAND = Input(name="command", label="Command", path=("command",), hint="Empty: the template's, else the image's own.")
ENTRYPOINT = Input(name="entrypoint", label="Entrypoint", path=("entrypoint",))
REGISTRY = Input(
    name="registry_auth_id",
    label="Registry login",
    path=("registry_auth_id",),
    hint="Its id at Novita, for a private image.",
)
WAIT = Input(
    name="wait_for_capacity",
    label="Wait for a free GPU",
    path=("wait_for_capacity",),
    placeholder="2h",
    hint="For so long where none is free. Empty: it is refused at once.",
    width="short",
)
LOCAL_DATA = replace(
    settings.LOCAL_DATA,
    choices=[("", "By billing: spot may be lost, on demand is precious"), *settings.LOCAL_DATA.choices],
)
OWNER = replace(settings.OWNER, hint="Empty: you.")


def regions_input() -> Input:
    choices = [(ANY_REGION, "Any, by price alone"), *((one, one) for one in catalogue.known_regions())]
    return Input(
        name="regions",
        label="Regions",
        kind="several",
        path=("regions",),
        choices=choices,
        hint=f"None ticked: {given.DEFAULT_REGION} first, then the others by price.",
    )


def template_input() -> Input:
    listed = Template.objects.filter(listed=True).values_list("id", "name", "image_url")
    choices = [("", "Choose a template"), *((key, f"{name} ({image})") for key, name, image in listed)]
    return replace(TEMPLATE, choices=choices)


def inputs_for(source: str, written: Iterable[str]) -> tuple[Input, ...]:
    """All that a form with this source of its software sends: `image` or a template. `written` names what has a text."""
    software: tuple[Input, ...] = (IMAGE,)
    if source != "image":
        software = (TEMPLATE_BY_ID,) if TEMPLATE_BY_ID.name in written else (template_input(),)
    return (
        *(PRODUCT, GPU_NUM, BILLING, settings.MAX_PRICE, settings.FALLBACK, regions_input(), WAIT),
        *software,
        *(DISK, PORTS, ENVS, COMMAND, ENTRYPOINT, REGISTRY),
        *(NAME, OWNER, settings.LABELS, settings.PROTECTED, LOCAL_DATA),
        *(settings.AUTO_STOP_MODE, settings.AUTO_STOP_THRESHOLD, settings.AUTO_STOP_POLICY, settings.STOP_AT),
        *(settings.HEALTH_CHECK, settings.ON_STARTUP_TIMEOUT),
    )
