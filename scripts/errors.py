"""Writes docs/errors.md; with --check says whether it is as it should be."""

import sys
from pathlib import Path

from novita_manager.openapi.codes import as_markdown

PATH = Path(__file__).resolve().parent.parent / "docs" / "errors.md"


def main() -> int:
    text = as_markdown()
    if "--check" not in sys.argv:
        PATH.write_text(text, encoding="utf-8")
        return 0
    if PATH.is_file() and PATH.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write("docs/errors.md is not what the code says: run python -m scripts.errors\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
