"""Adopting over HTTP: one and many, rehearsed and in earnest, and what the answer says automation may do."""

from typing import Any

import pytest

from instances.models import Event, Instance, Job
from tests.factories import make_instance
from tests.instances.api.calls import Caller, fields

pytestmark = pytest.mark.django_db


def stranger(name: str = "dev", **columns: Any) -> Instance:
    return make_instance(name=name, managed=False, auto_stop_mode="off", **columns)


def test_the_answer_says_in_words_what_automation_may_do() -> None:
    theirs = stranger(machine={"rootfs_size_gb": 90, "ports": [{"port": 1, "type": "tcp"}]})

    answer = Caller().post(f"/instances/{theirs.pk}/adopt", {"reason": "it is ours", "labels": {"team": "vision"}})

    assert answer.status_code == 202
    body = answer.json()
    assert (body["managed"], body["dry_run"], body["wanted"], body["auto_stop"]["mode"]) == (
        True,
        False,
        "running",
        "observe",
    )
    assert (body["local_data"], body["labels"]) == ("precious", {"team": "vision"})
    words = " ".join(body["automation"])
    assert "Auto-stop only observes: after 20 min" in words
    assert "left to a person" in words
    assert "No rule ever deletes it" in words
    theirs.refresh_from_db()
    assert (theirs.rootfs_size_gb, theirs.ports) == (90, [{"port": 1, "type": "tcp"}])
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"auto_stop": {"mode": "enforce", "threshold": "2h"}}, "Auto-stop stops it after 2 h without use"),
        ({"auto_stop": {"mode": "off"}}, "Auto-stop is off"),
        ({"auto_stop": {"mode": "enforce"}, "protected": True}, "it is protected: it is not stopped"),
        ({"protected": True}, "nobody deletes it before the protection is taken off"),
        ({"health_check": None}, "Its health is not checked."),
        ({"local_data": "disposable"}, "it is brought back"),
    ],
)
def test_the_words_follow_the_settings(settings: dict[str, Any], says: str) -> None:
    theirs = stranger()

    words = Caller().post(f"/instances/{theirs.pk}/adopt", settings).json()["automation"]

    assert any(says in one for one in words), words


def test_a_rehearsal_answers_the_same_and_changes_nothing() -> None:
    theirs = stranger()
    caller = Caller()

    rehearsed = caller.post(f"/instances/{theirs.pk}/adopt", {"dry_run": True, "name": "mine"})
    assert rehearsed.status_code == 200
    assert (rehearsed.json()["name"], rehearsed.json()["managed"], rehearsed.json()["dry_run"]) == ("mine", True, True)
    theirs.refresh_from_db()
    assert (theirs.managed, theirs.name, Event.objects.filter(type="instance.adopted").exists()) == (False, "dev", False)

    done = caller.post(f"/instances/{theirs.pk}/adopt", {"name": "mine"})
    told = ("phase_since", "wanted_at", "last_used_at", "dry_run", "observed_at")
    same = {name: value for name, value in rehearsed.json().items() if name not in told}
    assert {name: value for name, value in done.json().items() if name not in told} == same


def test_a_name_that_will_not_do_is_refused_with_one_that_does() -> None:
    make_instance(name="dev")
    second, nameless = stranger("dev"), stranger("")
    caller = Caller()

    taken = caller.post(f"/instances/{second.pk}/adopt")
    assert (taken.status_code, taken.json()["code"], taken.json()["proposed_name"]) == (409, "name_taken", "dev-2")
    assert "dev-2" in taken.json()["detail"]
    needed = caller.post(f"/instances/{nameless.pk}/adopt")
    assert (needed.status_code, fields(needed)) == (400, {"name": "name_required"})
    assert needed.json()["proposed_name"].startswith("rtx-4090-24gb-")


def test_many_are_adopted_with_a_result_each() -> None:
    make_instance(name="dev")
    twins = [stranger("dev"), stranger("dev")]
    box, ended = stranger("box"), stranger("gone", machine={"absent_at": twins[0].created_at})
    body = {
        "action": "adopt",
        "refs": [str(one.pk) for one in (*twins, box, ended)],
        "names": {str(twins[0].pk): "dev-of-maya"},
        "settings": {"owner": "maya", "auto_stop": {"mode": "off"}},
        "reason": "moving in",
    }

    rehearsed = Caller().post("/instances/bulk", {**body, "dry_run": True})
    assert rehearsed.status_code == 200
    assert Instance.objects.filter(managed=True).count() == 1

    results = Caller().post("/instances/bulk", body).json()["results"]
    assert [(one["ok"], one["code"], one["name"]) for one in results] == [
        (True, "accepted", "dev-of-maya"),
        (False, "name_taken", "dev"),
        (True, "accepted", "box"),
        (False, "wrong_phase", "gone"),
    ]
    assert results[1]["proposed_name"] == "dev-2"
    assert "Auto-stop is off" in results[2]["automation"][0]
    assert [one["code"] for one in rehearsed.json()["results"]] == [one["code"] for one in results]
    box.refresh_from_db()
    assert (box.owner, box.auto_stop_mode, box.managed) == ("maya", "off", True)


def test_all_that_fit_a_filter_are_adopted_under_the_names_proposed() -> None:
    for name in ("dev", "dev", "", "a b"):
        stranger(name)
    make_instance(name="ours")

    body = {"action": "adopt", "filter": {"region": "CN-HK-01"}, "take_proposed_names": True}
    results = Caller().post("/instances/bulk", body).json()["results"]

    assert [one["ok"] for one in results] == [True] * 4
    names = {one.name for one in Instance.objects.filter(managed=True)}
    assert {"dev", "dev-2", "a-b", "ours"} < names
    assert len(names) == 5


def test_adopting_many_needs_the_scope_to_create_and_settings_go_with_it_alone() -> None:
    theirs = stranger()
    body = {"action": "adopt", "refs": [str(theirs.pk)]}

    assert Caller("operate", name="operator").post("/instances/bulk", body).status_code == 403
    refused = Caller().post("/instances/bulk", {"action": "stop", "refs": ["x"], "settings": {"owner": "eve"}})
    assert (refused.status_code, fields(refused)) == (400, {"settings": "invalid"})
