"""A pytest plugin, loaded with `-p tests.environment`: the environment the settings read, made before Django reads it.

Tests run on SQLite, with nothing of the person's own environment and with a data folder that is thrown away.
`--database=postgres` runs the same tests on a PostgreSQL that is started for them, `--database=file` on an SQLite file,
which several connections may share as they do in the product.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.processes.postgres import Postgres

LEFT_OUT = Path("var/tests-left-out.txt")
# Names, and beginnings of names, that the settings read.
OURS = (
    "ALIVE_FILE",
    "ALLOWED_HOSTS",
    "AUTO_STOP_",
    "BOOTSTRAP_",
    "CORS_",
    "CSRF_",
    "DATA_DIR",
    "DATABASE_URL",
    "DEFAULT_REGION",
    "EMAIL_URL",
    "ENVIRONMENT",
    "FAILPOINT",
    "FIELD_ENCRYPTION_KEYS",
    "HEALTH_",
    "HEARTBEAT_URL",
    "INSTANCE_",
    "JOB_LEASE",
    "LOG_",
    "MIGRATION_",
    "MIN_BALANCE_USD",
    "NODE_ENV",
    "NOVITA_",
    "PORT",
    "PUBLIC_URL",
    "RATE_LIMIT_",
    "REDIS_",
    "SECRET_KEY",
    "SETTLE_PERIOD",
    "STOP_GRACE",
    "TRUSTED_PROXIES",
    "UPSTASH_",
    "WEBHOOK_",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database", choices=("sqlite", "file", "postgres"), default="sqlite", help="where tests that use the database run"
    )
    parser.addoption(
        "--access-table",
        choices=("check", "write"),
        default="check",
        help="write: note who is let in to what",
    )


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    # Workers of pytest-xdist inherit what their controller prepared.
    if "PYTEST_XDIST_WORKER" not in os.environ:
        _prepare(early_config.known_args_namespace.database)
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Note what was skipped and why, for the end of `make test`."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        where, _, reason = (
            report.longrepr if isinstance(report.longrepr, tuple) else (report.nodeid, 0, str(report.longrepr))
        )
        text = str(reason).removeprefix("Skipped: ") or str(where)
        reasons[text] = reasons.get(text, 0) + 1
    if reasons and LEFT_OUT.parent.is_dir():
        with LEFT_OUT.open("a", encoding="utf-8") as file:
            file.writelines(f"{count} tests: {reason}\n" for reason, count in sorted(reasons.items()))


def clean(environment: dict[str, str]) -> dict[str, str]:
    """The environment without anything the settings would read."""
    return {name: value for name, value in environment.items() if not name.startswith(OURS)}


def _prepare(database: str) -> None:
    kept = clean(dict(os.environ))
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    folder = tempfile.mkdtemp(prefix="nm-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(
        {
            "ENVIRONMENT": "test",
            "DATA_DIR": folder,
            "NOVITA_REQUESTS_PER_MINUTE": "100000",
            "LOG_LEVEL": "WARNING",
        }
    )
    Path("static-collected").mkdir(exist_ok=True)  # WhiteNoise warns where it is missing
    if database == "postgres":
        server = Postgres.start()
        atexit.register(server.remove)
        os.environ["DATABASE_URL"] = server.url("postgres")
