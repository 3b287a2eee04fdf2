"""What process tests ask of a product and compare with the simulator's own truth."""

from typing import Any

from tests.processes.product import Product
from tests.processes.simulator import Simulator

SPEED = 20.0
# Everything as quick as it is allowed to be; a lease must outlast both time-outs by ten seconds.
QUICK = {
    "INSTANCE_POLL_INTERVAL": "1s",
    "SETTLE_PERIOD": "3s",
    "HEALTH_CHECK_INTERVAL": "1s",
    "NOVITA_CONNECT_TIMEOUT": "0.5s",
    "NOVITA_READ_TIMEOUT": "2.5s",
    "NOVITA_RETRY_DELAY": "0.2s",
    "NOVITA_BREAKER_RESET": "2s",
    "JOB_LEASE": "13s",
    "NOVITA_REQUESTS_PER_MINUTE": "60000",
    "RATE_LIMIT_READ": "60000/m",
    "RATE_LIMIT_WRITE": "60000/m",
}
IMAGE = "pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime"
BODY = {"product_name": "RTX 4090", "image_url": IMAGE, "region": "any", "auto_stop": {"mode": "off"}}


def ask_for(product: Product, name: str, **changes: Any) -> str:
    """The id of an instance that was asked for and accepted."""
    answer = product.api.post("instances", {**BODY, "name": name, **changes})
    assert answer.status_code == 202, answer.text
    identity: str = answer.json()["id"]
    return identity


def shown(product: Product, identity: str) -> dict[str, Any]:
    instance: dict[str, Any] = product.api.read(f"instances/{identity}")
    return instance


def wait_for_phase(product: Product, identity: str, *phases: str, seconds: float = 30) -> dict[str, Any]:
    """The instance once it is in one of these phases."""

    def look() -> dict[str, Any] | None:
        seen.append(shown(product, identity))
        return seen[-1] if seen[-1]["phase"] in phases else None

    seen: list[dict[str, Any]] = []
    try:
        found = product.wait_for(look, seconds, f"{identity} is {' or '.join(phases)}")
    except AssertionError as error:
        last = seen[-1] if seen else {}
        raise AssertionError(f"it is {last.get('phase')}: {last.get('phase_reason')}; {last}\n{error}") from None
    assert found is not None
    return found


def machines_of(simulator: Simulator, name: str) -> list[dict[str, Any]]:
    """Every machine the simulator ever made under this name, gone ones included."""
    return [row for row in simulator.control.state()["instances"] if row["name"].startswith(f"{name}--")]


def story(product: Product, identity: str) -> list[dict[str, Any]]:
    """The instance's events, oldest first."""
    events: list[dict[str, Any]] = product.api.read(f"instances/{identity}/events", params={"limit": 500})["results"]
    return events[::-1]


def calls(simulator: Simulator, call: str) -> list[dict[str, Any]]:
    """The calls of that kind that the simulator remembers, oldest first."""
    return [entry for entry in simulator.control.calls()["requests"] if entry["call"] == call]
