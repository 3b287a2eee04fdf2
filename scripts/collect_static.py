"""Collects the static files as production serves them, with throwaway secrets; for building an image."""

import subprocess
import sys

from scripts.deploy_check import production


def main() -> int:
    with production() as environment:
        command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - our own command


if __name__ == "__main__":
    sys.exit(main())
