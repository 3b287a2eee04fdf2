"""A real Valkey for tests, on a Unix socket in a temporary folder."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import redis

from novita_manager.embedded.broker import server_binary, server_command
from novita_manager.embedded.children import end_group, spawn
from novita_manager.embedded.readiness import broker_answers
from tests.processes.waiting import wait_for


@dataclass(slots=True, kw_only=True)
class Valkey:
    """A server that can be killed and started again, with its data kept."""

    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def start(cls) -> "Valkey":
        server = cls(folder=Path(tempfile.mkdtemp(prefix="nm-valkey-")))
        server.start_again()
        return server

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/valkey.sock"

    def start_again(self) -> None:
        binary = server_binary()
        assert binary is not None, "no Valkey can run here"
        command = server_command(binary, socket=self.folder / "valkey.sock", data=self.folder)
        self.process = spawn(command, environment={}, folder=self.folder)
        wait_for(lambda: broker_answers(self.url), seconds=10, what="Valkey answers")

    def kill(self) -> None:
        if self.process is not None:
            end_group(self.process)
            self.process.wait()

    def empty(self) -> None:
        """Ready for the next test, whatever the last one did to it."""
        if not broker_answers(self.url):
            self.kill()
            self.start_again()
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
