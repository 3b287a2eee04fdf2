"""Exit status: 0 done, 2 something is to come back and is held."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from instances.events import Actor
from sync.account import verify_account
from sync.reclaim_api import item_json
from sync.reclaims import Item, revive

_WIDTH = 160


class Command(BaseCommand):
    help = "Bring back the spot instances that Novita took back and that are wanted running, or say why not. " + (
        __doc__ or ""
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done; change nothing")
        parser.add_argument("--json", action="store_true", dest="as_json", help="the whole result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        verify_account()
        actor = Actor(kind="command", name="migrate_spot_instances")
        items = revive(now=timezone.now(), dry_run=options["dry_run"], actor=actor)
        if options["as_json"]:
            self.stdout.write(json.dumps([item_json(item) for item in items], indent=2))
        else:
            self._show(items, dry_run=options["dry_run"])
        if any(item.decision.code == "held" for item in items):
            sys.exit(2)

    def _show(self, items: list[Item], *, dry_run: bool) -> None:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
        table = Table(
            title="Reclaimed spot instances, rehearsal: nothing is changed" if dry_run else "Reclaimed spot instances"
        )
        for heading in ("instance", "Novita id", "decision", "reason"):
            table.add_column(heading, overflow="fold")
        for item in items:
            decision = item.decision
            table.add_row(
                item.name.replace("[", r"\["), item.novita_id, f"{decision.action}: {decision.code}", decision.reason
            )
        acted = sum(item.acted for item in items)
        with console.capture() as printed:
            console.print(table)
            console.print(f"{len(items)} spot instances, {acted} acted on", markup=False)
        self.stdout.write(printed.get())
