"""What the Dockerfile and docker-compose.yml say, done without an engine: see `image`."""

import json
import re
import time
from typing import Any, LiteralString

import psycopg
import pytest
import requests

from tests.conftest import StartSimulator
from tests.processes.conftest import Deploy
from tests.processes.image import SERVICES, Containers, compose

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("image")]  # they share what stands for containers
BEHIND_PROXY = {"Host": "manager.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}


def get(containers: Containers, path: str, **headers: str) -> requests.Response:
    return requests.get(
        f"http://127.0.0.1:{containers.port}{path}",
        headers={**BEHIND_PROXY, **headers},
        allow_redirects=False,
        timeout=20,
    )


def health(containers: Containers) -> dict[str, Any]:
    answer: dict[str, Any] = get(containers, "/health", Authorization=f"Bearer {containers.key}").json()
    return answer


def test_all_serve_as_an_unprivileged_user_on_a_read_only_tree_and_over_https_alone(
    deploy: Deploy, simulator: StartSimulator
) -> None:
    running = deploy(simulator(fleet="3"), first=True)

    running.wait_for(lambda: health(running)["status"] == "ok", "all parts find each other")
    people_reach_it_behind_a_proxy_and_in_no_other_way(running)
    refused = running.run("python", "-c", "open('manage.py', 'a')")
    assert "PermissionError" in refused.stderr
    assert sorted(path.name for path in (running.folder / "data").iterdir()) in ([], ["novita"])


def people_reach_it_behind_a_proxy_and_in_no_other_way(running: Containers) -> None:
    page = get(running, "/sign-in")
    plain = get(running, "/sign-in", **{"X-Forwarded-Proto": "http"})
    strange = get(running, "/sign-in", Host="evil.example")
    style = re.search(r'"(/static/[^"]+\.[0-9a-f]{12}\.css)"', page.text)

    assert page.status_code == 200
    assert "max-age=31536000" in page.headers["Strict-Transport-Security"]
    assert "Secure" in page.headers["Set-Cookie"]
    assert (plain.status_code, plain.headers["Location"]) == (301, "https://manager.example/sign-in")
    assert strange.status_code == 400
    assert style is not None
    static = get(running, style[1])
    assert (static.status_code, "immutable" in static.headers["Cache-Control"]) == (200, True)


def test_every_line_is_json_names_its_cause_and_holds_no_secret(deploy: Deploy, simulator: StartSimulator) -> None:
    running = deploy(simulator(speed=60), AUTO_STOP_INTERVAL="1s", NOVITA_SPELLED_WRONG="x")
    request = {"Authorization": f"Bearer {running.key}", "X-Request-ID": "traced-1"}
    secret_value = "value-nobody-may-see"
    created = requests.post(
        f"http://127.0.0.1:{running.port}/api/v1/instances",
        headers={**BEHIND_PROXY, **request},
        json={
            "name": "traced",
            "product_name": "RTX 4090",
            "image_url": "docker.io/library/busybox:1",
            "region": "any",
            "envs": [{"key": "TOKEN", "value": secret_value}],
        },
        timeout=20,
    )
    assert created.status_code == 202, created.text
    identity = created.json()["id"]
    path = f"/api/v1/instances/{identity}"
    running_now = {"starting", "checking", "ready", "unhealthy"}
    running.wait_for(lambda: get(running, path, **request).json()["phase"] in running_now, "it is created")
    running.wait_for(lambda: '"work": "auto_stop"' in running.log("worker"), "a pass is told")

    for service in SERVICES:
        assert running.terminate(service, 30) == 0
    lines = {service: [json.loads(line) for line in running.log(service).splitlines()] for service in SERVICES}

    assert all({"event", "level", "timestamp", "logger"} <= set(line) for service in SERVICES for line in lines[service])
    asked = [line for line in lines["web"] if line["event"] == "http.request" and line["method"] == "POST"]
    assert [(line["request_id"], line["status"], line["route"]) for line in asked] == [
        ("traced-1", 202, "/api/v1/instances")
    ]
    assert asked[0]["client"] == "203.0.113.9"
    assert asked[0]["ms"] > 0
    read = [line for line in lines["web"] if line.get("route") == "/api/v1/instances/{ref}"]
    assert {line["instance_id"] for line in read} == {identity}
    (call,) = [line for line in lines["worker"] if line.get("kind") == "create"]
    assert (call["event"], call["request_id"], call["instance_id"]) == ("novita.call", "traced-1", identity)
    assert call["job_id"]
    assert call["ms"] >= 0
    steps = [line for line in lines["worker"] if line["event"] == "job.step" and line["job_id"] == call["job_id"]]
    assert (steps[0]["act"], steps[0]["verb"]) == ("call", "create")
    assert any(line["event"] == "lane.pass" and line["work"] == "auto_stop" for line in lines["worker"])
    assert any(line["event"] == "novita.call" and line.get("work") == "poll" for line in lines["worker"])
    assert any("NOVITA_SPELLED_WRONG is set" in line["event"] for line in lines["web"])
    assert any(line["logger"] == "gunicorn.error" for line in lines["web"])
    # Celery says good-bye to people on standard output; nobody else says anything there.
    said = {service: (running.folder / f"{service}.out").read_text().split("\n") for service in SERVICES}
    assert said == {"web": [""], "worker": ["", "worker: Warm shutdown (MainProcess)", ""], "beat": [""]}
    whole = "\n".join(running.log(service) for service in SERVICES)
    kept = [running.secret(path.name) for path in (running.folder / "secrets").iterdir()]
    assert [one for one in (*kept, running.key, running.password, secret_value) if one in whole] == []


def test_a_stop_ends_all_within_the_grace_of_compose_and_gives_leases_back(
    deploy: Deploy, simulator: StartSimulator
) -> None:
    novita = simulator(fleet="3")
    running = deploy(novita, INSTANCE_POLL_INTERVAL="1s", STOP_GRACE="2s", NOVITA_READ_TIMEOUT="40s", JOB_LEASE="60s")
    running.wait_for(lambda: health(running)["status"] == "ok", "all parts find each other")
    novita.control.faults({"call": "list", "kind": "timeout"})
    running.wait_for(lambda: hanging(running), "a list hangs, and its lease is held")
    grace = float(compose()["x-manager"]["stop_grace_period"].removesuffix("s"))

    took = {}
    for service in ("worker", "beat", "web"):
        began = time.monotonic()
        assert running.terminate(service, grace) == 0
        took[service] = time.monotonic() - began

    assert leases(running) == []
    assert took["worker"] < 10
    assert due_now(running, "poll")
    assert '"event": "lanes.cut_off"' in running.log("worker")


def leases(containers: Containers) -> list[Any]:
    return query(
        containers, "SELECT name FROM instances_periodicwork WHERE lease_until > now() AND name IN ('poll', 'watch')"
    )


def hanging(containers: Containers) -> list[Any]:
    """Lists under way for longer than one that is answered takes."""
    return query(
        containers,
        "SELECT name FROM instances_periodicwork WHERE lease_until > now() AND name IN ('poll', 'watch') "
        "AND started_at < now() - interval '1500 milliseconds'",
    )


def due_now(containers: Containers, name: str) -> bool:
    return bool(query(containers, "SELECT 1 FROM instances_periodicwork WHERE name = %s AND next_due_at <= now()", name))


def query(containers: Containers, statement: LiteralString, *values: str) -> list[Any]:
    address = containers.secret("database_url").removeprefix("postgresql://postgres@/")
    folder, _, database = address.rpartition("/")
    with psycopg.connect(host=folder, user="postgres", dbname=database) as connection:
        return connection.execute(statement, values).fetchall()
