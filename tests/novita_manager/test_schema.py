"""The OpenAPI description says what the API does."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from django.core.cache import cache
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from autostop import shapes as autostop_shapes
from autostop.policies import default_policy
from autostop.policy_changes import policy_json
from instances.api import detail_shapes, representations
from instances.api.shapes import AlarmShape, EventShape, InstanceShape, JobShape
from instances.events import record
from instances.models import Alarm
from novita_manager.explain import explanation
from novita_manager.models import SCOPES
from novita_manager.openapi.answers import ABSENT, CONFLICTS
from novita_manager.openapi.codes import CODES
from novita_manager.openapi.examples import REQUESTS, RESPONSES
from scripts.openapi import PATH
from tests.factories import NOW, PERSON, client_of, make_instance, make_job, make_key

pytestmark = pytest.mark.django_db

VERBS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(autouse=True)
def no_budget_is_spent() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """As it is committed, which `make check` holds equal to what the code describes."""
    loaded: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return loaded


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in schema["paths"].items():
        for verb in VERBS:
            if verb in item:
                yield verb, path, item[verb]


def test_the_committed_description_is_valid_and_the_one_that_is_served(schema: dict[str, Any]) -> None:
    answer = client_of(make_key("read")[1]).get("/api/schema")

    assert answer.status_code == 200
    served = answer.json()
    validate(served)
    assert served["openapi"].startswith("3.1")
    assert served["paths"] == schema["paths"]
    assert served["components"] == schema["components"]
    assert served["webhooks"] == schema["webhooks"]


def test_every_operation_is_told_whole(schema: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(schema)]
    assert len(names) == len(set(names)) > 40
    for verb, path, operation in operations(schema):
        scope = operation["x-required-scope"]
        assert scope in SCOPES, path
        assert operation["security"] == [{"apiKey": [scope]}, {"session": [scope]}]
        assert {"401", "403", "429", "500", "503"} <= set(operation["responses"]), path
        assert ("304" in operation["responses"]) is (verb == "get"), path
        assert ("422" in operation["responses"]) is (verb == "post"), path
        headers = [one.get("$ref", "") for one in operation["parameters"]]
        assert ("#/components/parameters/IdempotencyKey" in headers) is (verb == "post"), path


def test_no_answer_is_just_any_object(schema: dict[str, Any]) -> None:
    for _, path, operation in operations(schema):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/json")
            assert content is None or "$ref" in content["schema"], (path, status)


def test_tables_by_operation_name_operations_and_codes_that_exist(schema: dict[str, Any]) -> None:
    names = {operation["operationId"] for _, _, operation in operations(schema)}

    assert {*CONFLICTS, *ABSENT, *REQUESTS, *RESPONSES} - names == set()
    assert {code for codes in CONFLICTS.values() for code in codes} - set(CODES) == set()
    assert {code for codes in CONFLICTS.values() for code in codes if 409 not in CODES[code].statuses} == set()


def test_every_request_with_a_body_has_an_example_and_each_fits_its_schema(schema: dict[str, Any]) -> None:
    for _, path, operation in operations(schema):
        contents = [operation["requestBody"]["content"]["application/json"]] if "requestBody" in operation else []
        assert all(content.get("examples") for content in contents), path
        contents += [
            answer["content"]["application/json"]
            for answer in operation["responses"].values()
            if "application/json" in answer.get("content", {})
        ]
        for content in contents:
            validator = OAS31Validator({**content["schema"], "components": schema["components"]})
            for name, example in content.get("examples", {}).items():
                assert [str(error.message) for error in validator.iter_errors(example["value"])] == [], (path, name)


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
    told = explanation(instance, now=NOW)
    assert list(told) == list(detail_shapes.ExplanationShape().fields)
    assert list(told["observed"]) == list(detail_shapes.ObservedShape().fields)
    assert list(told["wish"]) == list(detail_shapes.WishShape().fields)
    assert list(policy_json(default_policy(), NOW)) == list(autostop_shapes.PolicyShape().fields)


def test_the_reader_loads_nothing_from_outside() -> None:
    client = client_of(make_key("read")[1])

    page, script = client.get("/api/docs"), client.get("/api/docs?script=")

    assert (page.status_code, script.status_code) == (200, 200)
    for text in (page.content.decode(), script.content.decode()):
        assert not re.search(r"(src|href)=[\"'](https?:)?//", text)
        assert "//cdn" not in text
        assert "<script>" not in text
    assert "/static/drf_spectacular_sidecar/" in page.content.decode()
