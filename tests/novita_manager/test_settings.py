"""The settings as a whole, read by a process of its own: what refuses to start, and in which words."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from instances.webhooks.signing import new_secret
from tests.environment import clean

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "ENVIRONMENT": "production",
    "NOVITA_API_KEY": "throwaway",
    "SECRET_KEY": "throwaway",
    "ALLOWED_HOSTS": "manager.example",
    "FIELD_ENCRYPTION_KEYS": "A" * 43 + "=",
}


def settings_value(expression: str, folder: Path, **environment: str) -> str:
    """What an expression over the settings prints; the last line of the error where they refuse."""
    script = f"import sys; sys.argv = ['manage.py']; from novita_manager import settings; print(({expression}))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**clean(dict(os.environ)), "DATA_DIR": str(folder), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("missing", ["NOVITA_API_KEY", "SECRET_KEY", "ALLOWED_HOSTS", "FIELD_ENCRYPTION_KEYS"])
def test_production_without_a_needed_setting_refuses_and_names_it(missing: str, tmp_path: Path) -> None:
    given = {name: value for name, value in PRODUCTION.items() if name != missing}

    assert f"{missing} is not set" in settings_value("1", tmp_path, **given)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("JOB_LEASE", "20s", "JOB_LEASE is too short"),
        ("BOOTSTRAP_API_KEY", "short", "write 32 characters or more"),
        ("FIELD_ENCRYPTION_KEYS", "short", "32 bytes in URL-safe base64"),
        ("AUTO_STOP_THRESHOLD", "20", "write 20s or 20m"),
        ("INSTANCE_STARTUP_TIMEOUT", "10", "write 10s or 10m"),
        ("ENVIRONMENT", "staging", "use one of development, production"),
        ("NODE_ENV", "staging", "NODE_ENV=staging: use one of development, production"),
        ("CSRF_TRUSTED_ORIGINS", "manager.example", "CSRF_TRUSTED_ORIGINS=manager.example: write origins"),
        ("CORS_ALLOWED_ORIGINS", "manager.example", "CORS_ALLOWED_ORIGINS=manager.example: write origins"),
        ("AUTO_STOP_THRESHOLD", "99999999999999d", "AUTO_STOP_THRESHOLD=99999999999999d: write at most 3650d"),
        ("WEBHOOK_URL", "hooks.example/path", "WEBHOOK_URL: write an address that begins with http"),
        ("WEBHOOK_URL", "https://user:word@hooks.example/", "WEBHOOK_URL: the address must not hold a user"),
        ("WEBHOOK_SECRET", "hunter2", "WEBHOOK_SECRET: write whsec_ followed by 16 to 128 random bytes in base64"),
        ("WEBHOOK_ALLOWED_NETWORKS", "inner", "WEBHOOK_ALLOWED_NETWORKS=inner: write addresses or networks"),
        ("EMAIL_URL", "mail.example.com:25", "EMAIL_URL: write smtp+tls://user:password@host:587"),
        ("EMAIL_URL", "smtp://", "EMAIL_URL: write smtp+tls://user:password@host:587"),
        ("REDIS_URL", "localhost:6379", "REDIS_URL: write redis://"),
        ("PUBLIC_URL", "https://ops.example/g p", "PUBLIC_URL: its path /g p may hold letters"),
    ],
)
def test_a_setting_that_makes_no_sense_refuses_to_start(name: str, value: str, words: str, tmp_path: Path) -> None:
    assert words in settings_value("1", tmp_path, **{name: value})


@pytest.mark.parametrize(
    ("expression", "environment", "value"),
    [
        ("settings.SIMULATED, settings.ACCOUNT_DIR.name", {}, "(True, 'simulator')"),
        ("settings.SIMULATED, settings.ACCOUNT_DIR.name", {"NOVITA_API_KEY": "k"}, "(False, 'novita')"),
        ("settings.NOVITA_API_BASE_URL", {"NOVITA_API_KEY": "k"}, "https://api.novita.ai"),
        ("settings.NOVITA_API_BASE_URL", {"NOVITA_API_BASE_URL": "http://127.0.0.1:1/"}, "http://127.0.0.1:1"),
        ("settings.ENVIRONMENT", {"NODE_ENV": "test"}, "test"),
        ("settings.ENVIRONMENT", {"NODE_ENV": "production", "ENVIRONMENT": "test"}, "test"),
        ("settings.ENVIRONMENT", {"NODE_ENV": "staging", "ENVIRONMENT": "test"}, "test"),
        ("settings.MIGRATION_INTERVAL", {"MIGRATION_INTERVAL_MINUTES": "5"}, "0:05:00"),
        ("settings.MIGRATION_COOL_DOWN", {"MIGRATION_COOL_DOWN": "5"}, "0:05:00"),
        ("settings.MIGRATION_MOST_PER_PASS", {"MIGRATION_MOST_PER_PASS": "3"}, "3"),
        ("settings.INSTANCE_POLL_INTERVAL", {"INSTANCE_POLL_INTERVAL": "5"}, "0:00:05"),
        ("settings.PATH_PREFIX, settings.STATIC_URL", {"PUBLIC_URL": "https://ops.example"}, "('', '/static/')"),
        (
            "settings.PATH_PREFIX, settings.STATIC_URL",
            {"PUBLIC_URL": "https://ops.example/gpu/"},
            "('/gpu', '/gpu/static/')",
        ),
        (
            "settings.SESSION_COOKIE_PATH, settings.CSRF_COOKIE_PATH",
            {"PUBLIC_URL": "https://o.example/a/b"},
            "('/a/b', '/a/b')",
        ),
        ("settings.CSRF_TRUSTED_ORIGINS", {"PUBLIC_URL": "https://Ops.example:8443/gpu"}, "['https://ops.example:8443']"),
        ("settings.ALLOWED_HOSTS", {"PUBLIC_URL": "https://ops.example:8443", "ALLOWED_HOSTS": "a"}, "['a', 'ops.example']"),
        ("settings.ALLOWED_HOSTS", {"PUBLIC_URL": "https://[2001:db8::1]", "ALLOWED_HOSTS": "a"}, "['a', '[2001:db8::1]']"),
        ("settings.STOP_GRACE", {"STOP_GRACE": "5"}, "0:00:05"),
    ],
)
def test_settings_follow_the_environment(expression: str, environment: dict[str, str], value: str, tmp_path: Path) -> None:
    assert settings_value(expression, tmp_path, **environment) == value


@pytest.mark.parametrize(
    "server",
    [
        ("gunicorn", "--config", "python:novita_manager.web_server", "novita_manager.wsgi:application"),
        ("celery", "--quiet", "-A", "novita_manager.celery:app", "worker"),
        ("celery", "--quiet", "-A", "novita_manager.celery:app", "beat"),
    ],
)
def test_a_server_with_a_bad_setting_ends_with_one_line(server: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *server],
        env={**clean(dict(os.environ)), "DATA_DIR": str(tmp_path), "JOB_LEASE": "soon"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("novita-manager cannot start. JOB_LEASE=soon: ")
    assert done.stderr.count("\n") == 1


def test_a_name_that_no_setting_has_is_told_in_a_line_like_all_others(tmp_path: Path) -> None:
    given = {"DATA_DIR": str(tmp_path), "LOG_FORMAT": "json", "NOVITA_POLL_INTERVAL": "5s"}
    done = subprocess.run(
        [sys.executable, "-c", "from novita_manager import settings"],
        env={**clean(dict(os.environ)), **given},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    line = json.loads(done.stderr)
    assert line["level"] == "warning"
    assert line["event"].startswith("NOVITA_POLL_INTERVAL is set but no such setting exists")


def test_development_makes_its_secrets_once_and_keeps_them_private(tmp_path: Path) -> None:
    first = settings_value("settings.SECRET_KEY, settings.FIELD_ENCRYPTION_KEYS", tmp_path)

    assert settings_value("settings.SECRET_KEY, settings.FIELD_ENCRYPTION_KEYS", tmp_path) == first
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "field_encryption_key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"PORT": "none"}, "PORT=none: write a whole number"),
        ({"DATA_DIR": "/dev/null/var"}, "DATA_DIR must name a folder that this user can write to"),
    ],
)
def test_a_command_with_a_bad_setting_ends_with_one_line(environment: dict[str, str], words: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env={**clean(dict(os.environ)), "DATA_DIR": str(tmp_path), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


@pytest.mark.parametrize(
    ("url", "backend", "sender", "port"),
    [
        ("smtp+tls://me%40example.com:word@mail.example.com:587", "smtp", "me@example.com", "587"),
        ("smtp+ssl://me:word@mail.example.com:465?from=gpu@example.com", "smtp", "gpu@example.com", "465"),
        ("smtp://mail.example.com", "smtp", "novita-manager@manager.example", "25"),
        ("consolemail://", "console", "novita-manager@manager.example", "25"),
    ],
)
def test_mail_is_sent_as_the_address_says(url: str, backend: str, sender: str, port: str, tmp_path: Path) -> None:
    told = settings_value(
        "settings.EMAIL_BACKEND.split('.')[-2], settings.DEFAULT_FROM_EMAIL, settings.EMAIL_PORT",
        tmp_path,
        EMAIL_URL=url,
        PUBLIC_URL="https://manager.example",
    )

    assert told == f"('{backend}', '{sender}', {port})"


def test_secrets_of_webhooks_are_several_while_one_is_replaced_and_its_address_is_kept_to_the_letter(tmp_path: Path) -> None:
    newer, older = new_secret(), new_secret()

    told = settings_value(
        "len(settings.WEBHOOK_SECRETS), settings.WEBHOOK_URL",
        tmp_path,
        WEBHOOK_SECRET=f"{newer},{older}",
        WEBHOOK_URL="https://hooks.example/path/?a=b",
    )

    assert told == "(2, 'https://hooks.example/path/?a=b')"
