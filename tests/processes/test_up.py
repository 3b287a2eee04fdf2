"""`manage.py up` as people use it: start, crash, stop, start again."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import StartProduct
from tests.processes.product import HOST, MARKS, ROOT, Product, children_of, command_line, session_members
from tests.processes.waiting import wait_for

pytestmark = pytest.mark.process


def family(product: Product) -> list[int]:
    """The supervisor, its children and theirs."""
    supervisor = product.processes["supervisor"].pid
    return [supervisor, *(member for child in children_of(supervisor) for member in session_members(child))]


def alive(pids: list[int]) -> list[str]:
    return [command_line(pid) for pid in pids if command_line(pid)]


def said(product: Product) -> str:
    """All that the supervisor and its children wrote."""
    return (product.folder / "supervisor.log").read_text(errors="replace")


def is_healthy(product: Product) -> bool:
    """Each part has shown itself to the others."""
    answer = product.api.get("/health")
    return answer.ok and answer.json()["status"] == "ok"


def test_it_brings_everything_leaves_nothing_and_continues_where_it_ended(product: StartProduct) -> None:
    running = product.first_start("embedded")
    brings_everything(running)
    known = fleet(running)
    assert known
    a_clean_stop_leaves_nothing(running)

    running.start()
    assert known <= fleet(running)
    assert said(running).count("(BOOTSTRAP_API_KEY)") == 1
    a_killed_supervisor_leaves_nothing(running)


def brings_everything(running: Product) -> None:
    running.wait_for(lambda: is_healthy(running), seconds=60, what="all parts are well")
    running.wait_for(lambda: running.api.read("instances")["count"] > 0, seconds=60, what="the demo fleet is seen")
    assert [name for name in MARKS if running.pid(name) is None] == []


def fleet(running: Product) -> set[str]:
    rows = running.api.read("instances", params={"include_ended": "true"})["results"]
    return {str(row["novita_id"]) for row in rows}


def a_clean_stop_leaves_nothing(running: Product) -> None:
    everyone = family(running)
    running.processes["supervisor"].send_signal(signal.SIGTERM)

    assert running.processes["supervisor"].wait(timeout=15) == 0, running.tail()
    assert alive(everyone) == []
    assert not (running.folder / "simulator" / "embedded.json").exists()
    assert "Traceback" not in said(running)


def a_killed_supervisor_leaves_nothing(running: Product) -> None:
    everyone = family(running)
    assert len(everyone) >= 6

    running.kill("supervisor")

    wait_for(lambda: not alive(everyone), seconds=10, what="all are gone")


def test_a_second_supervisor_is_refused_and_a_killed_child_comes_back_until_all_is_well(product: StartProduct) -> None:
    running = product("embedded")
    running.wait_for(lambda: is_healthy(running), seconds=60, what="all parts are well")
    a_second_on_the_same_data_is_refused_in_one_line(running)

    for name in MARKS:
        before = running.kill(name)
        running.wait_for(lambda: running.pid(name) not in (None, before), seconds=20, what=f"{name} is back")  # noqa: B023
        running.wait_for(lambda: is_well(running), seconds=60, what=f"all parts are well after {name} was killed")

    for name in MARKS:
        assert f"! {name} died: it was ended by signal 9. Starting it again." in said(running)


def a_second_on_the_same_data_is_refused_in_one_line(running: Product) -> None:
    supervisor = running.processes["supervisor"].pid

    done = up({**running.environment, "PORT": "1"})

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"already runs on {running.folder} (process {supervisor})" in done.stderr
    assert running.api.get("/health/live").ok


def is_well(product: Product) -> bool:
    """As `is_healthy`, while the web server itself may be away."""
    with socket.socket() as probe:
        if probe.connect_ex((HOST, product.port)):
            return False
    return is_healthy(product)


def up(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "manage.py"), "up"]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_port_in_use_is_said_in_one_line(product: StartProduct) -> None:
    prepared = product.prepare("embedded")
    with socket.create_server((HOST, prepared.port)):
        done = up(prepared.environment)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"PORT={prepared.port} is taken" in done.stderr


def test_it_ends_with_the_process_that_started_it_when_asked(product: StartProduct, short_folder: Path) -> None:
    prepared = product.prepare("embedded")
    script = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); input()"
    parent = subprocess.Popen(
        [sys.executable, "-c", script, sys.executable, str(ROOT / "manage.py"), "up", "--end-with-parent"],
        env=prepared.environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    supervisor = int(parent.stdout.readline())
    wait_for(lambda: len(children_of(supervisor)) >= 5, seconds=60, what="the product runs")
    everyone = [supervisor, *(member for child in children_of(supervisor) for member in session_members(child))]

    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()

    wait_for(lambda: not alive(everyone), seconds=20, what="all are gone")
