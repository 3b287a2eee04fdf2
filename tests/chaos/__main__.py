"""The long form: every failpoint on both shapes, then random kills on both, side by side. Prints what it did.

python -m tests.chaos [--kills 1000] [--seed 7] [--into docs/chaos.md]
"""

import argparse
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.rounds import FAILPOINTS, Figures, run
from tests.chaos.scene import BOUND, new_scene
from tests.processes.postgres import Postgres


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill the product again and again, and see that it keeps its promises.")
    parser.add_argument("--kills", type=int, default=1000, help="random kills over both shapes")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--into", type=Path, help="also write the figures into this file")
    given = parser.parse_args()
    postgres = Postgres.start()
    scenes = [
        new_scene("SQLite", "", seed=given.seed),
        new_scene("PostgreSQL", postgres.new_database(), seed=given.seed),
    ]
    try:
        for scene in scenes:
            scene.start()
        with ThreadPoolExecutor(len(scenes)) as threads:
            kills = given.kills // len(scenes)
            runs = [threads.submit(run, scene, failpoints=FAILPOINTS, random_kills=kills) for scene in scenes]
        told = report([one.result() for one in runs], seed=given.seed)
    finally:
        for scene in scenes:
            scene.end()
        postgres.remove()
    sys.stdout.write(told)
    if given.into:
        given.into.write_text(told, encoding="utf-8")
    return 0


def report(runs: Sequence[Figures], *, seed: int) -> str:
    """A page in Markdown."""
    rows = {
        "kills at a named place": [str(one.failpoints) for one in runs],
        "random kills": [_counted(one.random_kills) for one in runs],
        "requests accepted (refused by state)": [f"{one.accepted} ({one.refused})" for one in runs],
        "machines made at Novita": [str(one.machines) for one in runs],
        "looks at Novita's truth": [str(one.looks) for one in runs],
        "convergences": [str(len(one.convergences)) for one in runs],
        "seconds to converge, median and longest": [
            f"{statistics.median(one.convergences):.1f}, {max(one.convergences):.1f}" for one in runs
        ],
        "jobs": [_counted(one.jobs) for one in runs],
        "minutes": [f"{one.seconds / 60:.1f}" for one in runs],
    }
    head = ["", *(one.scene for one in runs)]
    lines = [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()),
    ]
    return PAGE.format(seed=seed, bound=BOUND, table="\n".join(lines))


def _counted(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    return f"{total}: " + ", ".join(f"{count} {name}" for name, count in Counter(counts).most_common())


PAGE = """# Chaos

`make chaos` kills the real processes with signal 9 while people ask for things and Novita fails: at every named place of
every verb, then by chance (workers, web, beat, broker, Novita itself). Nothing broke a promise in the run below: at most one
live machine per create; every live machine has a row and a running meter; what is called deleted, stopped or gone is so at
Novita; a person's stop is never undone; every job has exactly one request; and after every tenth kill all that people wanted
was so within {bound:g} s (`JOB_LEASE` + two polls + `SETTLE_PERIOD`). Seed {seed}; `make test` runs a short form.

{table}
"""


if __name__ == "__main__":
    sys.exit(main())
