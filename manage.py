#!/usr/bin/env python
"""Runs the management commands. A setting that cannot be used ends them with one line instead of a traceback."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from instances import tally


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "novita_manager.settings")
    try:
        settings.configured or settings.INSTALLED_APPS  # noqa: B018 - reading any setting loads them all
    except ImproperlyConfigured as error:
        return refuse(str(error))
    except OSError as error:
        return refuse(f"{error.filename}: {error.strerror}. DATA_DIR must name a folder that this user can write to")
    try:
        execute_from_command_line(sys.argv)
    finally:
        tally.flush_last()  # a command may have asked Novita, or stopped something
    return 0


def refuse(reason: str) -> int:
    sys.stderr.write(f"novita-manager cannot start. {reason}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
