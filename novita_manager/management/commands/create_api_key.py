"""Makes an API key and shows it once."""

import getpass
import json
from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from instances.api.times import parse_duration, rfc3339
from instances.events import Actor
from novita_manager.keys import issue_key
from novita_manager.models import SCOPES, ApiKey

_LARGEST = Decimal(1_000_000)


class Command(BaseCommand):
    help = "Make an API key. Its plain text is shown once and stored nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--scope", action="append", choices=SCOPES, required=True, help="may be given several times")
        parser.add_argument("--owner", default="", help="who owns what the key creates")
        parser.add_argument("--expires", default="", metavar="SPAN", help="such as 90d or 12h; never where left out")
        parser.add_argument(
            "--network",
            action="append",
            default=[],
            metavar="CIDR",
            help="where it may be used from, such as 203.0.113.0/24; may be given several times; anywhere where left out",
        )
        parser.add_argument(
            "--max-instances", type=int, metavar="N", help="how many instances made or started with it may exist at once"
        )
        parser.add_argument(
            "--max-usd-per-hour", default="", metavar="USD", help="how much they may cost per hour together, disks apart"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        name = str(options["name"]).strip()
        if not 1 <= len(name) <= 100:
            raise CommandError("a name has 1 to 100 characters")
        if options["max_instances"] is not None and not 0 <= options["max_instances"] < 1_000_000:
            raise CommandError("--max-instances: write a whole number from 0 on")
        expires_at = None
        if options["expires"]:
            try:
                expires_at = timezone.now() + parse_duration(options["expires"])
            except (ValueError, OverflowError) as error:
                raise CommandError(f"--expires {options['expires']}: {error}") from None
        try:
            key, plain = issue_key(
                actor=Actor(kind="command", name=getpass.getuser()),
                now=timezone.now(),
                name=name,
                scopes=options["scope"],
                owner=options["owner"],
                expires_at=expires_at,
                allowed_networks=options["network"],
                max_instances=options["max_instances"],
                max_usd_per_hour=_money(options["max_usd_per_hour"]),
            )
        except ValueError as error:
            raise CommandError(f"--network: {error}") from None
        self.stdout.write(json.dumps(key_json(key, plain)) if options["json"] else key_text(key, plain))


def key_json(key: ApiKey, plain: str) -> dict[str, Any]:
    return {
        "id": key.pk,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "owner": key.owner,
        "expires_at": rfc3339(key.expires_at) if key.expires_at else None,
        "allowed_networks": key.allowed_networks,
        "max_instances": key.max_instances,
        "max_usd_per_hour": None if key.max_usd_per_hour is None else f"{key.max_usd_per_hour:f}",
        "key": plain,
    }


def key_text(key: ApiKey, plain: str) -> str:
    bounds = [
        f"expires at {rfc3339(key.expires_at)}" if key.expires_at else "never expires",
        f"from {', '.join(key.allowed_networks)} only" if key.allowed_networks else "",
        f"at most {key.max_instances} instances" if key.max_instances is not None else "",
        f"at most ${key.max_usd_per_hour:f} per hour" if key.max_usd_per_hour is not None else "",
    ]
    told = "; ".join((", ".join(key.scopes), *filter(None, bounds)))
    return f"{key.name}: {told}\n{plain}\nIt is shown this once: keep it safe."


def _money(text: str) -> Decimal | None:
    if not text:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not 0 <= amount < _LARGEST:
        raise CommandError(f"--max-usd-per-hour {text}: write an amount such as 2.50")
    return amount
