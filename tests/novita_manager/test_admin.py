import re
from typing import Any

import pytest
from django.test import Client

from instances.models import Event
from novita_manager.models import SCOPES, ApiKey
from tests.pages import person, signed_in

pytestmark = pytest.mark.django_db

KEYS = "/admin/novita_manager/apikey/"


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


def made(client: Client, **fields: Any) -> Any:
    data = {"name": "ci", "owner": "ops", "scopes": ["read"], "expires_at_0": "", "expires_at_1": "", **fields}
    return client.post(f"{KEYS}add/", data)


def test_a_key_is_shown_once_and_stored_as_its_hash(ann: Client) -> None:
    response = made(ann)
    assert response.status_code == 200
    found = re.search(rb'<code id="issued-key">(nvm_[0-9a-f]{64})</code>', response.content)
    assert found is not None
    plain = found[1].decode()
    row = ApiKey.objects.get()
    assert ApiKey.objects.matching(plain) == row
    assert (row.name, row.owner, row.scopes) == ("ci", "ops", ["read"])
    assert "no-store" in response["Cache-Control"]
    for address in (KEYS, f"{KEYS}{row.pk}/change/"):
        again = ann.get(address).content.decode()
        assert plain not in again
        assert row.hash not in again


def test_making_and_revoking_a_key_are_told_without_the_key(ann: Client) -> None:
    made(ann)
    row = ApiKey.objects.get()
    for _ in range(2):
        ann.post(KEYS, {"action": "revoke", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert row.revoked_at is not None
    events = list(Event.objects.order_by("id"))
    assert [(one.type, one.actor_name) for one in events] == [("api_key.created", "ann"), ("api_key.revoked", "ann")]
    assert row.hash not in str([one.after for one in events])


def test_a_key_needs_a_scope(ann: Client) -> None:
    assert "This field is required" in made(ann, scopes=[]).content.decode()
    assert not ApiKey.objects.exists()


def test_what_a_key_may_do_is_never_changed(ann: Client) -> None:
    made(ann)
    row = ApiKey.objects.get()
    assert ann.post(f"{KEYS}{row.pk}/change/", {"name": "x", "scopes": ["admin"]}).status_code == 403
    assert ann.post(f"{KEYS}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    row.refresh_from_db()
    assert row.scopes == ["read"]


def test_who_lacks_the_permission_makes_no_key() -> None:
    assert made(signed_in(person("vic", "view_instance"))).status_code == 403
    assert not ApiKey.objects.exists()


def test_nobody_makes_a_key_that_may_more_than_they_may() -> None:
    otto = signed_in(person("otto", "view_instance", "change_instance", "add_apikey", "change_apikey", "view_apikey"))
    shown = otto.get(f"{KEYS}add/").content.decode()
    assert [scope for scope in SCOPES if f'value="{scope}"' in shown] == ["read", "operate"]
    for scope in ("create", "secrets", "admin"):
        assert "not one of the available choices" in made(otto, scopes=[scope]).content.decode()
    assert not ApiKey.objects.exists()
    assert made(otto, scopes=["operate"]).status_code == 200
    assert ApiKey.objects.get().scopes == ["operate"]


def test_people_and_groups_open_in_the_admin(ann: Client) -> None:
    for address in ("/admin/auth/user/", "/admin/auth/user/add/", "/admin/auth/group/", "/admin/"):
        assert ann.get(address).status_code == 200
