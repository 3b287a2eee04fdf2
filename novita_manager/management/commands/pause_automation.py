"""Holds every rule for a while, or lets them act again."""

import getpass
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from instances.api.times import parse_duration, rfc3339
from instances.events import Actor
from instances.models import AutomationPause
from instances.operations import TooLong, pause_automation, resume_automation


class Command(BaseCommand):
    help = "Pause auto-stop, migration and every other rule, for 7 days at most. People's own acts go on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("span", nargs="?", default="", help="such as 30m, 2h or 3d")
        parser.add_argument("--reason", default="")
        parser.add_argument("--resume", action="store_true", help="end the pause now")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["span"]) == options["resume"]:
            raise CommandError("say for how long, such as 2h, or --resume")
        now = timezone.now()
        actor = Actor(kind="command", name=getpass.getuser())
        if options["resume"]:
            pause = resume_automation(actor=actor, reason=options["reason"], now=now)
        else:
            try:
                span = parse_duration(options["span"])
            except ValueError as error:
                raise CommandError(f"{options['span']}: {error}") from None
            if not span:
                raise CommandError("a pause lasts more than nothing")
            try:
                pause = pause_automation(until=now + span, reason=options["reason"], actor=actor, now=now)
            except TooLong as refusal:
                raise CommandError(refusal.detail) from None
        self.stdout.write(_told(pause, as_json=options["json"]))


def _told(pause: AutomationPause, *, as_json: bool) -> str:
    until = rfc3339(pause.paused_until) if pause.paused_until else None
    if as_json:
        return json.dumps({"paused_until": until, "reason": pause.reason})
    return f"Automation is paused until {until}." if until else "Automation is on."
