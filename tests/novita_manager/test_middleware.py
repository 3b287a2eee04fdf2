"""Request ids, log lines, true addresses, other origins, and errors outside the views."""

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import clear_script_prefix, set_script_prefix
from structlog.testing import capture_logs

from instances.events import current_request_id
from novita_manager.middleware import RequestLog
from novita_manager.proxies import verify_prefix
from novita_manager.routes import readable
from tests.factories import client_of, make_key


@pytest.fixture
def under_gpu(settings: Any) -> Iterator[None]:
    settings.PATH_PREFIX = settings.FORCE_SCRIPT_NAME = "/gpu"
    set_script_prefix("/gpu/")  # as the server does for each request
    yield
    clear_script_prefix()


LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


def answered(**headers: Any) -> tuple[HttpResponse, HttpRequest, str]:
    """The response, the request as the views see it, and the request id they see."""
    seen: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.extend((request, current_request_id.get()))
        return HttpResponse("here")

    request = RequestFactory().get("/api/v1/instances/", **headers)
    return RequestLog(view)(request), seen[0], seen[1]


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "<script>", "a\r\nb"])
def test_a_request_id_is_made_where_none_can_be_taken(given: str) -> None:
    response, _, seen = answered(HTTP_X_REQUEST_ID=given)

    assert response["X-Request-ID"] == seen
    assert seen != given
    assert len(seen) == 32
    assert current_request_id.get() == ""


def test_a_request_id_that_is_sent_is_kept() -> None:
    response, _, seen = answered(HTTP_X_REQUEST_ID="ci-run:42")

    assert response["X-Request-ID"] == seen == "ci-run:42"


def test_a_trailing_slash_is_taken_off() -> None:
    assert answered()[1].path_info == "/api/v1/instances"


def test_the_client_is_the_first_address_from_the_right_that_is_no_trusted_proxy(settings: Any) -> None:
    settings.TRUSTED_PROXIES = [*LOOPBACK, ipaddress.ip_network("10.0.0.0/8")]

    _, request, _ = answered(HTTP_X_FORWARDED_FOR="6.6.6.6, 203.0.113.9, 10.0.0.2", HTTP_X_FORWARDED_PROTO="https")

    assert request.META["REMOTE_ADDR"] == "203.0.113.9"
    assert request.is_secure()


@pytest.mark.parametrize("chain", ["https", "HTTPS, http"])
def test_scheme_and_host_are_what_the_outermost_trusted_proxy_saw(settings: Any, chain: str) -> None:
    settings.TRUSTED_PROXIES, settings.ALLOWED_HOSTS = LOOPBACK, ["ops.example"]

    _, request, _ = answered(
        HTTP_HOST="inside:3000", HTTP_X_FORWARDED_PROTO=chain, HTTP_X_FORWARDED_HOST="ops.example, proxy.inside"
    )

    assert request.build_absolute_uri() == "https://ops.example/api/v1/instances"


def test_a_host_that_a_proxy_names_must_still_be_one_of_ours(settings: Any) -> None:
    settings.TRUSTED_PROXIES, settings.ALLOWED_HOSTS = LOOPBACK, ["ops.example"]

    answer = Client(HTTP_HOST="ops.example", HTTP_X_FORWARDED_HOST="evil.example").get("/api/v1/instances")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("asked", "path_info"),
    [
        ("/gpu/api/v1/jobs/", "/api/v1/jobs"),  # the proxy left the prefix
        ("/api/v1/jobs", "/api/v1/jobs"),  # it took it off
        ("/gpu", "/"),
        ("/gpu/", "/"),
        ("/gpus/1", "/gpus/1"),
    ],
)
def test_the_path_of_the_public_address_is_understood_with_it_and_without(settings: Any, asked: str, path_info: str) -> None:
    settings.PATH_PREFIX = settings.FORCE_SCRIPT_NAME = "/gpu"
    seen: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse("here")

    RequestLog(view)(RequestFactory().get(asked))

    assert (seen[0].path_info, seen[0].path) == (path_info, f"/gpu{path_info}")


@pytest.mark.django_db
def test_the_admin_below_a_path_keeps_its_policy(settings: Any, under_gpu: None) -> None:
    page = Client().get("/gpu/admin/login/")

    assert "'unsafe-eval'" in page["Content-Security-Policy"]
    assert "'unsafe-eval'" not in Client().get("/gpu/health/live")["Content-Security-Policy"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1/instances", "/gpu/api/v1/no-such-thing"])
def test_an_answer_of_the_api_may_be_neither_run_nor_framed(settings: Any, under_gpu: None, path: str) -> None:
    answer = Client().get(path)

    assert answer["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_a_path_that_begins_like_one_of_ours_is_refused(settings: Any) -> None:
    for prefix in ("", "/gpu", "/ops/admin"):
        settings.PATH_PREFIX = prefix
        verify_prefix()
    for prefix in ("/admin", "/api/gpu", "/static"):
        settings.PATH_PREFIX = prefix
        with pytest.raises(ImproperlyConfigured, match="choose another"):
            verify_prefix()


@pytest.mark.parametrize("forwarded", ["", "nonsense", "10.0.0.2"])
def test_a_header_that_names_nobody_leaves_the_address(settings: Any, forwarded: str) -> None:
    settings.TRUSTED_PROXIES = [*LOOPBACK, ipaddress.ip_network("10.0.0.0/8")]

    assert answered(HTTP_X_FORWARDED_FOR=forwarded)[1].META["REMOTE_ADDR"] == "127.0.0.1"


def test_headers_of_a_proxy_that_nobody_trusts_are_ignored(settings: Any) -> None:
    settings.TRUSTED_PROXIES = []

    _, request, _ = answered(
        HTTP_X_FORWARDED_FOR="6.6.6.6", HTTP_X_FORWARDED_PROTO="https", HTTP_X_FORWARDED_HOST="evil.example"
    )

    assert request.META["REMOTE_ADDR"] == "127.0.0.1"
    assert not request.is_secure()
    assert request.get_host() == "testserver"


@pytest.mark.django_db
def test_a_request_leaves_one_line_without_its_key() -> None:
    row, plain = make_key("read")

    with capture_logs() as lines:
        client_of(plain).get("/api/v1/instances?search=private", HTTP_X_REQUEST_ID="r1")

    (line,) = [one for one in lines if one["event"] == "http.request"]
    assert (line["method"], line["status"], line["key"]) == ("GET", 200, row.prefix)
    assert line["route"] == "/api/v1/instances"
    assert line["ms"] > 0
    assert line["client"] == "127.0.0.1"
    assert plain not in str(line)
    assert "private" not in str(line)


@pytest.mark.parametrize(
    ("route", "shown"),
    [
        ("", "/"),
        ("fleet/<uuid:instance_id>/<slug:verb>", "/fleet/{instance_id}/{verb}"),
        ("api/v1/^instances/(?P<ref>[^/]+)/stop$", "/api/v1/instances/{ref}/stop"),
        ("api/v1/^jobs/(?P<id>[0-9a-f]{8}(-[0-9a-f]{4}){3})\\Z", "/api/v1/jobs/{id}"),
    ],
)
def test_a_route_is_shown_as_people_write_it(route: str, shown: str) -> None:
    assert readable(route) == shown


@pytest.mark.django_db
def test_a_line_names_the_instance_its_address_names() -> None:
    identity = "2b6d3c0e-2f1a-4d8e-9a55-0d1c5f7e9b11"
    client = client_of(make_key("read")[1])

    with capture_logs() as lines:
        client.get(f"/api/v1/instances/{identity}")
        client.get("/api/v1/instances/by-name")

    first, second = [one for one in lines if one["event"] == "http.request"]
    assert first["instance_id"] == identity
    assert (second["ref"], "instance_id" in second) == ("by-name", False)


def test_only_named_origins_may_call_from_a_browser(settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://fleet.example"]
    browser = Client(HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST")
    named = browser.options("/api/v1/instances", HTTP_ORIGIN="https://fleet.example")
    other = browser.options("/api/v1/instances", HTTP_ORIGIN="https://evil.example")
    called = Client().get("/api/v1/instances", HTTP_ORIGIN="https://fleet.example")

    assert named.status_code == 204
    assert named["Access-Control-Allow-Origin"] == "https://fleet.example"
    assert "Idempotency-Key" in named["Access-Control-Allow-Headers"]
    assert not other.has_header("Access-Control-Allow-Origin")
    assert called["Access-Control-Allow-Origin"] == "https://fleet.example"
    assert "Origin" in called["Vary"]


def test_no_origin_may_call_unless_one_is_named() -> None:
    answer = Client().get("/api/v1/instances", HTTP_ORIGIN="https://fleet.example")

    assert not answer.has_header("Access-Control-Allow-Origin")


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v2/instances", "/health/nothing", "/metrics/nothing", "/api/v1/x.php"]
)
def test_what_no_route_takes_is_a_problem_for_machines(path: str) -> None:
    answer = Client().get(path)

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer["X-Request-ID"]


def test_a_failure_outside_the_views_is_a_problem_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr("django.middleware.common.CommonMiddleware.process_request", broken)

    answer = Client(raise_request_exception=False).get("/api/v1/instances")

    assert (answer.status_code, answer.json()["code"]) == (500, "server_error")
    assert "hunter2" not in answer.content.decode()


def test_a_host_nobody_named_is_a_400(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["fleet.example"]

    answer = Client(HTTP_HOST="evil.example").get("/api/v1/instances")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_a_body_without_a_length_is_refused_rather_than_ignored() -> None:
    answer = Client(HTTP_TRANSFER_ENCODING="chunked").put("/api/v1/instances/one/last-used")

    assert (answer.status_code, answer.json()["code"]) == (411, "length_required")
