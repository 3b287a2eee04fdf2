"""Tests whose point is what several database connections do to each other, on the databases the product runs on."""

import os
import subprocess
import sys

import pytest

from tests.processes.product import ROOT

pytestmark = pytest.mark.process
CONCURRENT = "tests/autostop/test_concurrent_use.py"
FILES = {
    "file": (CONCURRENT,),
    "postgres": (CONCURRENT, "tests/instances/test_utilisation_collector.py"),
}


@pytest.mark.parametrize("database", FILES)
def test_concurrent_uses_passes_and_the_collector_hold(database: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tests.environment", f"--database={database}", "-q", *FILES[database]]
    # A run of its own: the marks of a worker of pytest-xdist would make it one of the outer run's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=290, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
