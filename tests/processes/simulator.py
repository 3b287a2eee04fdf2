"""The simulator as a process of its own, and its control surface as a typed class."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from novita_manager.embedded.children import end_group, spawn
from novita_manager.embedded.ports import any_free
from novita_manager.embedded.readiness import listens
from tests.processes.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"


class SimulatorControl:
    """What tests may turn at the simulator, and the truth to compare with. Each method returns its answer as it is."""

    def __init__(self, url: str) -> None:
        self.url = url

    def speed(self, speed: float | None = None, **timings: float) -> dict[str, Any]:
        body = {"speed": speed, "timings": timings}
        return self._put("speed", {name: value for name, value in body.items() if value})

    def faults(self, *faults: dict[str, Any]) -> dict[str, Any]:
        """Replaces the faults; none at all when called without."""
        return self._put("faults", {"faults": list(faults)})

    def stock(self, stock: dict[str, dict[str, int]] | None = None) -> dict[str, Any]:
        """Free GPUs by cluster and product; merged into what there is."""
        return self._put("stock", {"stock": stock}) if stock is not None else self._get("stock")

    def spot(self, **change: Any) -> dict[str, Any]:
        """`rate_per_hour`, or `instance` and `action` (notify, reclaim, withdraw) with `deadline_seconds`."""
        return self._put("spot", change) if change else self._get("spot")

    def load(self, instance: str = "*", **change: Any) -> dict[str, Any]:
        """`gpu_percent`, `cpu_cores`, `metrics`, `service` (up, down) or `crash` of one instance or of all."""
        return self._put("load", {"instance": instance, **change}) if change else self._get("load")

    def state(self) -> dict[str, Any]:
        return self._get("state")

    def instances(self) -> list[dict[str, Any]]:
        """Those that Novita would still show."""
        return [row for row in self.state()["instances"] if not row["is_gone"]]

    def bill(self) -> dict[str, Any]:
        return self._get("bill")

    def calls(self, since: int = 0) -> dict[str, Any]:
        return self._get(f"calls?since={since}")

    def reset_calls(self) -> None:
        self._put("calls", {"reset": True})

    def _get(self, name: str) -> dict[str, Any]:
        return self._answer(requests.get(f"{self.url}/_simulator/{name}", timeout=10))

    def _put(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._answer(requests.put(f"{self.url}/_simulator/{name}", json=body, timeout=10))

    @staticmethod
    def _answer(response: requests.Response) -> dict[str, Any]:
        assert response.ok, f"{response.status_code} {response.text}"
        answer: dict[str, Any] = response.json()
        return answer


@dataclass(slots=True, kw_only=True)
class Simulator:
    """A simulator process that can be killed and started again on the same port with the same state."""

    port: int
    command: Sequence[str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def start(
        cls, folder: Path, *, speed: float = 60, seed: int = 1, fleet: str = "empty", extra: Sequence[str] = ()
    ) -> "Simulator":
        port = any_free(HOST)
        options = {
            "--port": port,
            "--state": folder / "simulator.sqlite3",
            "--speed": speed,
            "--seed": seed,
            "--fleet": fleet,
        }
        words = [word for name, value in options.items() for word in (name, str(value))]
        command = [sys.executable, "-m", "instances.novita.simulator", *words, *extra]
        simulator = cls(port=port, command=command, log=folder / "simulator.log")
        simulator.start_again()
        return simulator

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def control(self) -> SimulatorControl:
        return SimulatorControl(self.url)

    def start_again(self) -> None:
        with self.log.open("ab") as output:
            self.process = spawn(self.command, environment={}, folder=ROOT, output=output)
        wait_for(lambda: listens(HOST, self.port), seconds=20, what="the simulator listens")

    def kill(self) -> None:
        if self.process is not None:
            end_group(self.process)
            self.process.wait()
