"""One product under chaos: its processes, each of which can be killed alone, and a Novita that can fail."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.record import Record
from tests.processes.fleet import QUICK
from tests.processes.product import ROOT, Product, command_line, new_product
from tests.processes.simulator import Simulator
from tests.processes.valkey import Valkey

LEASE, POLL, SETTLE = 13.0, 5.0, 3.0
BOUND = LEASE + 2 * POLL + SETTLE
SETTINGS = {
    **QUICK,
    "JOB_LEASE": f"{LEASE:g}s",
    "INSTANCE_POLL_INTERVAL": f"{POLL:g}s",
    "SETTLE_PERIOD": f"{SETTLE:g}s",
    "AUTO_STOP_THRESHOLD": "12h",
    "LOG_LEVEL": "WARNING",
}
SPEED = 60.0
WORKERS = 2


@dataclass(kw_only=True)
class Scene:
    """`chance` decides everything that is left to chance; the same seed asks and kills in the same order."""

    name: str
    product: Product
    novita: Simulator
    broker: Valkey
    chance: random.Random
    database_url: str
    record: Record
    zygote: "subprocess.Popen[str] | None" = None
    workers: list[int] = field(default_factory=list)

    def start(self) -> None:
        self.product.manage("migrate", "--verbosity", "0")
        self.product.manage("bootstrap")
        self._start_zygote()
        self.product.restart("web")
        self.product.restart("beat")
        self.keep_workers()
        self.product.wait_for(self.product._serves, 60, "the web serves")

    def fork_worker(self, environment: dict[str, str] | None = None) -> int:
        assert self.zygote is not None
        assert self.zygote.stdin is not None
        assert self.zygote.stdout is not None
        self.zygote.stdin.write(json.dumps(environment or {}) + "\n")
        self.zygote.stdin.flush()
        pid = int(self.zygote.stdout.readline())
        self.workers.append(pid)
        return pid

    def keep_workers(self) -> None:
        """As many workers as there should be."""
        self.workers = [pid for pid in self.workers if is_alive(pid)]
        while len(self.workers) < WORKERS:
            self.fork_worker()

    def kill_workers(self) -> None:
        for pid in self.workers:
            kill(pid)
        self.workers.clear()

    def kill_something(self) -> str:
        """Signal 9 to one process by chance, mostly a worker; a successor starts at once. The name of the victim."""
        victims: dict[str, tuple[int, Callable[[], None]]] = {
            "worker": (16, self._kill_a_worker),
            "web": (1, lambda: self._kill_part("web")),
            "beat": (1, lambda: self._kill_part("beat")),
            "broker": (1, self._kill_broker),
            "novita": (1, self._kill_novita),
        }
        names = list(victims)
        name = self.chance.choices(names, weights=[victims[one][0] for one in names])[0]
        victims[name][1]()
        return name

    def end(self) -> None:
        if self.zygote is not None:
            if self.zygote.stdin is not None:
                self.zygote.stdin.close()
            self.zygote.kill()
            self.zygote.wait()
            if self.zygote.stdout is not None:
                self.zygote.stdout.close()
        self.product.stop()
        self.novita.kill()
        self.broker.remove()
        shutil.rmtree(self.product.folder, ignore_errors=True)

    def _kill_a_worker(self) -> None:
        kill(self.workers.pop(self.chance.randrange(len(self.workers))))
        self.keep_workers()

    def _kill_part(self, name: str) -> None:
        self.product.kill(name)
        self.product.restart(name)

    def _kill_broker(self) -> None:
        self.broker.kill()
        self.broker.start_again()

    def _kill_novita(self) -> None:
        self.novita.kill()
        self.novita.start_again()

    def _start_zygote(self) -> None:
        log = (self.product.folder / "workers.log").open("ab")
        self.zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.zygote"],
            env=self.product.environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        log.close()


def new_scene(name: str, database_url: str, *, seed: int) -> Scene:
    folder = Path(tempfile.mkdtemp(prefix="nm-chaos-"))
    novita, broker = Simulator.start(folder, speed=SPEED, seed=seed), Valkey.start()
    product = new_product(
        folder, simulator_url=novita.url, database_url=database_url, redis_url=broker.url, environment=SETTINGS
    )
    return Scene(
        name=name,
        product=product,
        novita=novita,
        broker=broker,
        chance=random.Random(f"{seed}/{name}"),
        database_url=database_url or f"sqlite:///{database_file(folder)}",
        record=Record(),
    )


def database_file(folder: Path) -> Path:
    return folder / "novita" / "novita_manager.sqlite3"


def is_alive(pid: int) -> bool:
    return bool(command_line(pid))


def kill(pid: int) -> None:
    """Signal 9, and wait until the process is no more."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    until = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < until, f"{pid} survives signal 9"
        time.sleep(0.005)
