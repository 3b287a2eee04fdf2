"""/products, /regions and /templates."""

import pytest

from instances.catalogue import NEVER
from instances.models import Cluster
from tests.factories import make_offer, make_template
from tests.instances.api.calls import Caller

pytestmark = pytest.mark.django_db


def test_products_show_prices_as_text_and_filter() -> None:
    caller = Caller("read")
    make_offer(region="CN-HK-01", spot="0.35000", on_demand=None)
    make_offer(region="EU-01", product_name="H100 80GB", spot="1.2", on_demand="2.5", available=False)

    every = caller.get("/products?ordering=product_name").json()

    assert (every["count"], every["next"]) == (2, None)
    assert [one["product_name"] for one in every["results"]] == ["H100 80GB", "RTX 4090 24GB"]
    assert every["results"][1]["spot_usd_per_gpu_hour"] == "0.35"
    assert every["results"][1]["on_demand_usd_per_gpu_hour"] is None
    assert caller.get("/products?region=eu-01").json()["count"] == 1
    assert caller.get("/products?available=true").json()["count"] == 1
    assert caller.get("/products?search=h100").json()["count"] == 1


def test_regions_hold_their_clusters() -> None:
    make_offer(region="CN-HK-01")
    make_offer(region="EU-01")

    found = Caller("read").get("/regions").json()

    assert [one["region"] for one in found["results"]] == ["CN-HK-01", "EU-01"]
    assert found["results"][0]["clusters"][0]["id"] == "cluster-CN-HK-01"


def test_a_cluster_tells_when_its_products_were_last_read() -> None:
    make_offer(region="CN-HK-01")
    make_offer(region="EU-01")
    Cluster.objects.filter(region="EU-01").update(refreshed_at=NEVER)

    read, unread = Caller("read").get("/regions").json()["results"]

    assert read["clusters"][0]["refreshed_at"].endswith("Z")
    assert unread["clusters"][0]["refreshed_at"] is None


def test_templates_tell_the_names_of_their_environment_and_no_values() -> None:
    caller = Caller("read")
    make_template(name="PyTorch")

    listed = caller.get("/templates?search=torch")

    assert listed.json()["results"][0]["env_keys"] == ["TOKEN"]
    assert "from-the-template" not in listed.content.decode()
    assert caller.get("/templates/template-1").json()["name"] == "PyTorch"
