"""Gives an API key a successor, or ends it."""

import getpass
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from instances.api.times import parse_duration, rfc3339
from instances.events import Actor
from novita_manager.keys import revoke_key, rotate_key
from novita_manager.management.commands.create_api_key import key_json, key_text
from novita_manager.models import ApiKey


class Command(BaseCommand):
    help = "Make a new key that may do what an old one may; the old one works on for a while, or not at all (--revoke)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "key", metavar="PREFIX", help="the prefix of the key, or its name where only one valid key has it"
        )
        parser.add_argument("--overlap", default="24h", metavar="SPAN", help="how long the old key works on; 24h")
        parser.add_argument("--revoke", action="store_true", help="end the key now and make no other")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        now, actor = timezone.now(), Actor(kind="command", name=getpass.getuser())
        key = _the_one(options["key"])
        if options["revoke"]:
            revoke_key(key, actor=actor, now=now)
            told = {"revoked": key.prefix, "name": key.name}
            self.stdout.write(json.dumps(told) if options["json"] else f"{key} lets nobody in any more.")
            return
        try:
            overlap = parse_duration(options["overlap"])
            fresh, plain = rotate_key(key, overlap=overlap, actor=actor, now=now)
        except (ValueError, OverflowError) as error:
            raise CommandError(f"{key}: {error}") from None
        until = rfc3339(now + overlap)
        if options["json"]:
            self.stdout.write(json.dumps(key_json(fresh, plain) | {"replaces": key.prefix, "overlap_until": until}))
        else:
            self.stdout.write(f"{key_text(fresh, plain)}\n{key} works until {until}.")


def _the_one(words: str) -> ApiKey:
    valid = ApiKey.objects.filter(revoked_at=None)
    found = list(valid.filter(prefix=words)) or list(valid.filter(name=words, replaced_by=None))
    if len(found) != 1:
        raise CommandError(f"{len(found)} valid keys have the prefix or name {words!r}: name the prefix of one")
    return found[0]
