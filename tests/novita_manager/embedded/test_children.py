"""Children are real processes here, small ones."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from novita_manager.embedded.children import Child, Program, restart_delay, spawn
from novita_manager.embedded.supervisor import Supervisor
from tests.processes.product import session_members
from tests.processes.waiting import wait_for

SLEEPER = (sys.executable, "-S", "-c", "import time; time.sleep(600)")
WITH_HELPER = (
    sys.executable,
    "-S",
    "-c",
    "import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])",
)
DEAF = (
    sys.executable,
    "-S",
    "-c",
    "import signal, sys, time; signal.signal(15, signal.SIG_IGN); open(sys.argv[1], 'w').close(); time.sleep(600)",
)


def program(command: tuple[str, ...], *, name: str = "worker", stop_seconds: float = 5.0) -> Program:
    return Program(name=name, command=command, stop_seconds=stop_seconds)


def pid_of(child: Child) -> int:
    assert child.pid is not None
    return child.pid


@pytest.mark.parametrize(("deaths", "seconds"), [(0, 0.5), (1, 0.5), (2, 1), (3, 2), (7, 30), (50, 30)])
def test_a_child_that_keeps_dying_is_started_more_and_more_slowly(deaths: int, seconds: float) -> None:
    assert restart_delay(deaths) == seconds


def test_a_killed_child_is_started_again_and_said_to_have_died(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    child = supervisor.start(program(SLEEPER))
    first = pid_of(child)

    os.kill(first, signal.SIGKILL)
    wait_for(child.has_died)
    died_at = time.monotonic()
    supervisor.look_after(died_at)
    supervisor.look_after(died_at + 0.1)
    assert not child.is_running()
    supervisor.look_after(died_at + 0.6)

    assert child.is_running()
    assert pid_of(child) != first
    assert said == ["! worker died: it was ended by signal 9. Starting it again."]
    supervisor.stop()


def test_what_a_dead_child_left_behind_is_ended_before_it_is_started_again(tmp_path: Path) -> None:
    child = Child(program(WITH_HELPER), tmp_path)
    child.start()
    session = pid_of(child)
    wait_for(lambda: len(session_members(session)) == 2, what="the helper runs")

    os.kill(session, signal.SIGKILL)
    wait_for(child.has_died)
    child.bury(time.monotonic())

    wait_for(lambda: not session_members(session), what="the helper is gone")


def test_stopping_ends_a_child_politely(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, lambda _: None)
    child = supervisor.start(program(SLEEPER))
    session = pid_of(child)

    supervisor.stop()

    assert not child.is_running()
    assert session_members(session) == []


def test_a_child_that_does_not_listen_is_killed_when_its_time_is_over(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, lambda _: None)
    child = supervisor.start(program((*DEAF, str(tmp_path / "deaf")), stop_seconds=0.3))
    wait_for((tmp_path / "deaf").exists)
    before = time.monotonic()

    supervisor.stop()

    assert not child.is_running()
    assert 0.3 <= time.monotonic() - before < 5


def test_workers_are_stopped_before_the_broker_they_use(tmp_path: Path) -> None:
    writes_its_end = (
        "import pathlib, signal, sys, time; path = pathlib.Path(sys.argv[1])\n"
        "def end(*_): time.sleep(0.2); path.write_text(str(time.monotonic())); sys.exit()\n"
        "signal.signal(15, end); path.touch(); time.sleep(600)"
    )
    supervisor = Supervisor(tmp_path, lambda _: None)
    for name in ("broker", "worker"):
        supervisor.start(program((sys.executable, "-S", "-c", writes_its_end, str(tmp_path / name)), name=name))
        wait_for((tmp_path / name).exists)

    supervisor.stop()

    broker_ended, worker_ended = (float((tmp_path / name).read_text()) for name in ("broker", "worker"))
    assert broker_ended - worker_ended >= 0.2


def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from novita_manager.embedded.children import spawn;"
        f"child = spawn({SLEEPER!r}, environment={{}}, folder=pathlib.Path('.'));"
        "print(child.pid, flush=True); child.wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    session = int(parent.stdout.readline())
    wait_for(lambda: session_members(session), what="the child runs")

    parent.kill()
    parent.communicate()

    wait_for(lambda: not session_members(session), seconds=5, what="the child is gone")


def test_a_child_gets_the_environment_it_was_given(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as output:
        command = [sys.executable, "-c", "import os; print(os.environ['GIVEN'])"]
        spawn(command, environment={"GIVEN": "seen"}, folder=tmp_path, output=output).wait(timeout=20)

    assert (tmp_path / "out").read_text() == "seen\n"
