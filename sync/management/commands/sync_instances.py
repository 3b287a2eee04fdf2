"""Exit status: 0 done, 1 Novita did not answer, 2 the list was incomplete or not believed, 3 another sync runs."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.table import Table

from instances.events import Actor
from instances.novita.errors import NovitaError
from sync.account import verify_account
from sync.listing import Result, news
from sync.manual import ListRunning, as_json, sync_now

_WIDTH = 160


class Command(BaseCommand):
    help = "Compare the records with what Novita really runs and take the differences over. " + (__doc__ or "")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would change; change nothing")
        parser.add_argument("--json", action="store_true", dest="as_json", help="the whole result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        verify_account()
        actor = Actor(kind="command", name="sync_instances")
        try:
            result = sync_now(actor=actor, dry_run=options["dry_run"])
        except ListRunning as running:
            self.stderr.write(str(running))
            sys.exit(3)
        except NovitaError as error:
            self.stderr.write(f"Novita did not answer ({error.code}): {error.message}")
            sys.exit(1)
        doubt = _doubt(result)
        if options["as_json"]:
            self.stdout.write(json.dumps(as_json(result) | {"doubt": doubt}, indent=2))
        else:
            self._show(result, doubt)
        if doubt:
            sys.exit(2)

    def _show(self, result: Result, doubt: str) -> None:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
        table = Table(title="Sync, rehearsal: nothing is changed" if result.run.dry_run else "Sync")
        for heading in ("change", "Novita id", "instance", "reason"):
            table.add_column(heading, overflow="fold")
        found = news(result.changes)
        for change in found:
            table.add_row(change.kind, change.novita_id, change.instance_id, change.reason)
        with console.capture() as printed:
            if found:
                console.print(table)
            console.print(f"{result.run.seen} instances on {result.run.pages} pages, {len(found)} differences", markup=False)
            if doubt:
                console.print(doubt, markup=False)
        self.stdout.write(printed.get())


def _doubt(result: Result) -> str:
    if not result.listed.complete:
        return f"the list is incomplete: {result.listed.problem}"
    return result.doubt
