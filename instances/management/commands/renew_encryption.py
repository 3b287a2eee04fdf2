"""Writes every encrypted value anew with the newest key, so that older keys can be taken away."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from instances.encryption import encrypted_columns, renew


class Command(BaseCommand):
    help = "Encrypt what is stored with the newest of FIELD_ENCRYPTION_KEYS. Afterwards the older ones can be removed."

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = []
        for model, column in encrypted_columns():
            name = f"{model._meta.label}.{column}"
            renewed, failed = renew(model, column)
            self.stdout.write(f"{name}: {renewed} values written anew")
            unreadable += [f"{name} of {key}" for key in failed]
        if unreadable:
            shown = ", ".join(unreadable[:20])
            raise CommandError(
                f"no key in FIELD_ENCRYPTION_KEYS decrypts {len(unreadable)} values: {shown}. "
                "Put the key they were written with back, last in the list, and run this again"
            )
