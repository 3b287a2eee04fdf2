"""The page on security names tests that exist, for each of the ten items."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_item_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    items = re.findall(r"^\| API(\d+) .*$", text, re.MULTILINE)
    assert items == [str(number) for number in range(1, 11)]

    for line in [line for line in text.splitlines() if line.startswith("| API")]:
        named = re.findall(r"`(tests/[^`]+\.py)`", line)
        assert named, line[:60]
        assert [path for path in named if not (ROOT / path).is_file()] == []
