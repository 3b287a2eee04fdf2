"""The name to propose: possible, free, and as near to Novita's as can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.naming import is_possible, proposed_name


def proposed(wish: str, *taken: str, product: str = "RTX 4090 24GB") -> str:
    return proposed_name(wish, product=product, novita_id="3f2a1cdeadbeef00", taken=set(taken))


@pytest.mark.parametrize(
    ("wish", "taken", "name"),
    [
        ("dev", (), "dev"),
        ("Dev", ("dev",), "Dev-2"),
        ("dev", ("dev", "dev-2"), "dev-3"),
        ("my box (old)", (), "my-box-old"),
        ("", (), "rtx-4090-24gb-3f2a1c"),
        ("...", (), "rtx-4090-24gb-3f2a1c"),
        ("0123456789abcdef0", (), "rtx-4090-24gb-3f2a1c"),
        ("stop-all", (), "rtx-4090-24gb-3f2a1c"),
    ],
)
def test_the_nearest_name_that_is_free(wish: str, taken: tuple[str, ...], name: str) -> None:
    assert proposed(wish, *taken) == name


@given(st.text(max_size=150), st.text(max_size=20), st.sets(st.sampled_from(["a", "b", "a-2", "machine"])))
def test_whatever_the_name_at_novita_the_proposal_is_possible_and_free(wish: str, product: str, taken: set[str]) -> None:
    name = proposed(wish, *taken, product=product)

    assert is_possible(name)
    assert name.lower() not in taken
