"""The real product, started as people start it, on one of its two shapes, with a client for its API.

`embedded`: everything under `manage.py up`, on SQLite. `production`: web, worker and beat as processes of their own, on
PostgreSQL and Valkey.
"""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests

from novita_manager.embedded.children import Program, end_group, spawn
from novita_manager.embedded.ports import any_free
from novita_manager.embedded.programs import Shape, workers
from novita_manager.embedded.readiness import answers_http
from tests.environment import clean
from tests.processes.waiting import wait_for

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
# How the children of the supervisor are told apart by their command lines.
MARKS = {
    "web": "gunicorn",
    "worker": " worker ",
    "beat": " beat ",
    "broker": "valkey-server",
    "simulator": " instances.novita.simulator ",
}
TAIL_CHARACTERS = 6000


class Api:
    """Requests with the product's first API key; paths are relative to /api/v1, or whole where they begin with /."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"

    def get(self, path: str, **options: Any) -> requests.Response:
        return self._send("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self._send("POST", path, json={} if json is None else json, **options)

    def put(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self._send("PUT", path, json={} if json is None else json, **options)

    def patch(self, path: str, json: Any, **options: Any) -> requests.Response:
        return self._send("PATCH", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self._send("DELETE", path, **options)

    def read(self, path: str, **options: Any) -> Any:
        """The JSON of an answer that must be a success."""
        response = self.get(path, **options)
        assert response.ok, f"GET {path}: {response.status_code} {response.text}"
        return response.json()

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        whole = path if path.startswith("/") else f"/api/v1/{path}"
        return self.session.request(method, self.url + whole, timeout=options.pop("timeout", 20), **options)


@dataclass(kw_only=True)
class Product:
    """A running product. `processes` are those this class started itself; the rest belong to the supervisor."""

    folder: Path
    environment: dict[str, str]
    port: int
    api: Api
    redis_url: str = ""
    processes: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def database_file(self) -> Path:
        """Where the embedded product keeps its rows."""
        account = "novita" if self.environment["NOVITA_API_KEY"] else "simulator"
        return self.folder / account / "novita_manager.sqlite3"

    @property
    def is_embedded(self) -> bool:
        return not self.redis_url

    def start(self, *, is_prepared: bool = False) -> None:
        """`is_prepared`: tables and the first way in are made already."""
        if self.is_embedded:
            self._spawn("supervisor", (sys.executable, str(ROOT / "manage.py"), "up"), {})
        else:
            if not is_prepared:
                self.manage("migrate", "--verbosity", "0")
                self.manage("bootstrap")
            for name in self._programs():
                self.restart(name)
        wait_for(self._serves, seconds=90, what=f"the product serves\n{self.tail()}")

    def manage(self, *words: str, environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """A management command of this product, run to its end; AssertionError when it fails."""
        done = self.try_manage(*words, environment=environment)
        assert done.returncode == 0, f"manage.py {' '.join(words)}: {done.stdout}\n{done.stderr}"
        return done

    def try_manage(self, *words: str, environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *words],
            env={**self.environment, **(environment or {})},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def pid(self, name: str) -> int | None:
        """The process id of a part (web, worker, beat, broker, simulator, supervisor), or None when it does not run."""
        process = self.processes.get(name)
        if process is not None:
            return process.pid if process.poll() is None else None
        supervisor = self.processes.get("supervisor")
        if supervisor is None:
            return None
        found = (pid for pid in children_of(supervisor.pid) if MARKS[name] in command_line(pid))
        return next(found, None)

    def kill(self, name: str) -> int:
        """Signal 9 to that process alone, as a crash would; its id. Under the supervisor it comes back by itself."""
        pid = wait_for(lambda: self.pid(name) or 0, seconds=20, what=f"{name} runs")
        os.kill(pid, signal.SIGKILL)
        process = self.processes.get(name)
        if process is not None:
            process.wait()
            end_group(process)
        return pid

    def restart(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a part again, with changes to its environment where given; ended first if it runs. Production only."""
        assert not self.is_embedded, "the supervisor starts its children itself"
        process = self.processes.get(name)
        if process is not None and process.poll() is None:
            process.terminate()
            process.wait(timeout=20)
        program = self._programs()[name]
        self._spawn(name, program.command, {**program.environment, **(environment or {})})

    def serve_again(self, environment: Mapping[str, str] | None = None) -> None:
        """Start web again, as `restart` does, and wait until it serves."""
        self.restart("web", environment)
        self.wait_for(lambda: answers_http(HOST, self.port, "/health/live"), seconds=60, what="web serves again")

    def start_another(self, name: str) -> int:
        """One more web, worker or beat beside the first, as on another machine. Production only. The port of a web."""
        assert not self.is_embedded, "the supervisor starts its children itself"
        number = 2 + sum(1 for one in self.processes if one.endswith(f"-{name}"))
        port = any_free(HOST)
        program = self._programs(port)[name]
        self._spawn(f"{number}-{name}", program.command, program.environment)
        return port

    def stop(self) -> None:
        """SIGTERM to all that this class started, signal 9 to what stays."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                end_group(process)
                process.wait()

    def wait_for(self, look: Callable[[], T], seconds: float = 30.0, what: str = "") -> T:
        """Like `waiting.wait_for`, and shows the ends of the logs when it was in vain."""
        try:
            return wait_for(look, seconds=seconds, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def wait_for_prices(self) -> None:
        """Until the products of every cluster have been read: before, a create of an unknown model is accepted and waits."""

        def all_read() -> bool:
            clusters = [one for region in self.api.read("regions")["results"] for one in region["clusters"]]
            return bool(clusters) and all(one["refreshed_at"] for one in clusters)

        self.wait_for(all_read, seconds=60, what="prices are known")

    def tail(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-TAIL_CHARACTERS:]}" for path in logs)

    def _programs(self, port: int | None = None) -> dict[str, Program]:
        shape = Shape(
            manage=ROOT / "manage.py",
            account=self.folder,
            host=HOST,
            port=port or self.port,
            log_level="INFO",
            redis_url=self.redis_url,
        )
        return {program.name: program for program in workers(shape)}

    def _spawn(self, name: str, command: tuple[str, ...], extra: Mapping[str, str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as output:
            process = spawn(command, environment={**self.environment, **extra}, folder=ROOT, output=output)
        self.processes[name] = process

    def _serves(self) -> bool:
        ended = [name for name, process in self.processes.items() if process.poll() is not None]
        assert not ended, f"ended while starting: {ended}\n{self.tail()}"
        return answers_http(HOST, self.port, "/health/live")


def new_product(
    folder: Path, *, simulator_url: str = "", database_url: str = "", redis_url: str = "", environment: Mapping[str, str]
) -> Product:
    """A product that is not started yet; without `redis_url` the embedded one, without `simulator_url` with its own."""
    port = any_free(HOST)
    given = {
        "DATA_DIR": str(folder),
        "ENVIRONMENT": "test",
        "LOG_LEVEL": "INFO",
        "PORT": str(port),
        **first_way_in(),
        "NOVITA_REQUESTS_PER_MINUTE": "6000",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "NOVITA_API_BASE_URL": simulator_url,
        "NOVITA_API_KEY": "a-key-for-the-simulator" if simulator_url else "",
        **environment,
    }
    # Whatever else the settings read is emptied, which counts as unset: processes inherit the environment of the tests.
    blank = dict.fromkeys(set(os.environ) - set(clean(dict(os.environ))), "")
    whole = {**os.environ, **blank, **given}
    api = Api(f"http://{HOST}:{port}", whole["BOOTSTRAP_API_KEY"])
    return Product(folder=folder, environment=whole, port=port, api=api, redis_url=redis_url)


def first_way_in() -> dict[str, str]:
    return {"BOOTSTRAP_API_KEY": secrets.token_hex(32), "BOOTSTRAP_ADMIN_PASSWORD": secrets.token_urlsafe(15)}


def children_of(pid: int) -> list[int]:
    """Direct children of a process. Linux only."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _parent(path) == pid]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def session_members(session: int) -> list[int]:
    """Processes, zombies left out, in the session that a process began. Linux only."""
    members = []
    for path in Path("/proc").iterdir():
        fields = _stat(path)
        if fields and fields[3] == str(session) and fields[0] != "Z":
            members.append(int(path.name))
    return members


def _parent(path: Path) -> int:
    fields = _stat(path)
    return int(fields[1]) if fields else -1


def _stat(path: Path) -> list[str]:
    """State, parent, group, session and so on, as proc(5) lists them after the name; empty when the process is gone."""
    try:
        return (path / "stat").read_text().rpartition(")")[2].split() if path.name.isdigit() else []
    except OSError:
        return []
