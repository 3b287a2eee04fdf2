"""Budgets of requests per key."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from tests.factories import client_of, make_instance, make_key

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_budget_is_spent() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def test_a_key_that_reads_too_much_is_told_when_to_come_back(settings: Any) -> None:
    settings.RATE_LIMIT_READ = "2/h"
    client = client_of(make_key("read")[1])

    statuses = [client.get("/api/v1/instances").status_code for _ in range(3)]
    refused = client.get("/api/v1/jobs")

    assert statuses == [200, 200, 429]
    assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
    assert 1 <= int(refused["Retry-After"]) <= 3600
    assert refused["Content-Type"] == "application/problem+json"


def test_another_key_has_a_budget_of_its_own(settings: Any) -> None:
    settings.RATE_LIMIT_READ = "1/h"
    first, second = client_of(make_key("read")[1]), client_of(make_key("read", name="other")[1])

    assert [one.get("/api/v1/instances").status_code for one in (first, second, first, second)] == [200, 200, 429, 429]


def test_reads_writes_and_uses_do_not_eat_each_others_budget(settings: Any) -> None:
    settings.RATE_LIMIT_READ = settings.RATE_LIMIT_WRITE = settings.RATE_LIMIT_LAST_USED = "1/h"
    instance = make_instance(name="one")
    client = client_of(make_key()[1])

    assert client.get("/api/v1/instances").status_code == 200
    assert client.post("/api/v1/instances/one/stop", content_type="application/json").status_code == 202
    assert client.put("/api/v1/instances/one/last-used").status_code == 200
    assert client.get("/api/v1/instances").status_code == 429
    assert client.post("/api/v1/instances/one/stop", content_type="application/json").status_code == 429
    assert client.put("/api/v1/instances/one/last-used").status_code == 429
    assert instance.jobs.count() == 1


def test_a_wrong_key_costs_no_other_key_anything(settings: Any) -> None:
    settings.RATE_LIMIT_READ = "1/h"
    _, plain = make_key("read")

    for _ in range(3):
        assert client_of("wrong" * 10).get("/api/v1/instances").status_code == 401
    assert client_of(plain).get("/api/v1/instances").status_code == 200


def test_each_answer_tells_what_is_left_of_its_budget(settings: Any) -> None:
    settings.RATE_LIMIT_READ, settings.RATE_LIMIT_LAST_USED = "20/2h", "5/h"
    make_instance(name="one")
    client = client_of(make_key()[1])

    first, second = client.get("/api/v1/instances"), client.get("/api/v1/instances/unknown")
    used = client.put("/api/v1/instances/one/last-used")

    assert first["RateLimit-Policy"] == '"read";q=20;w=7200'
    assert [one["RateLimit"].partition(";t=")[0] for one in (first, second)] == ['"read";r=19', '"read";r=18']
    assert 1 <= int(first["RateLimit"].partition(";t=")[2]) <= 7200
    assert used["RateLimit-Policy"] == '"last_used";q=5;w=3600'


def test_who_is_let_in_by_nothing_has_no_budget_to_tell() -> None:
    assert not Client().get("/api/v1/instances").has_header("RateLimit")
