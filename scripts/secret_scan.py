"""Looks for keys and passwords in the files that git holds. Nothing it finds is printed in full.

A line that must look like a secret carries the words "not a secret" and why.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.module_length import tracked

ALLOWED = "not a secret"
LARGEST_FILE = 2_000_000
# Locks are full of digests.
SKIPPED_SUFFIXES = (".lock", ".png", ".ico", ".woff2", ".svg")
PATTERNS = {
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "API key": re.compile(r"\b(?:sk|pk|rk|nvm|ghp|gho|github_pat|glpat|xox[abp])[_-][A-Za-z0-9_-]{24,}"),
    "cloud access key": re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    "encryption key": re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}=(?![A-Za-z0-9_=-])"),
    "signed token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    "webhook secret": re.compile(r"\bwhsec_[A-Za-z0-9+/=]{24,}"),
    "password in an address": re.compile(r"[a-z]+://[^/\s:@'\"{}<>$]+:(?!password|secret|user|pass|\*)[^/\s@'\"{}<>$]{8,}@"),
}


def main() -> int:
    found = [line for path in tracked() for line in scan(path)]
    for line in found:
        sys.stdout.write(f"{line}\n")
    return 1 if found else 0


def scan(path: Path) -> Iterator[str]:
    """One line per find: where, what kind, and how it begins."""
    if path.suffix in SKIPPED_SUFFIXES or path.stat().st_size > LARGEST_FILE:
        return
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    for number, line in enumerate(text.splitlines(), start=1):
        yield from (f"{path}:{number}: {kind} {start}…" for kind, start in finds(line))


def finds(line: str) -> Iterator[tuple[str, str]]:
    """The kind and the first characters of each secret in a line."""
    if ALLOWED in line:
        return
    for kind, pattern in PATTERNS.items():
        for match in pattern.finditer(line):
            yield kind, match.group()[:8]


if __name__ == "__main__":
    sys.exit(main())
