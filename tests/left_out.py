"""Prints what the tests left out and why; the last lines of `make test`."""

import sys

from tests.environment import LEFT_OUT


def main() -> None:
    lines = LEFT_OUT.read_text(encoding="utf-8").splitlines() if LEFT_OUT.exists() else []
    sys.stdout.write("\nLeft out:\n" if lines else "\nNothing was left out.\n")
    sys.stdout.writelines(f"  {line}\n" for line in lines)


if __name__ == "__main__":
    main()
