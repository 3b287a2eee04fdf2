"""Makes the first administrator and the first API key; run again, it changes nothing."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from novita_manager.embedded.first_access import describe, open_first_access


class Command(BaseCommand):
    help = "Make the user 'admin' and an API key that may do everything, unless they exist."

    def handle(self, *args: Any, **options: Any) -> None:
        made = open_first_access(password=settings.BOOTSTRAP_ADMIN_PASSWORD, api_key=settings.BOOTSTRAP_API_KEY)
        for line in describe(made) or ["Nothing to do: there is an administrator and an API key."]:
            self.stdout.write(line)
