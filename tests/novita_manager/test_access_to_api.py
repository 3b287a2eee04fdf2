"""Who is let in, and to what."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from novita_manager.models import ApiKey, key_hash
from tests.factories import client_of, make_instance, make_job, make_key

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_budget_is_spent() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def person(*permissions: str, name: str = "alice") -> User:
    user = User.objects.create_user(name)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="instances", codename__in=permissions))
    return user


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer nvm_" + "0" * 64,
        "Bearer " + "x" * 100_000,
        "Bearer gr\u00fcn",
        "Basic YTpi",
        "Token abc",
    ],
    ids=lambda header: str(header)[:20],
)
@pytest.mark.parametrize("path", ["/api/v1/instances", "/api/schema", "/api/docs", "/api/v1/events", "/api/v1/automation"])
def test_without_a_known_key_nothing_is_open(path: str, header: str | None) -> None:
    client = Client() if header is None else Client(HTTP_AUTHORIZATION=header)

    answer = client.get(path)

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] in ("not_authenticated", "authentication_failed")


def test_a_key_is_stored_as_its_hash() -> None:
    row, plain = make_key("read")

    assert plain.startswith("nvm_")
    assert len(plain) == 4 + 64
    stored = ApiKey.objects.values().get()
    assert plain not in str(stored)
    assert stored["hash"] == key_hash(plain)
    assert row.prefix == plain[4:12]


def test_an_expired_or_revoked_key_lets_nobody_in() -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    _, expired_plain = make_key("read", expires_at=past)
    revoked, revoked_plain = make_key("read")
    revoked.revoked_at = past
    revoked.save()

    assert client_of(expired_plain).get("/api/v1/instances").status_code == 401
    assert "revoked" in client_of(revoked_plain).get("/api/v1/instances").json()["detail"]


def test_the_use_of_a_key_is_noted_once_a_minute() -> None:
    row, plain = make_key("read")
    client = client_of(plain)

    client.get("/api/v1/instances")
    row.refresh_from_db()
    first = row.last_used_at
    client.get("/api/v1/instances")
    row.refresh_from_db()

    assert first is not None
    assert row.last_used_at == first
    with time_machine.travel(first + timedelta(minutes=2), tick=False):
        client.get("/api/v1/instances")
    row.refresh_from_db()
    assert row.last_used_at == first + timedelta(minutes=2)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_written_in_any_case(scheme: str) -> None:
    _, plain = make_key("read")

    assert Client(HTTP_AUTHORIZATION=f"{scheme} {plain}").get("/api/v1/instances").status_code == 200


READS = [
    "/instances",
    "/instances/one",
    "/instances/one/explain",
    "/instances/one/events",
    "/instances/one/connection",
    "/jobs",
    "/events",
    "/products",
    "/regions",
    "/templates",
    "/alarms",
    "/automation",
    "/auto-stop/stats",
    "/auto-stop/policies",
    "/auto-stop/decisions",
    "/sync/runs",
]
OPERATES = [
    ("put", "/instances/one/last-used"),
    ("post", "/instances/one/stop"),
    ("post", "/instances/one/start"),
    ("post", "/instances/one/restart"),
    ("post", "/instances/one/migrate"),
    ("post", "/instances/one/save-image"),
    ("patch", "/instances/one"),
    ("post", "/instances/stop-all"),
    ("post", "/instances/bulk"),
    ("put", "/automation"),
    ("delete", "/automation"),
    ("post", "/auto-stop/check"),
    ("post", "/sync/runs"),
]
CREATES = [
    ("post", "/instances"),
    ("delete", "/instances/one"),
    ("post", "/instances/one/adopt"),
    ("post", "/instances/one/release"),
]


@pytest.mark.parametrize(
    ("scopes", "reads", "operates", "creates"),
    [
        (("read",), True, False, False),
        (("operate",), True, True, False),
        (("create",), True, True, True),
        (("admin",), True, True, True),
        (("secrets",), False, False, False),
        (("read", "secrets"), True, False, False),
    ],
    ids=str,
)
def test_each_scope_opens_what_the_contract_says(
    scopes: tuple[str, ...], reads: bool, operates: bool, creates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autostop.api.run_now", lambda **_: pytest.skip("asked to run"))
    make_instance(name="one")
    client = client_of(make_key(*scopes)[1])

    for path in READS:
        assert (client.get(f"/api/v1{path}").status_code == 403) is not reads, path
    closed = [*OPERATES * (not operates), *CREATES * (not creates)]
    for method, path in closed:
        answer = getattr(client, method)(f"/api/v1{path}", data=b"{}", content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied"), (method, path)
    # An open one gets as far as its body, which names a field that none has.
    for method, path in [*OPERATES * operates, *CREATES * creates]:
        answer = getattr(client, method)(f"/api/v1{path}", data=b'{"?": 1}', content_type="application/json")
        assert answer.status_code != 403, (method, path)
        if method != "delete":
            assert answer.status_code == 400, (method, path, answer.content)


def test_every_route_of_the_api_names_its_scopes() -> None:
    unscoped = []
    for route in _routes(get_resolver().url_patterns):
        view = getattr(route.callback, "cls", None)
        actions = getattr(route.callback, "actions", None)
        if view is None or not view.__module__.startswith(("instances", "autostop", "sync", "novita_manager.explain")):
            continue
        names = (
            list(actions.values()) if actions else [name for name in ("get", "post", "put", "delete") if hasattr(view, name)]
        )
        unscoped += [(str(route.pattern), name) for name in names if name not in view.scopes]

    assert unscoped == []


def _routes(patterns: list[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern
        else:
            yield from _routes(pattern.url_patterns)


def test_docs_open_for_a_person_who_may_read() -> None:
    client = Client()
    client.force_login(person("view_instance"))

    page = client.get("/api/docs")

    assert page.status_code == 200
    assert "unsafe-inline" in page["Content-Security-Policy"]
    assert client.get("/api/schema").status_code == 200
    assert client.get("/api/v1/instances").status_code == 200


def test_a_session_without_permissions_opens_nothing() -> None:
    client = Client()
    client.force_login(User.objects.create_user("bob"))

    for path in ("/api/docs", "/api/schema", "/api/v1/instances", "/api/v1/automation"):
        assert client.get(path).status_code == 403, path


def test_a_person_changes_things_with_the_token_of_the_pages_and_is_named_in_the_event() -> None:
    make_instance(name="one")
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("view_instance", "change_instance"))
    body: Any = {"data": b"{}", "content_type": "application/json"}

    without = client.post("/api/v1/instances/one/stop", **body)
    client.cookies["csrftoken"] = "t" * 32
    with_token = client.post("/api/v1/instances/one/stop", **body, headers={"X-CSRFToken": "t" * 32})
    beyond = client.delete("/api/v1/instances/one", headers={"X-CSRFToken": "t" * 32})

    assert (without.status_code, without.json()["code"]) == (403, "csrf_failed")
    assert with_token.status_code == 202
    assert with_token.json()["open_job"]["requested_by"] == {"kind": "user", "name": "alice"}
    assert (beyond.status_code, beyond.json()["detail"]) == (403, "this account lacks the scope 'create'")


def test_a_key_needs_no_token_even_beside_a_session() -> None:
    make_instance(name="one")
    client = Client(enforce_csrf_checks=True, HTTP_AUTHORIZATION=f"Bearer {make_key('operate')[1]}")
    client.force_login(person("view_instance"))

    assert client.post("/api/v1/instances/one/stop", data=b"{}", content_type="application/json").status_code == 202


def test_replies_to_people_are_kept_for_each_of_them() -> None:
    make_instance(name="one")
    alice, bob = Client(), Client()
    alice.force_login(person("change_instance"))
    bob.force_login(person("change_instance", name="bob"))
    sent: Any = {"data": b"{}", "content_type": "application/json", "headers": {"Idempotency-Key": "k"}}

    first, again, other = (one.post("/api/v1/instances/one/stop", **sent) for one in (alice, alice, bob))

    assert again.json() == first.json()
    assert [one.has_header("Idempotent-Replayed") for one in (first, again, other)] == [False, True, False]


def test_the_scope_that_a_job_needs_is_asked_of_the_job() -> None:
    job = make_job(make_instance(name="one"), verb="delete")

    assert client_of(make_key("operate")[1]).post(f"/api/v1/jobs/{job.pk}/cancel").status_code == 403


@pytest.mark.parametrize("path", ["/instances", "/sync/runs", "/auto-stop/stats", "/automation"])
def test_who_may_get_may_ask_for_the_head(path: str) -> None:
    reader = client_of(make_key("read")[1])

    assert reader.head(f"/api/v1{path}").status_code == 200


def test_who_brings_no_key_is_told_how_to() -> None:
    answer = Client().get("/api/v1/instances")

    assert "Authorization: Bearer <api key>" in answer.json()["detail"]
