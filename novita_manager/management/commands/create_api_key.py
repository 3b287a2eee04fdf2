"""Makes an API key and shows it once."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from instances.api.times import parse_duration, rfc3339
from novita_manager.models import SCOPES, ApiKey


class Command(BaseCommand):
    help = "Make an API key. Its plain text is shown once and stored nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--scope", action="append", choices=SCOPES, required=True, help="may be given several times")
        parser.add_argument("--owner", default="", help="who owns what the key creates")
        parser.add_argument("--expires", default="", metavar="SPAN", help="such as 90d or 12h; never where left out")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        name = str(options["name"]).strip()
        if not 1 <= len(name) <= 100:
            raise CommandError("a name has 1 to 100 characters")
        expires_at = None
        if options["expires"]:
            try:
                expires_at = timezone.now() + parse_duration(options["expires"])
            except (ValueError, OverflowError) as error:
                raise CommandError(f"--expires {options['expires']}: {error}") from None
        key, plain = ApiKey.objects.issue(name=name, scopes=options["scope"], owner=options["owner"], expires_at=expires_at)
        expiry = rfc3339(expires_at) if expires_at else None
        if options["json"]:
            shown = {
                "id": key.pk,
                "name": name,
                "scopes": key.scopes,
                "owner": key.owner,
                "expires_at": expiry,
                "key": plain,
            }
            self.stdout.write(json.dumps(shown))
            return
        self.stdout.write(f"{name}: {', '.join(key.scopes)}; {f'expires at {expiry}' if expiry else 'never expires'}")
        self.stdout.write(plain)
        self.stdout.write("It is shown this once: keep it safe.")
