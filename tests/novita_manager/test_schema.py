"""The OpenAPI description says what the API does."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from drf_spectacular.drainage import GENERATOR_STATS
from openapi_spec_validator import validate

from instances.api import representations
from instances.api.shapes import AlarmShape, EventShape, InstanceShape, JobShape
from instances.events import record
from instances.models import Alarm
from tests.factories import NOW, PERSON, client_of, make_instance, make_job, make_key

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_budget_is_spent() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def test_the_schema_is_valid_openapi_3_1_and_complete() -> None:
    GENERATOR_STATS.reset()

    answer = client_of(make_key("read")[1]).get("/api/schema")

    assert answer.status_code == 200
    schema = answer.json()
    assert schema["openapi"].startswith("3.1")
    validate(schema)
    assert not GENERATOR_STATS
    for path in ("/instances", "/instances/{ref}/last-used", "/jobs/{id}/cancel", "/automation", "/sync/runs", "/alarms"):
        assert f"/api/v1{path}" in schema["paths"]
    assert schema["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    create = schema["paths"]["/api/v1/instances"]["post"]
    assert "application/problem+json" in create["responses"]["default"]["content"]


def test_the_shapes_that_are_described_are_the_ones_that_are_sent() -> None:
    instance = make_instance()
    job = make_job(instance)
    event = record("instance.noted", at=NOW, actor=PERSON, instance=instance)
    alarm = Alarm(kind="k", text="t", remedy="r", opened_at=NOW, last_seen_at=NOW)

    shown = representations.instance_json(instance, now=NOW, account=None)

    assert list(shown) == list(InstanceShape().fields)
    assert list(representations.job_json(job)) == list(JobShape().fields)
    assert list(representations.event_json(event)) == list(EventShape().fields)
    assert list(representations.alarm_json(alarm)) == list(AlarmShape().fields)


def test_the_reader_loads_nothing_from_outside() -> None:
    client = client_of(make_key("read")[1])

    page, script = client.get("/api/docs"), client.get("/api/docs?script=")

    assert (page.status_code, script.status_code) == (200, 200)
    for text in (page.content.decode(), script.content.decode()):
        assert "//cdn" not in text
        assert "<script>" not in text
    assert "/static/drf_spectacular_sidecar/" in page.content.decode()
