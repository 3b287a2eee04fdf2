"""Runs Django's deployment check as production would be configured, with throwaway secrets made on the spot."""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.fernet import Fernet


@contextmanager
def production() -> Iterator[dict[str, str]]:
    """An environment in which production starts; its data folder goes away afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")} | {
            "ENVIRONMENT": "production",
            "DATA_DIR": folder,
            "NOVITA_API_KEY": secrets.token_hex(16),
            "SECRET_KEY": secrets.token_urlsafe(64),
            "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "ALLOWED_HOSTS": "manager.example",
            "PUBLIC_URL": "https://manager.example",
        }


def main() -> int:
    with production() as environment:
        command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - our own command


if __name__ == "__main__":
    sys.exit(main())
