"""One child process: started in a session of its own, tied to our life, ended with everything it started itself."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from novita_manager.embedded import tether

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
# A child that lived this long was well: its next death counts as the first in a row.
WELL_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run. `environment` is added to our own; `stop_seconds` is how long a polite end may take."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = 8.0


def restart_delay(deaths_in_a_row: int) -> float:
    """Seconds until a child that died `deaths_in_a_row` times is started again."""
    return float(min(FIRST_DELAY_SECONDS * 2 ** min(max(deaths_in_a_row, 1) - 1, 10), LONGEST_DELAY_SECONDS))


def spawn(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """The started process. It ends when ours does, and no key pressed in our terminal reaches it."""
    return subprocess.Popen(  # noqa: S603 - our own programs, no shell
        [sys.executable, "-S", "-E", tether.__file__, str(os.getpid()), *command],
        env={**os.environ, **environment},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        start_new_session=True,
    )


def end_group(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """Send a signal to the process and to all it started; no error when they are gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


class Child:
    """A program that is kept running: the process, and when to start it again after a death."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.deaths_in_a_row = 0
        self.start_again_at: float | None = None
        self._folder = folder
        self._started_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        self.start_again_at = None
        self._started_at = time.monotonic()
        self._process = spawn(self.program.command, environment=self.program.environment, folder=self._folder)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def has_died(self) -> bool:
        """Whether it ended since it was last started, and nobody has dealt with that yet."""
        return self._process is not None and self._process.poll() is not None and self.start_again_at is None

    def bury(self, now: float) -> str:
        """End what the dead process left behind, plan the next start, and say in words how it died."""
        if self._process is None:
            return "it was never started"
        end_group(self._process)
        self.deaths_in_a_row = 1 if now - self._started_at > WELL_AFTER_SECONDS else self.deaths_in_a_row + 1
        self.start_again_at = now + restart_delay(self.deaths_in_a_row)
        return _ending(self._process.returncode)

    def ask_to_stop(self) -> None:
        """SIGTERM to the process alone: it ends its own helpers in its own order."""
        self.start_again_at = None
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self) -> None:
        if self._process is not None:
            end_group(self._process)
            self._process.wait()


def _ending(status: int | None) -> str:
    if status is not None and status < 0:
        return f"it was ended by signal {-status}"
    return f"it ended with status {status}"
