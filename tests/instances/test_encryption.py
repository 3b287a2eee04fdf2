"""Values encrypted at rest, and the change of their key."""

from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from instances.encryption import UnreadableSecretError, encrypted_columns
from instances.models import Instance
from tests.factories import make_instance

pytestmark = pytest.mark.django_db
ENVS = [{"key": "TOKEN", "value": "hunter2"}]


def stored(instance: Instance) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT envs FROM instances_instance WHERE name = %s", [instance.name])
        return str(cursor.fetchone()[0])


def test_the_database_sees_only_a_token() -> None:
    instance = make_instance(name="box", envs=ENVS)

    assert "hunter2" not in stored(instance)
    assert Instance.objects.get(pk=instance.pk).envs == ENVS


def test_nothing_is_stored_as_nothing() -> None:
    assert stored(make_instance(name="box", envs=[])) == ""


def test_an_older_key_reads_and_the_newest_writes(settings: Any) -> None:
    instance, [old] = make_instance(name="box", envs=ENVS), settings.FIELD_ENCRYPTION_KEYS
    new = Fernet.generate_key().decode()
    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    assert Instance.objects.get(pk=instance.pk).envs == ENVS

    told = StringIO()
    call_command("renew_encryption", stdout=told)

    assert "instances.Instance.envs: 1 values written anew" in told.getvalue()
    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert Instance.objects.get(pk=instance.pk).envs == ENVS


def test_what_no_key_decrypts_is_named_and_kept_and_the_rest_is_renewed(settings: Any) -> None:
    lost = make_instance(name="lost", envs=ENVS)
    token = stored(lost)
    new = Fernet.generate_key().decode()
    settings.FIELD_ENCRYPTION_KEYS = [new]
    good = make_instance(name="good", envs=ENVS)

    with pytest.raises(CommandError, match=f"decrypts 1 values: instances.Instance.envs of {lost.pk}"):
        call_command("renew_encryption", stdout=StringIO())

    assert stored(lost) == token
    assert Instance.objects.get(pk=good.pk).envs == ENVS
    with pytest.raises(UnreadableSecretError):
        Instance.objects.get(pk=lost.pk).envs  # noqa: B018 - looking is what raises


def test_every_column_that_is_encrypted_is_renewed() -> None:
    assert {f"{model.__name__}.{column}" for model, column in encrypted_columns()} >= {
        "Instance.envs",
        "Machine.connection",
        "Template.envs",
    }
