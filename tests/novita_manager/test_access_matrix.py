"""Who is let in to what: every operation of the description, asked by every kind of caller, equals a table people reviewed.

A new operation without a row fails, and so does a row without an operation. To write the table anew after a change, run
`python -m pytest -p tests.environment tests/novita_manager/test_access_matrix.py --access-table=write`, and read its diff.
"""

import csv
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from scripts.openapi import PATH
from tests.factories import make_key

pytestmark = pytest.mark.django_db

TABLE = Path(__file__).parent / "access_matrix.csv"
CALLERS = ("no key", "bad key", "expired", "read", "operate", "create", "secrets", "admin", "other network")
# Not described by OpenAPI, and guarded by keys all the same.
BESIDE = (("GET", "/api/schema"), ("GET", "/api/docs"), ("GET", "/health"))
# No such row: what is let in ends with 404, or with the 400 of a field that no body has. Nothing is ever changed.
VALUES = {"{ref}": "nothing-is-named-so", "{id}": "999999999"}
ROW_ID = "00000000-0000-4000-8000-000000000000"
WITH_UUIDS = ("/api/v1/jobs", "/api/v1/webhooks")
BODY = json.dumps({"no such field": 1})


@pytest.fixture(autouse=True)
def no_budget_is_spent(settings: Any) -> Iterator[None]:
    settings.RATE_LIMIT_SIGN_IN = "100000/m"
    settings.HEALTH_ALLOWED_NETWORKS = []
    cache.clear()
    yield
    cache.clear()


def operations() -> list[tuple[str, str]]:
    described = yaml.safe_load(PATH.read_text(encoding="utf-8"))["paths"]
    found = [(verb.upper(), path) for path, item in described.items() for verb in item]
    return sorted([*found, *BESIDE], key=lambda one: (one[1], one[0]))


def callers() -> dict[str, Client]:
    """Each with what makes it its kind; all but the last call from loopback."""
    over = timezone.now() - timedelta(seconds=1)
    keys = {
        "bad key": "nvm_" + "0" * 64,
        "expired": make_key("admin", name="expired", expires_at=over)[1],
        **{scope: make_key(scope, name=scope)[1] for scope in ("read", "operate", "create", "secrets", "admin")},
        "other network": make_key("admin", name="elsewhere", allowed_networks=["203.0.113.0/24"])[1],
    }
    return {name: Client(HTTP_AUTHORIZATION=f"Bearer {keys[name]}") if name in keys else Client() for name in CALLERS}


def asked(client: Client, verb: str, path: str) -> str:
    """`in` where a caller got past the door, else the status that it was shown."""
    address = path.replace("{id}", ROW_ID) if path.startswith(WITH_UUIDS) else path
    for name, value in VALUES.items():
        address = address.replace(name, value)
    body = {} if verb == "GET" else {"data": BODY, "content_type": "application/json"}
    answer = getattr(client, verb.lower())(address, **body)
    assert answer.status_code < 500, (verb, path, answer.content)
    return str(answer.status_code) if answer.status_code in (401, 403) else "in"


def as_found() -> list[dict[str, str]]:
    clients = callers()
    return [
        {"operation": f"{verb} {path}", **{name: asked(client, verb, path) for name, client in clients.items()}}
        for verb, path in operations()
    ]


def test_every_operation_lets_in_whom_the_reviewed_table_names(request: pytest.FixtureRequest) -> None:
    found = as_found()
    if request.config.getoption("--access-table") == "write":
        with TABLE.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["operation", *CALLERS], lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)

    with TABLE.open(encoding="utf-8", newline="") as file:
        reviewed = list(csv.DictReader(file))

    assert [row["operation"] for row in found] == [row["operation"] for row in reviewed]
    wrong = [(now["operation"], now, then) for now, then in zip(found, reviewed, strict=True) if now != then]
    assert wrong == []
