from pathlib import Path

import pytest

from scripts.secret_scan import finds, scan

# Put together here, so that the scan of this repository stays quiet.
SECRETS = {
    "API key": "sk_" + "a1B2" * 8,
    "cloud access key": "AKIA" + "ABCDEFGH12345678",
    "encryption key": "Ab1-" * 10 + "xyz=",
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "webhook secret": "whsec_" + "Ab1+" * 8,
    "password in an address": "redis://default:" + "hunter22hunter" + "@db.example",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_and_not_shown_whole(kind: str) -> None:
    found = dict(finds(f'KEY = "{SECRETS[kind]}"'))

    assert kind in found
    assert len(found[kind]) == 8


@pytest.mark.parametrize(
    "line",
    ["sk_short", "https://example.com:8080/path", "postgresql://user:password@host:5432/database", "x = 'A' * 43 + '='"],
)
def test_ordinary_lines_are_left_alone(line: str) -> None:
    assert list(finds(line)) == []


def test_a_line_that_says_it_is_not_a_secret_is_left_alone() -> None:
    assert list(finds(SECRETS["API key"] + "  # not a secret: an example")) == []


def test_a_find_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("one\n" + SECRETS["API key"] + "\n")

    assert [line.split(": ")[0] for line in scan(tmp_path / "settings.py")] == [f"{tmp_path}/settings.py:2"]
