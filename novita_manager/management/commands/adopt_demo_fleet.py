"""The demo's first minute: take most of the simulator's fleet into care, so that the first page has something to say.

Only ever run against the simulator, and only once: later starts find the instances as people left them.
"""

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from instances.events import Actor
from instances.models import Instance
from instances.operations import OperationRefused, adopt

WAIT_SECONDS = 30.0
ACTOR = Actor(kind="system", name="demo")
# By the names the simulator gives; what is not named here stays somebody else's, as in a real account.
ADOPTED: dict[str, dict[str, Any]] = {
    "llama-3-70b-api": {"auto_stop_mode": "enforce", "owner": "serving", "protected": True, "labels": {"team": "serving"}},
    "sdxl-notebook": {"auto_stop_mode": "enforce", "owner": "maya", "labels": {"team": "research"}},
    "comfyui-test": {"auto_stop_mode": "observe", "owner": "tom", "labels": {"team": "design"}},
    "lora-training": {"auto_stop_mode": "enforce", "owner": "maya", "local_data": "disposable"},
    "whisper-batch": {"auto_stop_mode": "observe", "owner": "tom"},
}


class Command(BaseCommand):
    help = "Adopt most of the simulator's demo fleet. Refused anywhere else."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SIMULATED:
            raise CommandError("this is for the simulator only: NOVITA_API_KEY is set")
        if Instance.objects.managed().exists():
            return
        found = Instance.objects.filter(managed=False, name__in=ADOPTED, ended_at=None)
        until = time.monotonic() + WAIT_SECONDS
        while found.count() < len(ADOPTED) and time.monotonic() < until:
            time.sleep(0.2)  # the worker's first poll finds them
        for instance in found.all():
            self._adopt(instance)

    def _adopt(self, instance: Instance) -> None:
        try:
            adopt(
                instance.pk,
                name=instance.name,
                settings=ADOPTED[instance.name],
                actor=ACTOR,
                reason="part of the demo fleet",
                now=timezone.now(),
            )
        except OperationRefused as refusal:
            self.stderr.write(f"{instance.name}: {refusal.detail}")
