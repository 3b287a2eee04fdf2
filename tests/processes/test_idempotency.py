"""Requests that are sent again: fifty at once, and after the process died between its commit and its answer."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.conftest import StartProduct, StartSimulator
from tests.processes.fleet import BODY, QUICK, ask_for, machines_of, wait_for_phase
from tests.processes.product import Product
from tests.processes.simulator import Simulator

pytestmark = pytest.mark.process

AT_ONCE = 50


def test_fifty_creates_at_once_with_one_key_make_one_job_and_one_machine(
    product: StartProduct, simulator: StartSimulator
) -> None:
    novita = simulator(speed=20)
    running = product("embedded", simulator=novita, **QUICK)
    running.wait_for_prices()

    fifty_at_once_make_one(running, novita)


def test_they_do_in_production_where_a_repeat_after_a_kill_before_the_answer_gets_the_one_that_was_stored(
    product: StartProduct, simulator: StartSimulator
) -> None:
    novita = simulator(speed=20)
    running = product("production", simulator=novita, **QUICK)
    running.wait_for_prices()

    fifty_at_once_make_one(running, novita)
    a_repeat_gets_the_answer_that_was_stored(running, novita)


def fifty_at_once_make_one(running: Product, novita: Simulator) -> None:
    def create(_: int) -> requests.Response:
        headers = {"Authorization": f"Bearer {running.api.key}", "Idempotency-Key": "one-of-fifty"}
        url = f"{running.url}/api/v1/instances"
        body: dict[str, Any] = {**BODY, "name": "one"}
        return requests.post(url, json=body, headers=headers, timeout=60)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(create, range(AT_ONCE)))

    accepted = [one for one in answers if one.status_code == 202]
    assert {(one.status_code, one.json().get("code")) for one in answers if one not in accepted} <= {(409, "in_flight")}
    assert len({one.text for one in accepted}) == 1
    assert sum("Idempotent-Replayed" not in one.headers for one in accepted) == 1
    assert create(0).json() == accepted[0].json()
    identity = accepted[0].json()["id"]
    wait_for_phase(running, identity, "ready", seconds=90)
    assert running.api.read("instances")["count"] == 1
    assert [job["verb"] for job in running.api.read("jobs")["results"]] == ["create"]
    assert len(machines_of(novita, "one")) == 1


def dying(running: Product, moment: str) -> None:
    """Web processes that die, once, where their change is committed and its answer is not sent."""
    mark = running.folder / f"died-{moment}"
    running.serve_again({"FAILPOINT": moment, "FAILPOINT_MARK": str(mark)})


def answers(running: Product) -> bool:
    try:
        return bool(running.api.get("/health/live").ok)
    except requests.ConnectionError:
        return False


def killed_by(running: Product, path: str, body: dict[str, Any], key: str) -> None:
    with pytest.raises((requests.ConnectionError, requests.ReadTimeout)):
        running.api.post(path, body, headers={"Idempotency-Key": key})
    running.wait_for(lambda: answers(running), seconds=60, what="web is back")


def a_repeat_gets_the_answer_that_was_stored(running: Product, novita: Simulator) -> None:
    dying(running, "reply.after_commit")
    killed_by(running, "instances", {**BODY, "name": "killed"}, "killed-1")
    headers = {"Idempotency-Key": "killed-1"}
    answers_ = [running.api.post("instances", {**BODY, "name": "killed"}, headers=headers) for _ in range(3)]

    assert [one.status_code for one in answers_] == [202] * 3
    assert {one.headers.get("Idempotent-Replayed") for one in answers_} == {"true"}
    assert len({one.text for one in answers_}) == 1
    assert answers_[0].json()["phase"] == "requested"
    wait_for_phase(running, answers_[0].json()["id"], "ready", seconds=90)
    assert len(machines_of(novita, "killed")) == 1

    # A bulk of several is one transaction with its answer: repeated, it tells what was done, not that it is so already.
    other = ask_for(running, "other")
    wait_for_phase(running, other, "ready", seconds=90)
    (running.folder / "died-reply.after_commit").unlink()
    body = {"action": "stop", "refs": ["killed", "other"]}
    killed_by(running, "instances/bulk", body, "killed-2")
    repeated = running.api.post("instances/bulk", body, headers={"Idempotency-Key": "killed-2"})

    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert [one["code"] for one in repeated.json()["results"]] == ["accepted", "accepted"]
    wait_for_phase(running, other, "stopped", seconds=60)
