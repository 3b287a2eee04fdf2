"""Runs the whole product on this machine until it is stopped."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from novita_manager.embedded.launch import Launch, Refused

ALL_INTERFACES = "0.0.0.0"  # noqa: S104 - only where ALLOWED_HOSTS says under which names people come


class Command(BaseCommand):
    help = "Run web, worker, beat, broker and (without a provider key) the simulator in the foreground."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--bind", metavar="ADDRESS", help="address to listen on; default: this machine only, all if ALLOWED_HOSTS is set"
        )
        parser.add_argument(
            "--end-with-parent", action="store_true", help="stop when the process that started this one ends"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        host = options["bind"] or ("127.0.0.1" if settings.ALLOWED_HOSTS == ["*"] else ALL_INTERFACES)
        launch = Launch(host=host, manage=Path(settings.BASE_DIR) / "manage.py", say=self._say)
        try:
            launch.run(end_with_parent=options["end_with_parent"])
        except Refused as refused:
            raise CommandError(str(refused)) from None
        except DatabaseError as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise CommandError(f"the database cannot be used: {reason[0]}") from None
        except OSError as error:
            raise CommandError(f"{error.filename or 'the system'}: {error.strerror}") from None

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
