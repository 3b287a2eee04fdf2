"""Runs the simulator: a Novita on this machine, for demos, tests and trying things out."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instances.novita.simulator.command_line import main


class Command(BaseCommand):
    help = "Play Novita on a port of this machine until stopped. Point NOVITA_API_BASE_URL at the address it prints."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=3900, help="0: any free port (3900)")
        parser.add_argument("--state", metavar="FILE", help="keep its state there; without it nothing is kept")
        parser.add_argument("--speed", type=float, help="divides every duration (1)")
        parser.add_argument("--seed", type=int, help="of its random choices (1)")
        parser.add_argument("--fleet", help="empty, demo or a number of instances, at the first start (empty)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["port"] <= 65535:
            raise CommandError(f"--port {options['port']}: must lie between 0 and 65535")
        given = {name: options[name] for name in ("port", "state", "speed", "seed", "fleet") if options[name] is not None}
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        sys.exit(main(words))
