import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.lifecycle import JobState, Phase, Verb
from instances.story import Told, sentence, who


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            Told(
                type="instance.requested",
                actor_kind="key",
                actor_name="demo",
                after={"product": "RTX 4090", "billing_mode": "spot"},
            ),
            "key demo asked for a spot RTX 4090",
        ),
        (Told(type="instance.created", after={"novita_id": "ab12"}), "Novita created it as ab12"),
        (
            Told(
                type="job.create_sent",
                after={"product_name": "RTX 4090 24GB", "region": "CN-HK-01", "price_usd_per_hour": "0.2"},
            ),
            "Novita was asked to create it: RTX 4090 24GB in CN-HK-01 at $0.20 per hour",
        ),
        (
            Told(type="instance.running", after={"region": "CN-HK-01", "price_usd_per_hour": None}),
            "Novita shows it running in CN-HK-01",
        ),
        (Told(type="instance.stopped_wanted", actor_kind="user", actor_name="ann"), "ann wants it stopped"),
        (
            Told(type="job.stop_requested", actor_kind="rule", actor_name="auto-stop"),
            "rule auto-stop asked to stop it",
        ),
        (Told(type="job.save_image_failed"), "The save image failed"),
        (
            Told(type="instance.changed_outside", actor_kind="outside", after={"wanted": ""}),
            "It was deleted outside of novita-manager, and that is respected",
        ),
        (
            Told(
                type="instance.settings_changed",
                actor_kind="user",
                actor_name="ann",
                after={"stop_at": None, "protected": True},
            ),
            "ann set stop at to nothing, protected to yes",
        ),
        (Told(type="something.new_came"), "Something: new came"),
    ],
)
def test_an_event_reads_as_a_sentence(told: Told, words: str) -> None:
    assert sentence(told) == words


def test_every_phase_and_every_end_of_a_job_has_words_of_its_own() -> None:
    types = [f"instance.{phase}" for phase in Phase.values]
    types += [f"job.{verb}_{end}" for verb in Verb.values for end in ("requested", "sent", "unclear", "succeeded")]
    types += [f"job.{verb}_{state}" for verb in Verb.values for state in (JobState.FAILED, JobState.CANCELLED)]
    for one in types:
        assert ":" not in sentence(Told(type=one)) or "lost" in sentence(Told(type=one)), one


def test_an_actor_is_named_by_kind_where_the_name_alone_would_mislead() -> None:
    assert who("user", "ann") == "ann"
    assert who("key", "ann") == "key ann"
    assert who("command", "") == "command"
    assert who("system", "") == "novita-manager"


@given(
    type_=st.text(max_size=60),
    reason=st.text(max_size=20),
    after=st.dictionaries(st.sampled_from(["price_usd_per_hour", "wanted", "product", "kind"]), st.none() | st.text()),
)
def test_any_event_can_be_told(type_: str, reason: str, after: dict[str, str | None]) -> None:
    assert isinstance(sentence(Told(type=type_, reason=reason, after=after)), str)
