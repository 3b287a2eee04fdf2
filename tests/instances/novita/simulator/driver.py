"""A bare caller of the simulator: `requests` and nothing of our own client."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any, TypeVar

import requests

from instances.novita.simulator.server import SimulatorServer

GPU = "/gpu-instance/openapi/v1"
INSTANCE = f"{GPU}/gpu/instance"
KEY = "sk_test"
PRODUCT = "4090.16c62g"
CLUSTER = "us-ca-nas-2"

Found = TypeVar("Found")


def until(look: Callable[[], Found], *, seconds: float = 10) -> Found:
    """The first true answer; fails with the last one when time is up."""
    deadline = monotonic() + seconds
    while not (found := look()):
        assert monotonic() < deadline, f"still {found!r} after {seconds} s"
        sleep(0.01)
    return found


class Driver:
    """Speaks to one simulator at `url`."""

    def __init__(self, url: str, server: SimulatorServer | None = None) -> None:
        self.url = url
        self.server = server
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {KEY}"

    def read(self, path: str, **query: Any) -> requests.Response:
        return self.session.get(self.url + path, params=query, timeout=20)

    def write(self, path: str, **body: Any) -> requests.Response:
        return self.session.post(self.url + path, json=body, timeout=20)

    def turn(self, control: str, **body: Any) -> Any:
        answer = self.session.put(f"{self.url}/_simulator/{control}", json=body, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def look(self, control: str, **query: Any) -> Any:
        return self.read(f"/_simulator/{control}", **query).json()

    def create(self, **changes: Any) -> str:
        answer = self.write(f"{INSTANCE}/create", **create_body(**changes))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def command(self, verb: str, key: str, **more: Any) -> requests.Response:
        return self.write(f"{INSTANCE}/{verb}", instanceId=key, **more)

    def get(self, key: str) -> Any:
        return self.read(INSTANCE, instanceId=key).json()

    def wait(self, key: str, status: str) -> Any:
        return until(lambda: found if (found := self.get(key)).get("status") == status else None)

    def running(self, **changes: Any) -> str:
        key = self.create(**changes)
        self.wait(key, "running")
        return key

    def gone(self, key: str) -> None:
        """Waits until it was removed, for however short a time that may be read."""
        until(lambda: self.truth(key)["is_gone"])

    def list(self, **query: Any) -> Any:
        return self.read(f"{GPU}/gpu/instances", **{"pageSize": 100, **query}).json()

    def truth(self, key: str) -> Any:
        return next(row for row in self.look("state")["instances"] if row["id"] == key)

    def stock(self, cluster: str = CLUSTER, product: str = PRODUCT) -> int:
        return int(self.look("stock")["stock"][cluster][product])


def create_body(**changes: Any) -> dict[str, Any]:
    body = {
        "name": "worker",
        "productId": PRODUCT,
        "gpuNum": 1,
        "rootfsSize": 60,
        "imageUrl": "pytorch/pytorch:latest",
        "clusterId": CLUSTER,
        "kind": "gpu",
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def assert_refused(answer: requests.Response, reason: str, *, status: int = 400, says: str = "") -> None:
    body = answer.json()
    assert (answer.status_code, body["reason"]) == (status, reason), answer.text
    assert body["code"] == status
    assert says in body["message"]
    assert isinstance(body["metadata"], dict)
