"""MIN_BALANCE_USD: no new bill is opened below it."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from instances.executor.run import carry_out
from instances.models import Job
from instances.operations import InstanceSpec, request_create
from tests.factories import PERSON, make_account, make_offer
from tests.instances.novita.factory import make_client

pytestmark = pytest.mark.django_db


def test_below_the_least_balance_a_create_fails_before_novita_is_asked(settings: Any) -> None:
    settings.MIN_BALANCE_USD = Decimal(20)
    make_account(balance_usd=Decimal("12.5"))
    make_offer()
    request_create(
        InstanceSpec(name="poor", product_name="RTX 4090", image_url="busybox:1"),
        actor=PERSON,
        reason="",
        now=timezone.now(),
    )
    job = Job.objects.get()

    carry_out(job.pk, client=make_client(base_url="http://127.0.0.1:9", retry_attempts=1))

    job.refresh_from_db()
    assert (job.state, job.error_code, job.attempts) == ("failed", "no_money", 0)
    assert "$12.50" in job.error_detail
    assert "MIN_BALANCE_USD is $20.00" in job.error_detail
    job.instance.refresh_from_db()
    assert (job.instance.phase, job.instance.wanted) == ("failed", "")
