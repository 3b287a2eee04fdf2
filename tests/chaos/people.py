"""People who ask for things while everything breaks, and ask again until they get an answer."""

import time
import uuid
from typing import Any

import requests

from tests.chaos.scene import Scene
from tests.processes.fleet import BODY

VERBS_OF = {"create": ("stop", "stop", "restart", "migrate", "delete"), "stop": ("start", "start", "delete")}
VERBS_OF["start"] = VERBS_OF["create"]
PATIENCE_SECONDS = 40.0


def create(scene: Scene) -> str:
    """Ask for one more instance; its name."""
    name = f"box-{len(scene.record.wishes)}"
    asked_at = time.time()
    body = {**BODY, "name": name, "billing_mode": "on_demand", "wait_for_capacity": "1h"}
    answer = _insist(scene, "POST", "instances", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})
    assert answer.status_code == 202, answer.text
    scene.record.ids[name] = answer.json()["id"]
    scene.record.accept(name, "create", asked_at)
    return name


def ask(scene: Scene, name: str, verb: str) -> bool:
    """Whether it was accepted; a refusal by state (409) is an answer too."""
    if verb == "create":
        create(scene)
        return True
    identity = scene.record.ids[name]
    asked_at = time.time()
    if verb == "delete":
        answer = _insist(scene, "DELETE", f"instances/{identity}")
    else:
        answer = _insist(scene, "POST", f"instances/{identity}/{verb}", json={})
    assert answer.status_code in (202, 409), answer.text
    if answer.status_code == 202:
        scene.record.accept(name, verb, asked_at)
    else:
        scene.record.refused += 1
    return answer.status_code == 202


def ask_by_chance(scene: Scene) -> None:
    """Something that makes sense for an instance by chance; a deleted one is followed by a new one."""
    name = scene.chance.choice(scene.record.living())
    verb = scene.chance.choice(VERBS_OF[scene.record.last(name)])
    if ask(scene, name, verb) and verb == "delete":
        create(scene)


def _insist(scene: Scene, method: str, path: str, **options: Any) -> requests.Response:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = scene.product.api._send(method, path, **options)
            if answer.status_code < 500:
                return answer
        except requests.RequestException:
            answer = None
        assert time.monotonic() < until, f"{method} {path}: no answer; last {answer and answer.text}\n{scene.product.tail()}"
        time.sleep(0.1)
