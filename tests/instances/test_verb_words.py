from datetime import UTC, datetime
from decimal import Decimal

import pytest

from instances.person_verbs import VERBS
from instances.verb_words import Stakes, consequence

RUNNING = Stakes(price_usd_per_hour=Decimal("0.35"), billed=True)
EACH = (Stakes(), RUNNING, Stakes(precious=True, spot=True, on_its_way=True, billed=True), Stakes(subscribed=True))


@pytest.mark.parametrize("verb", [*VERBS, "save-image"])
@pytest.mark.parametrize("stakes", EACH)
def test_every_verb_says_what_it_brings_about_in_whole_sentences(verb: str, stakes: Stakes) -> None:
    told = consequence(verb, stakes)
    assert told.endswith(".")
    assert "  " not in told
    assert "None" not in told


def test_an_unknown_verb_says_nothing() -> None:
    assert consequence("explode", RUNNING) == ""


def test_a_start_says_its_price_and_that_it_may_be_refused() -> None:
    told = consequence("start", Stakes(price_usd_per_hour=Decimal("0.35"), spot=True))
    assert told.startswith("$0.35 per hour from the moment Novita pulls its image.")
    assert "may refuse it for lack of GPUs" in told
    assert told.endswith("As a spot instance Novita may take it back.")


def test_a_stop_says_what_it_saves_what_still_costs_and_when_data_ends() -> None:
    assert consequence("stop", RUNNING) == (
        "Saves $0.35 per hour from the moment Novita shows it stopped. Its disks still cost. "
        "Novita purges the data of a stopped instance after 7 days."
    )
    purged = Stakes(purged_at=datetime(2026, 1, 12, 9, 30, tzinfo=UTC))
    assert consequence("stop", purged).endswith("Novita purges its data on 12 Jan 2026 at 09:30 UTC.")


def test_a_stop_on_the_way_says_that_it_is_billed_until_it_runs() -> None:
    told = consequence("stop", Stakes(price_usd_per_hour=Decimal("0.35"), billed=True, on_its_way=True))
    assert told.startswith("Novita stops it only once it runs: it is billed until then, at $0.35 per hour.")


def test_a_subscription_is_told_no_hourly_price() -> None:
    subscribed = Stakes(subscribed=True, billed=True)
    assert consequence("start", subscribed).startswith("Paid by the month already: no hour is billed from the moment")
    assert consequence("stop", subscribed).startswith("It is paid by the month: stopping it saves nothing.")


@pytest.mark.parametrize("verb", ["migrate", "delete"])
def test_precious_data_is_named_where_it_is_lost(verb: str) -> None:
    assert "marked precious" in consequence(verb, Stakes(precious=True))
    assert "precious" not in consequence(verb, Stakes())
