"""The life of one instance, over real sockets and real processes, on both shapes of the product.

Each step is proven by the simulator's own state; what was written on the way is then searched for secrets.
"""

import json
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.conftest import StartProduct, StartSimulator
from tests.processes.fleet import BODY, QUICK, SPEED, calls, machines_of, shown, story, wait_for_phase
from tests.processes.product import Api, Product
from tests.processes.simulator import Simulator
from tests.processes.waiting import wait_for

pytestmark = [pytest.mark.process, pytest.mark.long]

THRESHOLD = 5.0
NAME = "traveller"
GPU = "/gpu-instance/openapi/v1"
PORTS = [{"port": 8080, "type": "http"}, {"port": 9000, "type": "tcp"}]
CHECK = {"http": {"port": 8080, "path": "/"}, "tcp": {"port": 9000}}
# What a reader of the timeline must find in this order, and who did it.
STORY = [
    ("instance.requested", "key"),
    ("job.create_sent", "system"),
    ("instance.created", "system"),
    ("instance.running", "system"),
    ("instance.ready", "system"),
    ("instance.first_used", "key"),
    ("instance.stopped_wanted", "rule"),
    ("job.stop_sent", "system"),
    ("instance.stopped", "system"),
    ("instance.running_wanted", "key"),
    ("job.start_sent", "system"),
    ("instance.running", "system"),
    ("instance.ready", "system"),
    ("instance.deleted_wanted", "key"),
    ("job.delete_sent", "system"),
    ("instance.deleted", "system"),
]
PAGES = (
    "instances?include_ended=true",
    "jobs",
    "events",
    "alarms",
    "products",
    "regions",
    "templates",
    "automation",
    "sync/runs",
    "auto-stop/stats",
    "auto-stop/policies",
    "auto-stop/decisions",
    "/health",
    "/api/schema",
)
PAGES_OF_ONE = ("", "/explain", "/events", "/connection")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Marked values that must not turn up anywhere but where they belong."""

    provider_key: str
    registry_password: str
    environment_value: str

    @classmethod
    def new(cls) -> "Secrets":
        return cls(**{name: f"{name}.{secrets.token_hex(12)}" for name in cls.__slots__})

    def all(self, *more: str) -> tuple[str, ...]:
        return (self.provider_key, self.registry_password, self.environment_value, *more)


@pytest.mark.parametrize("shape", ["embedded", "production"])
def test_the_whole_journey_of_an_instance(shape: str, product: StartProduct, simulator: StartSimulator) -> None:
    novita, marked = simulator(speed=SPEED), Secrets.new()
    running = product(
        shape,
        simulator=novita,
        **QUICK,
        NOVITA_API_KEY=marked.provider_key,
        AUTO_STOP_INTERVAL="1s",
        AUTO_STOP_THRESHOLD=f"{THRESHOLD:g}s",
        LOG_FORMAT="json",
    )

    identity = create(running, novita, marked)
    becomes_ready(running, novita, identity)
    password = ssh_password(running, identity)
    use_keeps_it(running, novita, identity)
    idle_stops_it(running, novita, identity)
    starts_again(running, novita, identity)
    ends(running, novita, identity)

    reads_like_a_story(running, identity)
    costs_what_the_bill_says(running, novita, identity)
    logs_one_line_per_request_and_call(running, novita)
    assert not list(traces_of(marked.all(password), running, identity))


def create(product: Product, novita: Simulator, marked: Secrets) -> str:
    auth = {"name": "mine", "username": "me", "password": marked.registry_password}
    as_owner = {"Authorization": f"Bearer {marked.provider_key}"}
    assert requests.post(f"{novita.url}{GPU}/repository/auth/save", json=auth, headers=as_owner, timeout=10).ok
    auths = requests.get(f"{novita.url}{GPU}/repository/auths", headers=as_owner, timeout=10).json()["data"]
    body = {
        **BODY,
        "name": NAME,
        "ports": PORTS,
        "health_check": CHECK,
        "envs": [{"key": "TOKEN", "value": marked.environment_value}],
        "registry_auth_id": auths[0]["id"],
        "auto_stop": {"mode": "enforce"},
    }
    answer = product.api.post("instances", body, headers={"X-Request-ID": "journey-create"})
    assert answer.status_code == 202, answer.text
    identity: str = answer.json()["id"]
    assert answer.headers["Location"].endswith(f"/api/v1/instances/{identity}")
    return identity


def becomes_ready(product: Product, novita: Simulator, identity: str) -> None:
    instance = wait_for_phase(product, identity, "ready", seconds=60)

    machine = the_machine(novita)
    assert (machine["id"], machine["status"]) == (instance["novita_id"], "running")
    assert machine["service_up"]
    assert {(endpoint["port"], answers(endpoint)) for endpoint in instance["endpoints"]} == {(8080, True), (9000, True)}


def answers(endpoint: dict[str, Any]) -> bool:
    """Whether somebody from outside reaches the service there."""
    if endpoint["type"] == "http":
        return requests.get(endpoint["url"], timeout=5).status_code == 200
    address = urlsplit(endpoint["url"] if "//" in endpoint["url"] else f"//{endpoint['url']}")
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=5):
        return True


def ssh_password(product: Product, identity: str) -> str:
    password: str = product.api.read(f"instances/{identity}/connection")["ssh"]["password"]
    assert len(password) > 8
    return password


def use_keeps_it(product: Product, novita: Simulator, identity: str) -> None:
    """Twice the threshold goes by, and it runs on, since somebody reports its use."""
    ready_at = moment(shown(product, identity)["ready_at"])

    def used_for_long() -> bool:
        answer = product.api.put(f"instances/{identity}/last-used")
        assert answer.status_code == 200, answer.text
        return (moment(answer.json()["last_used_at"]) - ready_at).total_seconds() > 2 * THRESHOLD

    wait_for(used_for_long, seconds=6 * THRESHOLD, every=0.5, what="it was used for twice the threshold")
    assert the_machine(novita)["status"] == "running"
    assert calls(novita, "stop") == []


def idle_stops_it(product: Product, novita: Simulator, identity: str) -> None:
    last_used_at = moment(shown(product, identity)["last_used_at"])

    wait_for_phase(product, identity, "stopped", seconds=60)

    machine = the_machine(novita)
    assert machine["status"] == "exited"
    assert machine["stopped_at"] - last_used_at.timestamp() >= THRESHOLD
    [stop] = [event for event in story(product, identity) if event["type"] == "instance.stopped_wanted"]
    assert "since its last use" in stop["reason"]
    assert "GPU" in stop["reason"]


def starts_again(product: Product, novita: Simulator, identity: str) -> None:
    assert product.api.post(f"instances/{identity}/start").status_code == 202
    instance = wait_for_phase(product, identity, "ready", seconds=60)
    assert the_machine(novita)["status"] == "running"
    assert instance["novita_id"] == the_machine(novita)["id"]


def ends(product: Product, novita: Simulator, identity: str) -> None:
    assert product.api.delete(f"instances/{identity}").status_code == 202
    wait_for_phase(product, identity, "deleted", seconds=60)
    assert the_machine(novita)["is_gone"]


def the_machine(novita: Simulator) -> dict[str, Any]:
    """The one machine that was ever made for it."""
    [machine] = machines_of(novita, NAME)
    return machine


def reads_like_a_story(product: Product, identity: str) -> None:
    events = story(product, identity)
    told = [(event["type"], event["actor"]["kind"]) for event in events]
    rest = iter(told)
    for chapter in STORY:
        assert chapter in rest, f"{chapter} does not follow in {told}"
    times = [moment(event["at"]) for event in events]
    assert times == sorted(times)
    asked = [event for event in events if event["type"] in ("job.create_requested", "job.create_sent")]
    assert {event["request_id"] for event in asked} == {"journey-create"}


def costs_what_the_bill_says(product: Product, novita: Simulator, identity: str) -> None:
    """Our meter stands where Novita's does, up to what happens between two polls at each of its four moves."""
    [bill] = [row for row in novita.control.bill()["instances"] if row["id"] == the_machine(novita)["id"]]
    price = the_machine(novita)["price_usd_per_hour"]
    ours = float(shown(product, identity)["cost_usd_so_far"])
    assert abs(ours - bill["compute_usd"]) <= price * 8 / 3600
    assert bill["compute_usd"] > price * 2 * THRESHOLD / 3600


def logs_one_line_per_request_and_call(product: Product, novita: Simulator) -> None:
    lines = list(log_lines(product))
    requests_ = [line for line in lines if line.get("event") == "http.request"]
    calls_ = [line for line in lines if line.get("event") == "novita.call"]
    assert all({"request_id", "status", "ms", "method", "route"} <= set(line) for line in requests_)
    assert all({"provider_request_id", "operation", "ms"} <= set(line) for line in calls_)
    assert [line["status"] for line in requests_ if line["request_id"] == "journey-create"] == [202]
    [created] = [line for line in calls_ if line["operation"] == "create_instance"]
    assert (created["request_id"], created["status"]) == ("journey-create", 200)
    for verb in ("create", "start", "stop", "delete"):
        told = [line for line in calls_ if line["operation"] == f"{verb}_instance"]
        assert len(told) == len(calls(novita, verb)) == 1, verb


def log_lines(product: Product) -> Iterator[dict[str, Any]]:
    for path in product.folder.glob("*.log"):
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("{"):
                yield json.loads(line)


def traces_of(marks: tuple[str, ...], product: Product, identity: str) -> Iterator[str]:
    """Where a secret shows: logs, the database file, answers to a key that may only read."""
    made = json.loads(product.manage("create_api_key", "reader", "--scope", "read", "--json").stdout)
    reader = Api(product.url, made["key"])
    assert reader.get(f"instances/{identity}/logs").status_code in (403, 409)
    written = {
        str(path): path.read_bytes()
        for path in product.folder.rglob("*")
        if path.is_file() and path.suffix in (".log", ".sqlite3", ".sqlite3-wal", ".json", ".rdb")
    }
    assert any(path.endswith(".log") and content for path, content in written.items())
    pages = [*PAGES, *(f"instances/{identity}{page}" for page in PAGES_OF_ONE)]
    told = {page: reader.get(page) for page in pages}
    assert {page: answer.status_code for page, answer in told.items() if not answer.ok} == {}
    everything = written | {page: answer.content for page, answer in told.items()}
    for where, content in everything.items():
        yield from (f"{where} shows {mark}" for mark in marks if mark.encode() in content)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
