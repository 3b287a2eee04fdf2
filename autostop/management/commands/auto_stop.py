"""One auto-stop pass from the terminal: the same pass the timetable makes.

Exit status: 0 done; 1 it failed; 2 done, but something that is paid for could not be judged; 3 another pass is under way.
"""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from autostop.passes import PassRunning, run_now
from autostop.results import Item, Outcome, PassResult
from instances.events import Actor

NOT_JUDGED_STATUS = 2
PASS_RUNNING_STATUS = 3
_WIDTH = 160
_COLOURS = {
    Outcome.STOPPED: "bold red",
    Outcome.WOULD_STOP: "yellow",
    Outcome.WAITS: "yellow",
    Outcome.NOT_JUDGED: "magenta",
    Outcome.WARNED: "yellow",
    Outcome.STARTED: "bold cyan",
    Outcome.WOULD_START: "cyan",
    Outcome.KEPT: "green",
}


class Command(BaseCommand):
    help = (
        "Decide on every managed instance and stop those that are idle. "
        "Exit status: 0 done, 1 failed, 2 something paid for could not be judged, 3 another pass is under way."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done; change nothing")
        parser.add_argument("--json", action="store_true", dest="as_json", help="the whole result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = Actor(kind="command", name="auto_stop")
        try:
            result = run_now(now=timezone.now(), dry_run=options["dry_run"], actor=actor, trigger="command")
        except PassRunning as running:
            self.stderr.write(str(running))
            sys.exit(PASS_RUNNING_STATUS)
        if options["as_json"]:
            self.stdout.write(json.dumps(result.as_json(), indent=2))
        else:
            self._show(result)
        if result.count(Outcome.NOT_JUDGED):
            sys.exit(NOT_JUDGED_STATUS)

    def _show(self, result: PassResult) -> None:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
        table = Table(title="Auto-stop, rehearsal: nothing is changed" if result.dry_run else "Auto-stop")
        for heading in ("instance", "Novita id", "mode", "policy", "outcome", "code", "reason"):
            table.add_column(heading, overflow="fold")
        for item in result.items:
            table.add_row(*_cells(item), style=_COLOURS[item.outcome])
        with console.capture() as printed:
            console.print(table)
            console.print(result.summary, markup=False)
        self.stdout.write(printed.get())


def _cells(item: Item) -> tuple[str, ...]:
    name = item.name.replace("[", r"\[")
    reason = item.decision.reason.replace("[", r"\[")
    return name, item.novita_id, item.mode, item.policy, str(item.outcome), str(item.decision.code), reason
