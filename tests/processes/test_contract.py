"""The description against the running product: thousands of made-up requests, and a client that was generated from it."""

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from scripts.openapi import PATH
from tests.processes.fleet import BODY, QUICK, ask_for, wait_for_phase
from tests.processes.product import Api, Product, new_product

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("contract")]  # they share a product

CHECKS = (
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
CASES = int(os.environ.get("SCHEMATHESIS_CASES", "12"))
OF_SCOPE = {"admin": CASES, "read": CASES // 2}  # most of what a key that may only read asks for is refused
# Each lists the whole account or judges the whole fleet.
FEW_CASES = {"sync_run": 3, "auto_stop_check": 3}
# Of the operation with that reference it says that nothing is there to be read yet, as it is described.
SAID_SO = "log_unavailable"


@pytest.fixture(scope="module")
def running() -> Iterator[Product]:
    """The embedded product with its own simulator and demo fleet."""
    folder = Path(tempfile.mkdtemp(prefix="nm-contract-"))
    product = new_product(folder, environment={**QUICK, "RATE_LIMIT_SIGN_IN": "60000/m", "LOG_LEVEL": "ERROR"})
    try:
        product.start()
        product.wait_for_prices()
        product.wait_for(lambda: product.api.read("instances")["count"] > 0, seconds=60, what="the fleet is known")
        yield product
    finally:
        product.stop()
        shutil.rmtree(folder, ignore_errors=True)


def key_with(product: Product, *scopes: str) -> str:
    words = [word for scope in scopes for word in ("--scope", scope)]
    told = product.manage("create_api_key", "-".join(scopes), *words).stdout
    return next(line for line in told.splitlines() if line.startswith("nvm_"))


def references(product: Product) -> dict[str, list[str]]:
    """What may stand in addresses: instances under each of their names, jobs, events and so on that exist."""
    instances = product.api.read("instances", params={"include_ended": "true"})["results"]
    refs = [one[name] for one in instances for name in ("id", "novita_id", "name") if one[name]]
    rows = {room: product.api.read(room)["results"] for room in ("jobs", "events", "templates", "alarms")}
    return {"ref": refs, **{room: [str(row["id"]) for row in found] for room, found in rows.items()}}


@pytest.mark.parametrize("scope", ["admin", "read"])
def test_no_made_up_request_meets_an_answer_that_is_not_described(running: Product, scope: str) -> None:
    description = schemathesis.openapi.from_path(PATH)
    description.config.generation.update(modes=list(GenerationMode))
    key, known = key_with(running, scope), references(running)
    ask_for(running, f"made-for-{scope}")
    asked, failures = 0, []
    for found in description.get_all_operations():
        assert isinstance(found, Ok), found
        operation: Any = found.ok()
        try:
            asked += _ask(operation, running, key, known, cases=OF_SCOPE[scope])
        except FailureGroup as group:
            failures.append(f"{operation.label}: {[str(one) for one in group.exceptions]}")

    assert failures == []
    assert asked > 40 * OF_SCOPE[scope] * 0.8


def _ask(operation: Any, product: Product, key: str, known: dict[str, list[str]], *, cases: int) -> int:
    asked: list[int] = []
    room = operation.path.split("/")[3]
    names = known["ref"] if "{ref}" in operation.path else known.get(room, [])

    @settings(
        max_examples=FEW_CASES.get(operation.definition.raw["operationId"], cases),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), existing=st.sampled_from([*names[:20], ""]), real=st.booleans())
    def run(case: Any, existing: str, real: bool) -> None:
        if real and existing and case.path_parameters:
            case.path_parameters = dict.fromkeys(case.path_parameters, existing)
        response = case.call(base_url=product.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        asked.append(response.status_code)
        if response.status_code == 503 and response.json()["code"] == SAID_SO:
            return
        case.validate_response(response, checks=CHECKS, excluded_checks=[])

    run()
    return len(asked)


@pytest.fixture(scope="module")
def client() -> Iterator[ModuleType]:
    """The package that openapi-python-client makes of the committed description."""
    folder = Path(tempfile.mkdtemp(prefix="nm-client-"))
    (folder / "config.yaml").write_text("package_name_override: generated_client\npost_hooks: []\n", encoding="utf-8")
    command = [str(Path(sys.executable).parent / "openapi-python-client"), "generate", "--path", str(PATH)]
    options = ["--meta", "none", "--config", "config.yaml", "--output-path", "generated_client", "--fail-on-warning"]
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    sys.path.insert(0, str(folder))
    yield importlib.import_module("generated_client")
    sys.path.remove(str(folder))
    shutil.rmtree(folder, ignore_errors=True)


def operation(room: str, name: str) -> Callable[..., Any]:
    module: Any = importlib.import_module(f"generated_client.api.{room}.{name}")
    call: Callable[..., Any] = module.sync_detailed
    return call


def test_a_generated_client_makes_the_whole_journey(running: Product, client: ModuleType) -> None:
    models: Any = importlib.import_module("generated_client.models")
    with client.AuthenticatedClient(base_url=running.url, token=running.api.key) as caller:
        body = models.CreateRequest.from_dict({**BODY, "name": "generated"})
        created = operation("instances", "instances_create")(client=caller, body=body, idempotency_key="generated-1")
        again = operation("instances", "instances_create")(client=caller, body=body, idempotency_key="generated-1")
        assert (created.status_code, again.status_code) == (202, 202)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.parsed == created.parsed
        identity = str(created.parsed.id)
        wait_for_phase(running, identity, "ready", seconds=90)

        instance = operation("instances", "instances_get")(identity, client=caller)
        assert instance.parsed.phase == models.PhaseEnum.READY
        known = operation("instances", "instances_get")("generated", client=caller, if_none_match=instance.headers["ETag"])
        assert known.status_code in (200, 304)
        used = operation("instances", "instances_last_used")(identity, client=caller, body=models.LastUsedRequest())
        assert used.parsed.name == "generated"
        why = operation("instances", "instances_explain")(identity, client=caller)
        assert why.parsed.wish.wanted == models.WantedEnum.RUNNING
        stopped = operation("instances", "instances_stop")(identity, client=caller, body=models.ActRequest(reason="done"))
        assert stopped.parsed.wanted == models.WantedEnum.STOPPED
        wait_for_phase(running, identity, "stopped", seconds=60)
        listed = operation("instances", "instances_list")(client=caller, search="generated", limit=5)
        assert [one.name for one in listed.parsed.results] == ["generated"]
        refused = operation("instances", "instances_create")(client=caller, body=body)
        assert (refused.status_code, refused.parsed.code) == (409, "name_taken")
        assert operation("instances", "instances_delete")(identity, client=caller).status_code == 202
    wait_for_phase(running, identity, "deleted", seconds=60)


def test_a_key_made_at_the_terminal_is_replaced_with_an_overlap_and_revoked(running: Product) -> None:
    old = key_with(running, "read")
    made = running.manage("rotate_api_key", old.removeprefix("nvm_")[:8], "--overlap", "1h").stdout
    new = next(line for line in made.splitlines() if line.startswith("nvm_"))
    assert [Api(running.url, key).get("instances").status_code for key in (old, new)] == [200, 200]

    running.manage("rotate_api_key", old.removeprefix("nvm_")[:8], "--revoke")

    assert [Api(running.url, key).get("instances").status_code for key in (old, new)] == [401, 200]
    assert running.try_manage("rotate_api_key", "nothing").returncode == 1
