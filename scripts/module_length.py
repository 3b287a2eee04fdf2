"""Refuses Python modules that have grown too long to read at one sitting."""

import subprocess
import sys
from pathlib import Path

LONGEST = 400


def main() -> int:
    written = (path for path in tracked("*.py") if "migrations" not in path.parts)
    long = [(path, lines) for path in written if (lines := line_count(path)) > LONGEST]
    for path, lines in long:
        sys.stdout.write(f"{path}: {lines} lines, {LONGEST} are allowed: split it by noun\n")
    return 1 if long else 0


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows or would add, deleted ones left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout  # noqa: S603 - git, fixed words
    return sorted({path for name in listed.split("\0") if name and (path := Path(name)).is_file()})


def line_count(path: Path) -> int:
    return path.read_bytes().count(b"\n")


if __name__ == "__main__":
    sys.exit(main())
