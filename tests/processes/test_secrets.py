"""Secrets planted in every field that can hold one, and in what goes wrong, turn up nowhere but where they belong."""

import json
import re
import secrets
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import requests
import yaml
from cryptography.fernet import Fernet
from psycopg import sql

from instances.webhooks.signing import new_secret
from scripts.openapi import PATH
from tests.conftest import StartProduct, StartSimulator
from tests.instances.webhooks.receiver import Receiver, receiving
from tests.processes.fleet import BODY, QUICK, wait_for_phase
from tests.processes.product import Api, Product
from tests.processes.simulator import Simulator

pytestmark = pytest.mark.process

GPU = "/gpu-instance/openapi/v1"
ADMIN_PAGES = (
    *("instances/instance", "instances/machine", "instances/job", "instances/event"),
    *("instances/webhookendpoint", "instances/delivery", "novita_manager/apikey"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """Each is long and random, and named for where it was planted."""

    provider_key: str
    django_secret_key: str
    wrong_password: str
    wrong_key: str
    basic_credentials: str
    query_token: str
    registry_password: str
    environment_value: str
    value_in_a_broken_body: str
    value_in_a_refused_field: str
    value_in_a_refused_create: str
    webhook_address_token: str
    changed_webhook_token: str
    default_webhook_token: str
    program_webhook_token: str
    chat_webhook_token: str

    @classmethod
    def new(cls) -> "Planted":
        return cls(**{one.name: f"{one.name.replace('_', '-')}-{secrets.token_hex(12)}" for one in fields(cls)})

    def all(self) -> dict[str, str]:
        return {one.name: getattr(self, one.name) for one in fields(self)}


def test_no_planted_secret_turns_up_where_it_does_not_belong(product: StartProduct, simulator: StartSimulator) -> None:
    with receiving() as receiver:
        search(product, simulator(speed=20), receiver)


def search(product: StartProduct, novita: Simulator, receiver: Receiver) -> None:
    planted, signing_secret = Planted.new(), new_secret()
    encryption_key = Fernet.generate_key().decode()
    running = product(
        "production",
        simulator=novita,
        **QUICK,
        NOVITA_API_KEY=planted.provider_key,
        SECRET_KEY=planted.django_secret_key,
        FIELD_ENCRYPTION_KEYS=encryption_key,
        WEBHOOK_URL=f"{receiver.url}/{planted.default_webhook_token}",
        WEBHOOK_SECRET=signing_secret,
        WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
        LOG_LEVEL="DEBUG",
        LOG_FORMAT="json",
    )
    running.wait_for_prices()
    told = misuse(running, planted)
    webhook_secrets = register(running, receiver, planted)

    identity = use(running, novita, planted, receiver)

    connection = running.api.read(f"instances/{identity}/connection")
    assert planted.environment_value in json.dumps(connection), "who may see it sees it"
    made = json.loads(running.manage("create_api_key", "reader", "--scope", "read", "--json").stdout)
    known = {
        **planted.all(),
        "first_key": running.api.key,
        "admin_password": running.environment["BOOTSTRAP_ADMIN_PASSWORD"],
        "encryption_key": encryption_key,
        "reader_key": made["key"],
        "ssh_password": connection["ssh"]["password"],
        "signing_secret": signing_secret,
        **webhook_secrets,
    }
    told |= received(running, receiver)
    told |= pages(Api(running.url, made["key"]), identity) | admin_pages(running, identity)
    told |= logs(running.folder) | rows(running) | cached(running)
    assert len(told) > 60
    for kind in ("/api", "page", "table", "webhook", "message"):
        assert any("keeper" in text for where, text in told.items() if where.startswith(kind)), f"{kind}: nothing was read"
    assert [f"{name} shows in {where}" for where, text in told.items() for name, mark in known.items() if mark in text] == []


def misuse(product: Product, planted: Planted) -> dict[str, str]:
    """What goes wrong with a secret in hand, and the answers to it."""
    api, found = product.api, {}

    def note(what: str, answer: requests.Response, *statuses: int) -> None:
        assert answer.status_code in statuses, (what, answer.status_code, answer.text)
        found[what] = f"{answer.headers}{answer.text}"

    as_nobody = requests.Session()
    listed = f"{product.url}/api/v1/instances"
    for name, header in (("wrong key", f"Bearer {planted.wrong_key}"), ("basic", f"Basic {planted.basic_credentials}")):
        note(name, as_nobody.get(listed, headers={"Authorization": header}, timeout=20), 401)
    note(
        "query",
        as_nobody.get(listed, params={"token": planted.query_token, "api_key": planted.query_token}, timeout=20),
        401,
    )
    note("query with a key", api.get("instances", params={"password": planted.query_token}), 200)
    broken = f'{{"envs": [{{"key": "A", "value": "{planted.value_in_a_broken_body}"'.encode()
    as_json = {"Content-Type": "application/json", "Authorization": f"Bearer {api.key}"}
    note("broken body", requests.post(listed, data=broken, headers=as_json, timeout=20), 400)
    refused = {**BODY, "name": "x", "envs": [{"key": "A", "value": planted.value_in_a_refused_field * 200}, {"key": "A="}]}
    note("refused field", api.post("instances", refused), 400)
    create = {
        **BODY,
        "name": "y",
        "product_name": "none such",
        "envs": [{"key": "A", "value": planted.value_in_a_refused_create}],
    }
    note("refused create", api.post("instances", create), 400)
    form = {"username": "admin", "password": planted.wrong_password}
    sign_in(as_nobody, product, form)
    return found


def sign_in(session: requests.Session, product: Product, form: dict[str, str]) -> requests.Response:
    page = session.get(f"{product.url}/admin/login/", timeout=20)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token is not None
    data = {**form, "csrfmiddlewaretoken": token[1]}
    return session.post(page.url, data=data, headers={"Referer": page.url}, timeout=20)


def register(product: Product, receiver: Receiver, planted: Planted) -> dict[str, str]:
    """A webhook for a program, with its secret replaced once, and one for people; the secrets that their answers showed."""
    program = {"url": f"{receiver.url}/program/{planted.program_webhook_token}"}
    made = product.api.post("webhooks", program, headers={"Idempotency-Key": "a-webhook"})
    assert made.status_code == 201, made.text
    rotated = product.api.post(f"webhooks/{made.json()['id']}/rotate-secret", headers={"Idempotency-Key": "its-secret"})
    assert rotated.status_code == 200, rotated.text
    chat = {"url": f"{receiver.url}/chat/{planted.chat_webhook_token}", "format": "slack", "min_severity": "info"}
    assert product.api.post("webhooks", chat).status_code == 201
    return {"webhook_secret": made.json()["secret"], "rotated_webhook_secret": rotated.json()["secret"]}


def received(product: Product, receiver: Receiver) -> dict[str, str]:
    """What came to the webhook of the settings, of the program, of the instance and of people; addresses are left out."""

    def told() -> dict[str, str]:
        return {
            f"{'message' if '/chat/' in got.path else 'webhook'} {number}": f"{got.headers}{got.body.decode()}"
            for number, got in enumerate(list(receiver.got))
        }

    def has_come() -> bool:
        ready = {got.path.split("/")[2] for got in list(receiver.got) if b'"type":"instance.ready"' in got.body}
        return len(ready) == 3 and any(where.startswith("message") and "keeper" in text for where, text in told().items())

    product.wait_for(has_come, seconds=60, what="three webhooks and a message tell that it is ready")
    return told()


def use(product: Product, novita: Simulator, planted: Planted, receiver: Receiver) -> str:
    """An instance with secrets in all of its fields that can hold one, ready, changed, and with its log read."""
    auth = {"name": "mine", "username": "me", "password": planted.registry_password}
    as_owner = {"Authorization": f"Bearer {planted.provider_key}"}
    assert requests.post(f"{novita.url}{GPU}/repository/auth/save", json=auth, headers=as_owner, timeout=10).ok
    auths = requests.get(f"{novita.url}{GPU}/repository/auths", headers=as_owner, timeout=10).json()["data"]
    body = {
        **BODY,
        "name": "keeper",
        "envs": [{"key": "TOKEN", "value": planted.environment_value}],
        "registry_auth_id": auths[0]["id"],
        "webhook_url": f"{receiver.url}/own/{planted.webhook_address_token}",
    }
    answer = product.api.post("instances", body, headers={"Idempotency-Key": "with-secrets"})
    assert answer.status_code == 202, answer.text
    identity: str = answer.json()["id"]
    wait_for_phase(product, identity, "ready", seconds=90)
    change = {"webhook_url": f"{receiver.url}/own/{planted.changed_webhook_token}", "owner": "maya"}
    assert product.api.patch(f"instances/{identity}", change).status_code == 200
    assert product.api.get(f"instances/{identity}/logs").status_code in (200, 503)
    assert product.api.get(f"instances/{identity}/metrics").status_code in (200, 503)
    novita.control.faults({"call": "restart", "kind": "500", "count": 2})
    assert product.api.post(f"instances/{identity}/restart").status_code == 202
    return identity


def pages(reader: Api, identity: str) -> dict[str, str]:
    """Every GET of the description to a key that may only read."""
    found = {}
    described: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))["paths"]
    rooms = ("jobs", "events", "templates", "webhooks/deliveries", "webhooks")
    rows_ = {room: reader.read(room)["results"] for room in rooms}
    for path in [path for path, item in described.items() if "get" in item]:
        room = next((room for room in rooms if path.startswith(f"/api/v1/{room}")), "")
        known = rows_.get(room)
        address = path.replace("{ref}", identity).replace("{id}", str(known[0]["id"]) if known else "1")
        answer = reader.get(address, params={"limit": "500"} if "{" not in path or path.endswith("/events") else {})
        assert answer.status_code in (200, 400, 403, 404, 503), (address, answer.text)
        found[address] = f"{answer.headers}{answer.text}"
    for address in ("/health", "/metrics", "/api/schema"):
        found[address] = reader.get(address).text
    return found


def admin_pages(product: Product, identity: str) -> dict[str, str]:
    """Lists and the pages of the newest rows, as an administrator sees them; the instance's own page shows what it shows."""
    session = requests.Session()
    password = product.environment["BOOTSTRAP_ADMIN_PASSWORD"]
    assert sign_in(session, product, {"username": "admin", "password": password}).ok
    found = {}
    for page in ("", f"fleet/{identity}", *(f"admin/{one}/" for one in ADMIN_PAGES)):
        answer = session.get(f"{product.url}/{page}", timeout=20)
        assert answer.status_code == 200, (page, answer.status_code)
        found[f"page {page}"] = answer.text
    return found


def logs(folder: Path) -> dict[str, str]:
    found = {f"log {path.name}": path.read_text(errors="replace") for path in folder.rglob("*.log")}
    assert sum(map(len, found.values())) > 10_000
    return found


def rows(product: Product) -> dict[str, str]:
    """Every row of the database as text. An instance's address for messages is kept to be called, and shown nowhere."""
    address = product.environment["DATABASE_URL"].removeprefix("postgresql://postgres@")
    folder, _, name = address.rpartition("/")
    found: dict[str, str] = {}
    with psycopg.connect(host=folder, dbname=name, user="postgres") as database:
        tables = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            query = sql.SQL("SELECT (to_jsonb(t) - 'webhook_url')::text FROM {} t").format(sql.Identifier(table))
            found[f"table {table}"] = "\n".join(str(row[0]) for row in database.execute(query).fetchall())
    assert len(found) > 15
    return found


def cached(product: Product) -> dict[str, str]:
    """All that Redis holds."""
    with redis.Redis.from_url(product.redis_url) as client:
        return {f"redis {key!r}": str(client.dump(key)) for key in client.scan_iter()}
