"""A template named while Novita was away is read by the job that needs it."""

from typing import Any

import pytest

from instances.executor.templates import fill_in
from instances.models import Instance
from instances.novita.client import Novita
from instances.novita.errors import Unavailable
from tests.factories import NOW, make_instance, make_template
from tests.instances.novita.factory import make_client

pytestmark = pytest.mark.django_db


def waiting_instance(**columns: Any) -> Instance:
    return make_instance(status="", template_id="template-1", image_url="", ports=[], **columns)


def away() -> Novita:
    return make_client(base_url="http://127.0.0.1:9", retry_attempts=1)


def test_what_the_request_left_open_comes_from_the_template() -> None:
    make_template(image_url="library/image:7", command="run me", min_cuda_version="12.4")
    instance = waiting_instance(command="my own", envs=[{"key": "MINE", "value": "1"}])

    assert fill_in(instance, away(), NOW) is None

    instance.refresh_from_db()
    assert (instance.image_url, instance.command, instance.min_cuda_version) == ("library/image:7", "my own", "12.4")
    assert (instance.rootfs_size_gb, instance.ports) == (80, [{"port": 8888, "type": "http"}])
    assert instance.envs == [{"key": "TOKEN", "value": "from-the-template"}, {"key": "MINE", "value": "1"}]


def test_a_template_without_an_image_fails_the_job_with_the_reason() -> None:
    make_template(image_url="")

    step = fill_in(waiting_instance(), away(), NOW)

    assert step is not None
    assert (step.act, step.code) == ("fail", "unknown_template")


def test_while_novita_is_away_the_job_waits() -> None:
    with pytest.raises(Unavailable):
        fill_in(waiting_instance(), away(), NOW)


def test_a_request_with_an_image_is_left_alone() -> None:
    instance = make_instance(status="", template_id="template-1", image_url="mine:1")

    assert fill_in(instance, away(), NOW) is None
    assert instance.image_url == "mine:1"
