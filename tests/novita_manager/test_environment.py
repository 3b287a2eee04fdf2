"""Each reader of an environment variable: what it accepts, and the one line with which it refuses."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from novita_manager.environment import Environment, parse_duration
from novita_manager.redis_address import celery_address, redis_address


def refusal(call: object, *words: object, **options: object) -> str:
    assert callable(call)
    with pytest.raises(ImproperlyConfigured) as refused:
        call(*words, **options)
    text = str(refused.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("written", "bare", "seconds"),
    [
        ("30s", None, 30),
        ("5m", None, 300),
        ("1h", None, 3600),
        ("2d", None, 172800),
        ("1.5m", None, 90),
        ("30", "s", 30),
        ("15", "m", 900),
        (" 30S ", None, 30),
        ("0s", None, 0),
    ],
)
def test_durations_are_read_with_their_unit(written: str, bare: str | None, seconds: float) -> None:
    assert parse_duration(written, bare=bare) == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["", "m", "-5s", "5 minutes", "1h30m", "nan", "1e3s"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="such as 30s"):
        parse_duration(written, bare="s")


@given(st.integers(min_value=0, max_value=3650), st.sampled_from("smhd"))
def test_every_whole_number_with_a_unit_is_that_many(number: int, unit: str) -> None:
    each = {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]

    assert parse_duration(f"{number}{unit}", bare=None) == timedelta(seconds=number * each)


def test_a_bare_number_where_the_unit_matters_is_refused_with_both_readings() -> None:
    text = refusal(Environment({"AUTO_STOP_THRESHOLD": "20"}).duration, "AUTO_STOP_THRESHOLD", "20m", bare=None)

    assert text == "AUTO_STOP_THRESHOLD=20: write 20s or 20m"


def test_a_duration_below_its_least_is_refused() -> None:
    text = refusal(Environment({"SETTLE_PERIOD": "0s"}).duration, "SETTLE_PERIOD", "60s", bare="s")

    assert text == "SETTLE_PERIOD=0s: must be at least 1s"


def test_an_empty_value_counts_as_unset() -> None:
    assert Environment({"PORT": " "}).integer("PORT", 3000, minimum=1) == 3000


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ("many", "write a whole number"),
        ("3.5", "write a whole number"),
        ("0", "must lie between 1 and 65535"),
        ("65536", "must lie between 1 and 65535"),
        ("-1", "must lie between 1 and 65535"),
    ],
)
def test_a_port_out_of_the_question_is_refused(value: str, remedy: str) -> None:
    text = refusal(Environment({"PORT": value}).integer, "PORT", 3000, minimum=1, maximum=65535)

    assert text == f"PORT={value}: {remedy}"


@pytest.mark.parametrize(("value", "read"), [("true", True), ("1", True), ("Yes", True), ("off", False), ("0", False)])
def test_flags_are_read_in_the_usual_spellings(value: str, read: bool) -> None:
    assert Environment({"MIGRATION_ENABLED": value}).flag("MIGRATION_ENABLED", not read) is read


def test_a_flag_in_no_spelling_is_refused() -> None:
    assert refusal(Environment({"FLAG": "maybe"}).flag, "FLAG", True) == "FLAG=maybe: write true or false"


def test_a_choice_that_is_not_offered_is_refused_with_the_list() -> None:
    text = refusal(Environment({"LOG_FORMAT": "xml"}).choice, "LOG_FORMAT", "json", ("json", "console"))

    assert text == "LOG_FORMAT=xml: use one of json, console"


@pytest.mark.parametrize("value", ["101", "-1", "nan", "x"])
def test_a_percentage_out_of_range_is_refused(value: str) -> None:
    assert "GPU" in refusal(Environment({"GPU": value}).number, "GPU", 5, minimum=0, maximum=100)


def test_money_is_read_exactly() -> None:
    assert Environment({"MIN_BALANCE_USD": "12.50"}).money("MIN_BALANCE_USD", "0") == Decimal("12.50")


@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity", "5 USD"])
def test_what_is_no_amount_is_refused(value: str) -> None:
    assert "write an amount in USD" in refusal(Environment({"BALANCE": value}).money, "BALANCE", "0")


@pytest.mark.parametrize("value", ["example.com", "ftp://example.com", "http://", "http://[::1"])
def test_what_is_no_address_is_refused_without_being_repeated(value: str) -> None:
    text = refusal(Environment({"WEBHOOK_URL": value}).url, "WEBHOOK_URL")

    assert text == "WEBHOOK_URL: write an address that starts with http:// or https://"


def test_an_address_loses_its_last_slash() -> None:
    assert Environment({"PUBLIC_URL": "https://a.example/"}).url("PUBLIC_URL") == "https://a.example"


def test_a_network_that_is_none_is_refused() -> None:
    assert refusal(Environment({"NETS": "10.0.0.0/8,here"}).networks, "NETS").startswith("NETS=here: write addresses")


@pytest.mark.parametrize("value", ["300", "0/m", "300/minute", "m/300"])
def test_a_request_limit_in_another_form_is_refused(value: str) -> None:
    assert "such as 300/m" in refusal(Environment({"RATE": value}).rate, "RATE", "1/m")


@pytest.mark.parametrize("value", ["mysql://localhost/db", "postgresql+asyncpg://localhost/db"])
def test_other_databases_are_refused(value: str) -> None:
    assert "postgresql://" in refusal(Environment({"DATABASE_URL": value}).database, "DATABASE_URL", "sqlite:///x")


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-the-file\n")

    assert Environment({"SECRET_KEY_FILE": str(tmp_path / "key")}).text("SECRET_KEY") == "from-the-file"


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    text = refusal(Environment({"SECRET_KEY": "a", "SECRET_KEY_FILE": "b"}).text, "SECRET_KEY")

    assert text == "SECRET_KEY and SECRET_KEY_FILE are both set: keep one of them"


def test_a_secret_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    text = refusal(Environment({"SECRET_KEY_FILE": str(tmp_path / "none")}).text, "SECRET_KEY")

    assert text == f"SECRET_KEY_FILE={tmp_path}/none: cannot be read (No such file or directory)"


def test_names_that_look_like_ours_and_are_read_by_nothing_are_found() -> None:
    environment = Environment({"NOVITA_API_KEY": "k", "NOVITA_API_KEYS": "k", "AUTO_STOP_TRESHOLD": "20m", "HOME": "/"})
    environment.text("NOVITA_API_KEY")

    assert environment.unknown(("NOVITA_", "AUTO_STOP_")) == ["AUTO_STOP_TRESHOLD", "NOVITA_API_KEYS"]


def test_the_upstash_address_becomes_the_tls_address_of_the_same_database() -> None:
    address = redis_address("", "https://some-name.upstash.io", "to/ken")

    assert address == "rediss://default:to%2Fken@some-name.upstash.io:6379/0"  # not a secret: made up here


@pytest.mark.parametrize(
    ("rest_url", "token", "missing"),
    [("https://a.upstash.io", "", "UPSTASH_REDIS_REST_TOKEN"), ("", "token", "UPSTASH_REDIS_REST_URL")],
)
def test_half_of_the_upstash_pair_is_refused(rest_url: str, token: str, missing: str) -> None:
    assert refusal(redis_address, "", rest_url, token).startswith(f"{missing} is not set")


def test_redis_under_another_scheme_is_refused() -> None:
    assert refusal(redis_address, "http://localhost", "", "").startswith("REDIS_URL: write redis://")


def test_celery_spells_a_unix_socket_its_own_way() -> None:
    assert celery_address("unix:///run/x.sock") == "redis+socket:///run/x.sock?virtual_host=0"
    assert celery_address("redis://h:1/0") == "redis://h:1/0"
    assert celery_address("") == "memory://"


@pytest.mark.parametrize("value", ["3651d", "99999999999999999999d", "9" * 400 + "s"])
def test_a_duration_without_measure_is_refused(value: str) -> None:
    text = refusal(Environment({"SPAN": value}).duration, "SPAN", "1m", bare=None)

    assert text == f"SPAN={value}: write at most 3650d"


def test_origins_are_read_without_their_last_slash() -> None:
    environment = Environment({"ORIGINS": "https://a.example/, http://localhost:3000", "WIDE": "https://*.b.example"})

    assert environment.origins("ORIGINS") == ["https://a.example", "http://localhost:3000"]
    assert environment.origins("WIDE", subdomains=True) == ["https://*.b.example"]


@pytest.mark.parametrize(
    "value", ["a.example", "https://", "ftp://a.example", "https://a.example/path", "https://*.a.example", "*"]
)
def test_what_is_no_origin_is_refused(value: str) -> None:
    assert f"ORIGINS={value}: write origins such as https://" in refusal(Environment({"ORIGINS": value}).origins, "ORIGINS")
