"""Whatever is sent: the right status, the field at fault, never a 500, and nothing reaches Novita."""

import json
from typing import Any

import pytest

from instances.models import Instance
from instances.novita.errors import NotFound, Unavailable
from tests.factories import make_instance, make_offer
from tests.instances.api.calls import API, NEW, Caller, fields

pytestmark = pytest.mark.django_db

LONG = "x" * 100_000
BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"name": ""}, "name", "blank"),
    ({"name": None}, "name", "null"),
    ({"name": 7}, "name", "not_text"),
    ({"name": ["a"]}, "name", "not_text"),
    ({"name": "x" * 101}, "name", "max_length"),
    ({"name": LONG}, "name", "max_length"),
    ({"name": "with space"}, "name", "pattern"),
    ({"name": "ünicode"}, "name", "pattern"),
    ({"name": "a/b"}, "name", "pattern"),
    ({"name": "trainer\n"}, "name", "control_characters"),
    ({"name": "nul\u0000"}, "name", "control_characters"),
    ({"name": ".."}, "name", "reserved"),
    ({"name": "stop-all"}, "name", "reserved"),
    ({"name": "2b0f5d54-9b0c-4f5e-8a51-0d6b0a6c1a11"}, "name", "like_an_id"),
    ({"name": "deadbeefdeadbeef"}, "name", "like_an_id"),
    ({"product_id": "also"}, "product_name", "exclusive"),
    ({"product_name": ""}, "product_name", "blank"),
    ({"product_name": {"a": 1}}, "product_name", "not_text"),
    ({"template_id": "t"}, "image_url", "exclusive"),
    ({"image_url": "two words"}, "image_url", "pattern"),
    ({"image_url": "x" * 501}, "image_url", "max_length"),
    ({"image_url": "half\ud800"}, "image_url", "control_characters"),
    ({"gpu_num": "3"}, "gpu_num", "not_a_number"),
    ({"gpu_num": 0}, "gpu_num", "min_value"),
    ({"gpu_num": 9}, "gpu_num", "max_value"),
    ({"gpu_num": 1.0}, "gpu_num", "not_a_number"),
    ({"gpu_num": True}, "gpu_num", "not_a_number"),
    ({"gpu_num": 10**40}, "gpu_num", "max_value"),
    ({"gpu_num": None}, "gpu_num", "null"),
    ({"rootfs_size_gb": 9}, "rootfs_size_gb", "min_value"),
    ({"rootfs_size_gb": 6145}, "rootfs_size_gb", "max_value"),
    ({"rootfs_size_gb": "60"}, "rootfs_size_gb", "not_a_number"),
    ({"region": "EU", "regions": ["EU"]}, "region", "exclusive"),
    ({"regions": []}, "regions", "min_length"),
    ({"regions": "EU"}, "regions", "not_a_list"),
    ({"regions": ["EU", 3]}, "regions.1", "not_text"),
    ({"billing_mode": "monthly"}, "billing_mode", "invalid_choice"),
    ({"billing_mode": 1}, "billing_mode", "invalid_choice"),
    ({"max_price_usd_per_hour": "0"}, "max_price_usd_per_hour", "not_money"),
    ({"max_price_usd_per_hour": "-1"}, "max_price_usd_per_hour", "not_money"),
    ({"max_price_usd_per_hour": "cheap"}, "max_price_usd_per_hour", "invalid"),
    ({"max_price_usd_per_hour": "NaN"}, "max_price_usd_per_hour", "invalid"),
    ({"max_price_usd_per_hour": "1e400"}, "max_price_usd_per_hour", "max_digits"),
    ({"max_price_usd_per_hour": True}, "max_price_usd_per_hour", "not_money"),
    ({"fallback_to_on_demand": "true"}, "fallback_to_on_demand", "not_a_flag"),
    ({"fallback_to_on_demand": 1}, "fallback_to_on_demand", "not_a_flag"),
    ({"protected": None}, "protected", "null"),
    ({"ports": "8080/http"}, "ports", "not_a_list"),
    ({"ports": [8080]}, "ports.0", "not_an_object"),
    ({"ports": [{"port": 0, "type": "http"}]}, "ports.0.port", "min_value"),
    ({"ports": [{"port": 65536, "type": "http"}]}, "ports.0.port", "max_value"),
    ({"ports": [{"port": 2222, "type": "tcp"}]}, "ports.0.port", "kept"),
    ({"ports": [{"port": "80", "type": "tcp"}]}, "ports.0.port", "not_a_number"),
    ({"ports": [{"port": 80, "type": "udp"}]}, "ports.0.type", "invalid_choice"),
    ({"ports": [{"port": 80}]}, "ports.0.type", "required"),
    ({"ports": [{"port": 80, "type": "tcp"}, {"port": 80, "type": "http"}]}, "ports", "repeated"),
    ({"ports": [{"port": 80, "type": "tcp", "name": "x"}]}, "ports.0.name", "unknown_field"),
    ({"ports": [{"port": 1000 + n, "type": "tcp"} for n in range(16)]}, "ports", "max_length"),
    ({"envs": [{"key": "", "value": ""}]}, "envs.0.key", "blank"),
    ({"envs": [{"key": "A=B", "value": ""}]}, "envs.0.key", "pattern"),
    ({"envs": [{"key": "A" * 512, "value": ""}]}, "envs.0.key", "max_length"),
    ({"envs": [{"key": "A", "value": "x" * 4096}]}, "envs.0.value", "max_length"),
    ({"envs": [{"key": "A", "value": 1}]}, "envs.0.value", "not_text"),
    ({"envs": [{"key": "A", "value": "\u0007"}]}, "envs.0.value", "control_characters"),
    ({"envs": [{"key": "A", "value": ""}, {"key": "A", "value": ""}]}, "envs", "repeated"),
    ({"envs": [{"key": "NOVITA_MANAGER_ID", "value": ""}]}, "envs.0.key", "reserved"),
    ({"envs": [{"key": f"A{n}", "value": ""} for n in range(101)]}, "envs", "max_length"),
    ({"envs": {"A": "b"}}, "envs", "not_a_list"),
    ({"command": "x" * 2048}, "command", "max_length"),
    ({"entrypoint": "x" * 2048}, "entrypoint", "max_length"),
    ({"min_cuda_version": "new"}, "min_cuda_version", "pattern"),
    ({"tools": [{"name": "Jupyter"}]}, "tools.0.port", "required"),
    ({"tools": [{"name": "Jupyter", "port": 80}], "ports": [{"port": 80, "type": "tcp"}]}, "tools", "repeated"),
    ({"network_storages": [{"id": "a", "mount_path": "relative"}]}, "network_storages.0.mount_path", "pattern"),
    ({"auto_stop": "off"}, "auto_stop", "not_an_object"),
    ({"auto_stop": {"mode": "sometimes"}}, "auto_stop.mode", "invalid_choice"),
    ({"auto_stop": {"threshold": 20}}, "auto_stop.threshold", "not_a_duration"),
    ({"auto_stop": {"threshold": "20"}}, "auto_stop.threshold", "not_a_duration"),
    ({"auto_stop": {"threshold": "0s"}}, "auto_stop.threshold", "min_value"),
    ({"auto_stop": {"threshold": "999999999d"}}, "auto_stop.threshold", "max_value"),
    ({"auto_stop": {"stop_at": "2001-01-01T00:00:00Z"}}, "auto_stop.stop_at", "past"),
    ({"auto_stop": {"stop_at": "2099-01-01T00:00:00"}}, "auto_stop.stop_at", "not_a_time"),
    ({"auto_stop": {"stop_at": "tomorrow"}}, "auto_stop.stop_at", "not_a_time"),
    ({"auto_stop": {"stop_at": 4102444800}}, "auto_stop.stop_at", "not_a_time"),
    ({"auto_stop": {"idle": "20m"}}, "auto_stop.idle", "unknown_field"),
    ({"health_check": {"http": {"path": "/"}}}, "health_check.http.port", "required"),
    ({"health_check": {"http": {"port": 81}}}, "health_check.http.port", "not_exposed"),
    ({"health_check": {"http": {"port": 80, "status": 99}}}, "health_check.http.status", "min_value"),
    ({"health_check": {"http": {"port": 80, "path": "x"}}}, "health_check.http.path", "pattern"),
    ({"health_check": {"udp": {"port": 80}}}, "health_check.udp", "unknown_field"),
    ({"health_check": []}, "health_check", "not_an_object"),
    ({"webhook_url": "ftp://x.example/"}, "webhook_url", "not_an_address"),
    ({"webhook_url": "https://"}, "webhook_url", "not_an_address"),
    ({"webhook_url": "https://x.example:99999/"}, "webhook_url", "not_an_address"),
    ({"webhook_url": "https://x.example/" + "x" * 2000}, "webhook_url", "max_length"),
    ({"labels": ["a"]}, "labels", "not_labels"),
    ({"labels": {"a": 1}}, "labels", "bad_text"),
    ({"labels": {"": "a"}}, "labels", "bad_name"),
    ({"labels": {"a\u0000": "a"}}, "labels", "bad_name"),
    ({"labels": {f"l{n}": "a" for n in range(51)}}, "labels", "too_many"),
    ({"owner": "x" * 256}, "owner", "max_length"),
    ({"local_data": "kept"}, "local_data", "invalid_choice"),
    ({"on_startup_timeout": "delete"}, "on_startup_timeout", "invalid_choice"),
    ({"wait_for_capacity": 600}, "wait_for_capacity", "not_a_duration"),
    ({"wait_for_capacity": "31d"}, "wait_for_capacity", "max_value"),
    ({"gpu_count": 2}, "gpu_count", "unknown_field"),
    ({"\u0000": 2}, "?", "unknown_field"),
    ({"id": "x"}, "id", "unknown_field"),
]


@pytest.mark.parametrize(("change", "field", "code"), BAD_FIELDS, ids=lambda value: str(value)[:40])
def test_a_bad_field_is_named(change: dict[str, Any], field: str, code: str) -> None:
    make_offer()

    answer = Caller().post("/instances", NEW | change)

    assert answer.status_code == 400, answer.content[:500]
    assert fields(answer) == {field: code}
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "validation_error"
    assert not Instance.objects.exists()


def test_everything_wrong_is_told_at_once() -> None:
    body = {"name": "", "gpu_num": "3", "ports": [{"port": 0, "type": "http"}], "colour": "red"}

    answer = Caller().post("/instances", body)

    assert fields(answer) == {
        "name": "blank",
        "gpu_num": "not_a_number",
        "ports.0.port": "min_value",
        "colour": "unknown_field",
    }


def test_missing_fields_are_named() -> None:
    assert fields(Caller().post("/instances", {})) == {"name": "required"}
    assert fields(Caller().post("/instances", {"name": "a"})) == {"product_name": "required", "image_url": "required"}


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"not json",
        b"[]",
        b'"text"',
        b"null",
        b"1",
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": "a", "name": "b"}',
        b"\xff\xfe",
        b'{"name": "\xff"}',
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b"[" * 100_000,
        b'{"a":' + b"[" * 100_000,
        b'{"gpu_num": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda raw: raw[:20].decode("latin-1"),
)
def test_a_body_that_is_no_json_object_is_refused(raw: bytes) -> None:
    answer = Caller().post("/instances", raw)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


def test_a_body_above_1_mib_is_too_large() -> None:
    answer = Caller().post("/instances", json.dumps(NEW | {"owner": "x" * 1_100_000}).encode())

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_another_content_type_is_refused(content_type: str) -> None:
    answer = Caller().client.post(f"{API}/instances", data=b"name=a", content_type=content_type)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


class NoSuchTemplate:
    def get_template(self, template_id: str) -> None:
        raise NotFound("no such template")


class Away:
    def get_template(self, template_id: str) -> None:
        raise Unavailable("nobody answers")


def test_an_unknown_template_is_asked_for_once_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    make_offer()
    body = {"name": "a", "product_name": "RTX 4090", "template_id": "nowhere"}
    caller = Caller()
    monkeypatch.setattr("instances.api.creation.novita", lambda: NoSuchTemplate())

    first = caller.post("/instances", body)
    monkeypatch.setattr("instances.api.creation.novita", lambda: pytest.fail("asked again"))
    second = caller.post("/instances", body)

    for answer in (first, second):
        assert answer.status_code == 400
        assert fields(answer) == {"template_id": "unknown_template"}


def test_a_template_is_left_to_the_job_while_novita_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    make_offer()
    monkeypatch.setattr("instances.api.creation.novita", lambda: Away())

    answer = Caller().post("/instances", {"name": "a", "product_name": "RTX 4090", "template_id": "nowhere"})

    assert answer.status_code == 202
    assert Instance.objects.get().template_id == "nowhere"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/instances?phase=sleeping", "phase.0"),
        ("/instances?managed=maybe", "managed"),
        ("/instances?ordering=secret", "ordering"),
        ("/instances?limit=none", "limit"),
        ("/instances?limit=0", "limit"),
        ("/instances?offset=-1", "offset"),
        ("/instances?offset=1e3", "offset"),
        ("/instances?search=%00", "search"),
        ("/jobs?cursor=broken", "cursor"),
        ("/jobs?instance_id=7", "instance_id"),
        ("/jobs?state=odd", "state.0"),
        ("/events?since=yesterday", "since"),
    ],
)
def test_a_bad_query_is_named(path: str, field: str) -> None:
    answer = Caller().get(path)

    assert answer.status_code == 400, answer.content
    assert field.split(".")[0] in {name.split(".")[0] for name in fields(answer)}


@pytest.mark.parametrize(
    "path",
    [
        "/instances/nobody",
        "/instances/%00",
        "/instances/" + "x" * 3000,
        "/instances/00000000-0000-4000-8000-000000000000",
        "/jobs/7",
        "/jobs/00000000-0000-4000-8000-000000000000",
        "/events/99999999999999999999999999",
        "/alarms/99999999999999999999999999",
        "/templates/nothing",
        "/nothing",
    ],
    ids=lambda path: path[:40],
)
def test_what_is_not_there_is_a_404_problem(path: str) -> None:
    answer = Caller().get(path)

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"


def test_another_method_is_a_405_problem() -> None:
    caller = Caller()
    instance = make_instance()

    for answer in (
        caller.put("/instances", {}),
        caller.get(f"/instances/{instance.pk}/start"),
        caller.get("/instances/bulk"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_a_huge_offset_is_an_empty_page() -> None:
    answer = Caller().get("/instances?offset=999999999999999999")

    assert (answer.status_code, answer.json()["results"]) == (200, [])


@pytest.mark.parametrize("path", ["/sync/runs", "/auto-stop/check"])
@pytest.mark.parametrize(
    ("raw", "field"),
    [(rb'{"\ud800": 1}', "?"), (b'{"dry_run": "no"}', "dry_run"), (b'{"dryrun": true}', "dryrun"), (b'{"": 1}', "")],
)
def test_a_bad_order_to_look_now_is_named_and_looks_at_nothing(path: str, raw: bytes, field: str) -> None:
    answer = Caller().post(path, raw)

    assert (answer.status_code, set(fields(answer))) == (400, {field})


def test_a_refusal_of_the_content_type_says_which_one_is_taken() -> None:
    answer = Caller().client.post(f"{API}/instances", data="name=a", content_type="text/plain")

    assert answer.json()["detail"] == "send the body as application/json"


def test_a_number_beyond_all_bounds_is_refused_in_words() -> None:
    answer = Caller().post("/instances", b'{"gpu_num": 1e99999999999999999999}')

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
    assert "a number is beyond all bounds" in answer.json()["detail"]
