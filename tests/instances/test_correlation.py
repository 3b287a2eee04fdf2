import re

from hypothesis import given
from hypothesis import strategies as st

from instances.correlation import correlation_id_in, new_correlation_id, provider_name

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
IDS = st.text(ALPHABET, min_size=16, max_size=16)
NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,100}", fullmatch=True)


def test_ids_are_random_and_of_sixteen_plain_characters() -> None:
    ids = [new_correlation_id() for _ in range(500)]

    assert len(set(ids)) == 500
    assert all(re.fullmatch(r"[a-z2-7]{16}", one) for one in ids)
    assert set("".join(ids)) == set(ALPHABET)


@given(name=NAMES, correlation_id=IDS)
def test_any_name_carries_its_id_there_and_back(name: str, correlation_id: str) -> None:
    assert correlation_id_in(provider_name(name, correlation_id)) == correlation_id


@given(name=NAMES, correlation_id=IDS)
def test_a_name_at_novita_is_letters_digits_and_hyphens_that_fit(name: str, correlation_id: str) -> None:
    there = provider_name(name, correlation_id)

    assert re.fullmatch(r"[A-Za-z0-9-]+", there)
    assert len(there) <= 255
    assert there.startswith(re.sub(r"[._]", "-", name))


@given(first=NAMES, second=NAMES, one=IDS, other=IDS)
def test_attempts_with_different_ids_never_share_a_name(first: str, second: str, one: str, other: str) -> None:
    assert one == other or provider_name(first, one) != provider_name(second, other)


@given(name=NAMES, correlation_id=IDS, after=st.text(min_size=1, max_size=5))
def test_only_the_exact_end_proves_anything(name: str, correlation_id: str, after: str) -> None:
    assert correlation_id_in(provider_name(name, correlation_id) + after) == ""


@given(st.text(max_size=40))
def test_what_is_found_in_any_text_really_ends_it(text: str) -> None:
    found = correlation_id_in(text)

    assert not found or text.endswith(f"--{found}")


def test_near_misses_are_no_proof() -> None:
    for name in (
        "",
        "dev",
        "abcdefghijklmnop",
        "worker-abcdefghijklmnop",
        "worker--abcdefghijklmno",
        "worker--abcdefghijklmnopq",
        "worker--ABCDEFGHIJKLMNOP",
        "worker--abcdefghijklmno1",
        "worker--abcdefghijklmnop\n",
        "worker--abcdefghijklmnop ",
    ):
        assert correlation_id_in(name) == "", name
