"""One verb for many, with what it brings about said first; and a whole fleet stopped but for what is left out."""

import re
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from instances.models import Event, Instance, Job
from instances.operations import change_settings
from tests.meanwhile import when_the_first_job_is_written
from tests.pages import KEY, person, running, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def test_stop_all_says_what_it_saves_and_leaves_the_protected_out(ann: Client) -> None:
    now = timezone.now()
    running("one", at=now, price="0.35")
    running("two", at=now, price="0.20")
    guarded = running("guarded", at=now, price="5.00", protected=True)
    running("strange", at=now, managed=False, wanted="", wanted_at=None)

    shown = text_of(ann.get("/stop-all"))

    assert "Stop 2 instances?" in shown
    assert "Saves $0.55 per hour" in shown
    assert "Left out: it is protected" in shown
    assert f'value="{guarded.pk}" aria-label="guarded" disabled' in shown
    assert "strange" not in shown
    assert not Job.objects.exists()
    assert not Event.objects.filter(type__startswith="job.").exists()


def test_those_ticked_are_stopped_and_the_excluded_is_not(ann: Client) -> None:
    now = timezone.now()
    one, two = running("one", at=now), running("two", at=now)

    response = ann.post("/stop-all", {"chosen": [str(one.pk)], "reason": "the weekend"}, follow=True)

    assert "1 of 1 asked to stop" in text_of(response)
    job = Job.objects.get()
    assert (job.instance_id, job.verb, job.requested_by_name, job.reason) == (one.pk, "stop", "ann", "the weekend")
    two.refresh_from_db()
    assert two.wanted == "running"


def test_a_choice_is_shown_with_the_reasons_for_those_it_cannot_be_asked_of(ann: Client) -> None:
    now = timezone.now()
    mine = running("mine", at=now)
    strange = running("strange", at=now, managed=False, wanted="", wanted_at=None)

    shown = text_of(ann.get("/many/stop", {"chosen": [str(mine.pk), str(strange.pk)]}))

    assert "Stop 1 instance?" in shown
    assert "adopt it first" in shown


def test_many_are_adopted_at_once_and_every_refusal_is_told(ann: Client) -> None:
    now = timezone.now()
    found = [running(name, at=now, managed=False, wanted="", wanted_at=None) for name in ("twin", "TWIN", "other")]
    gone = running("gone", at=now, managed=False, wanted="", wanted_at=None, phase="gone", ended_at=now)

    response = ann.post("/many/adopt", {"chosen": [str(one.pk) for one in (*found, gone)]}, follow=True)

    adopted = Instance.objects.filter(managed=True).values_list("name", flat=True)
    assert len({name.lower() for name in adopted}) == 3  # of two twins one gets a name of its own
    shown = text_of(response)
    assert "3 of 4 adopted" in shown
    assert "1 refused. " in shown
    assert "gone: it is gone" in shown
    assert not Job.objects.exists()


def test_nothing_chosen_asks_for_nothing(ann: Client) -> None:
    assert "nothing was chosen" in text_of(ann.get("/many/stop", follow=True))
    assert "nothing was chosen" in text_of(ann.post("/many/stop", follow=True))
    assert "nothing was chosen" in text_of(ann.post("/many/stop", {"chosen": ["x", ""]}, follow=True))
    assert not Job.objects.exists()


def test_verbs_that_end_for_good_are_not_for_many(ann: Client) -> None:
    assert ann.get("/many/delete").status_code == 404
    assert ann.post("/many/release").status_code == 404


def test_who_may_only_look_is_refused() -> None:
    bob = signed_in(person("bob", "view_instance"))
    one = running("one", at=timezone.now())
    assert bob.get("/stop-all").status_code == 403
    assert bob.post("/stop-all", {"chosen": [str(one.pk)]}).status_code == 403
    operator = signed_in(person("eve", "view_instance", "change_instance"))
    assert operator.get("/stop-all").status_code == 200
    assert operator.get("/many/adopt", {"chosen": [str(one.pk)]}).status_code == 403
    assert not Job.objects.exists()


def test_a_protected_one_is_not_stopped_with_all_even_where_it_is_sent_along(ann: Client) -> None:
    one = running("one", at=timezone.now())
    guarded = running("guarded", at=timezone.now(), protected=True)

    response = ann.post("/stop-all", {"chosen": [str(one.pk), str(guarded.pk)]}, follow=True)

    assert list(Job.objects.values_list("instance_id", flat=True)) == [one.pk]
    assert "1 refused. guarded: it is protected" in text_of(response)


def test_one_protected_while_others_are_asked_is_not_stopped_with_all(ann: Client) -> None:
    first, second = (running(name, at=timezone.now()) for name in ("first", "second"))
    protect = partial(change_settings, second.pk, {"protected": True}, actor=KEY, reason="", now=timezone.now())

    with when_the_first_job_is_written(protect):
        response = ann.post("/stop-all", {"chosen": [str(first.pk), str(second.pk)]}, follow=True)

    assert list(Job.objects.values_list("instance_id", flat=True)) == [first.pk]
    shown = text_of(response)
    assert "1 of 2 asked to stop" in shown
    assert "1 refused. second: it is protected" in shown


def test_what_is_asked_to_stop_already_is_left_out_of_the_stop_of_all(ann: Client) -> None:
    one = running("one", at=timezone.now())
    ann.post("/stop-all", {"chosen": [str(one.pk)]})
    shown = text_of(ann.get("/stop-all"))
    assert "Left out: it is asked to stop already" in shown
    assert "Stop 0 instances?" in shown


def test_a_fleet_of_a_thousand_is_stopped_at_one_go(ann: Client, django_assert_max_num_queries: Any) -> None:
    now = timezone.now()
    for number in range(12):
        running(f"trainer-{number}", at=now)
    with django_assert_max_num_queries(12):  # told by the rows alone, however many there are
        shown = ann.get("/stop-all").content.decode()
    assert shown.count(" checked") == 12
    nobody = [str(uuid4()) for _ in range(1100)]  # more fields than Django takes unless told
    chosen = [str(one.pk) for one in Instance.objects.all()]
    assert ann.post("/stop-all", {"chosen": [*nobody, *chosen]}).status_code == 302
    assert Job.objects.filter(verb="stop").count() == 12
