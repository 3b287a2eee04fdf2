import signal
import subprocess
import sys

import pytest

SCRIPT = (
    "from instances.failpoints import reach;"
    "[print(reach(name) or name, flush=True) for name in ('create.before_call', 'create.after_call', 'create.after_call')]"
)


def run(**environment: str) -> "subprocess.CompletedProcess[str]":
    given = {"DJANGO_SETTINGS_MODULE": "novita_manager.settings", "ENVIRONMENT": "test", **environment}
    return subprocess.run([sys.executable, "-c", SCRIPT], env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("failpoint", "reached"),
    [
        ("create.before_call", 0),
        ("create.after_call", 1),
        ("create.after_call@2", 2),
    ],
)
def test_the_process_dies_at_the_named_place_and_arrival(failpoint: str, reached: int, tmp_path: object) -> None:
    done = run(FAILPOINT=failpoint, DATA_DIR=str(tmp_path))

    assert done.returncode == -signal.SIGKILL
    assert len(done.stdout.splitlines()) == reached


@pytest.mark.parametrize("failpoint", ["", "start.after_call", "create.after_call@3"])
def test_any_other_place_is_passed(failpoint: str, tmp_path: object) -> None:
    assert run(FAILPOINT=failpoint, DATA_DIR=str(tmp_path)).returncode == 0


def test_with_a_mark_only_the_first_process_dies(tmp_path: object) -> None:
    given = {"FAILPOINT": "create.after_call", "FAILPOINT_MARK": f"{tmp_path}/mark", "DATA_DIR": str(tmp_path)}

    assert run(**given).returncode == -signal.SIGKILL
    assert run(**given).returncode == 0


def test_production_ignores_it(tmp_path: object) -> None:
    production = {
        "ENVIRONMENT": "production",
        "NOVITA_API_KEY": "throwaway",
        "SECRET_KEY": "throwaway",
        "ALLOWED_HOSTS": "manager.example",
        "FIELD_ENCRYPTION_KEYS": "A" * 43 + "=",
    }

    assert run(FAILPOINT="create.after_call", DATA_DIR=str(tmp_path), **production).returncode == 0
