"""What must hold whatever is killed: looked for at Novita all the time, and in the records once all is quiet."""

import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import psycopg

from tests.chaos.record import Record, Wish
from tests.chaos.scene import BOUND, Scene

AWAKE = {"toCreate", "creating", "pulling", "toStart", "starting", "running"}
BILLED = {"pulling", "toStart", "starting", "running", "toStop", "stopping", "toRestart", "restarting", "migrating"}
SHOWS = {"create": {"running"}, "start": {"running"}, "stop": {"exited"}}


def broken_at_novita(state: dict[str, Any], record: Record) -> list[str]:
    """Two machines of one wish alive at once, or a machine that woke after a person's stop was done."""
    by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in state["instances"]:
        by_name[base_name(row["name"])].append(row)
    found = []
    for name, rows in by_name.items():
        lives = sorted((row["created_at"], _ended_at(row)) for row in rows)
        found += [f"two machines of {name} alive at once" for one, two in pairwise(lives) if two[0] < one[1]]
        wishes = record.wishes.get(name, [])
        found += [problem for row in rows for problem in _woken(name, row["timeline"], wishes)]
    return found


def base_name(name: str) -> str:
    """The name of the instance, of the one its machine has at Novita; of a foreign machine its own."""
    return name.rpartition("--")[0] or name


def _ended_at(row: dict[str, Any]) -> float:
    if not row["is_gone"]:
        return float("inf")
    removed = [moment["at"] for moment in row["timeline"] if moment["status"] == "removed"]
    return float(removed[0] if removed else row["forgotten_at"])


def _woken(name: str, timeline: list[dict[str, Any]], wishes: list[Wish]) -> list[str]:
    """After the stop took effect, nothing may wake it before somebody asks for more."""
    found = []
    for number, wish in enumerate(wishes):
        if wish.verb != "stop":
            continue
        until = wishes[number + 1].asked_at if number + 1 < len(wishes) else float("inf")
        asleep = False
        for moment in timeline:
            if not wish.at <= moment["at"] < until:
                continue
            if asleep and moment["status"] in AWAKE:
                found.append(f"{name} was stopped by a person and woke at {moment['at']:.1f}")
            asleep = asleep or moment["status"] == "exited"
    return found


class Watch(threading.Thread):
    """Looks at Novita's own truth a few times a second, and keeps what it finds broken."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(name=f"watch-{scene.name}", daemon=True)
        self.scene = scene
        self.found: list[str] = []
        self.looks = 0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.25):
            try:
                state = self.scene.novita.control.state()
            except OSError:
                continue  # it is being killed
            self.looks += 1
            self.found += [one for one in broken_at_novita(state, self.scene.record) if one not in self.found]

    def end(self) -> None:
        self._over.set()
        self.join()


def converge(scene: Scene) -> float:
    """Seconds from now until all that people want is so and nothing is under way; AssertionError past the bound."""
    began = time.monotonic()
    scene.novita.control.faults()
    while problems := _unsettled(scene):
        waited = time.monotonic() - began
        assert waited <= BOUND, f"{scene.name}: not converged after {waited:.0f} s: {problems[:5]}\n{scene.product.tail()}"
        time.sleep(0.25)
    took = time.monotonic() - began
    broken = broken_at_novita(scene.novita.control.state(), scene.record) + broken_in_records(scene)
    assert not broken, f"{scene.name}: {broken[:5]}"
    return took


def _unsettled(scene: Scene) -> list[str]:
    at_novita = {row["id"]: row for row in scene.novita.control.state()["instances"]}
    rows = {row["name"]: row for row in instances_of(scene)}
    found = []
    for name in scene.record.wishes:
        row = rows[name]
        status = at_novita[row["novita_id"]]["status"] if row["novita_id"] in at_novita else "nothing"
        gone = row["novita_id"] not in at_novita or at_novita[row["novita_id"]]["is_gone"]
        last = scene.record.last(name)
        # Who was told to stop before anything was asked of Novita never comes to be.
        never_made = last == "stop" and row["novita_id"] is None and not _alive(at_novita.values(), name)
        fits = gone if last == "delete" else status in SHOWS[last] or never_made
        if row["open_jobs"] or not fits:
            found.append(
                f"{name}: {last} is wanted, Novita has it {status}, it is {row['phase']}, {row['open_jobs']} jobs open"
            )
    return found


def _alive(machines: Iterable[dict[str, Any]], name: str) -> bool:
    return any(row["name"].startswith(f"{name}--") and not row["is_gone"] for row in machines)


def broken_in_records(scene: Scene) -> list[str]:
    """Lives without a row or a meter, ends without evidence, jobs without exactly one request."""
    at_novita = scene.novita.control.state()["instances"]
    known = {row["novita_id"]: row for row in rows_of(scene, MACHINES)}
    found = []
    for row in at_novita:
        record = known.get(row["id"])
        if row["is_gone"]:
            continue
        if record is None:
            found.append(f"{row['name']} lives at Novita and no row knows it")
        elif row["status"] in BILLED and record["billed_since"] is None and record["managed"]:
            found.append(f"{row['name']} is billed and its meter stands")
    truth = {row["id"]: row for row in at_novita}
    for instance in instances_of(scene):
        machine = truth.get(instance["novita_id"])
        if instance["phase"] in ("deleted", "gone") and machine is not None and not machine["is_gone"]:
            found.append(f"{instance['name']} is called {instance['phase']} and lives")
        if instance["phase"] == "stopped" and (machine is None or machine["status"] != "exited"):
            found.append(f"{instance['name']} is called stopped and is {machine and machine['status']}")
    jobs = [job for job in rows_of(scene, REQUESTS) if job["requests"] != 1]
    return found + [f"job {job['id']} ({job['verb']}) has {job['requests']} requests" for job in jobs]


INSTANCES = """
SELECT i.name AS name, i.phase AS phase, m.novita_id AS novita_id,
       (SELECT count(*) FROM instances_job j WHERE j.instance_id = i.id AND j.finished_at IS NULL) AS open_jobs
FROM instances_instance i LEFT JOIN instances_machine m ON m.id = i.machine_id
"""
MACHINES = """
SELECT m.novita_id AS novita_id, m.billed_since AS billed_since, i.managed AS managed
FROM instances_machine m JOIN instances_instance i ON i.id = m.instance_id WHERE m.novita_id IS NOT NULL
"""
REQUESTS = """
SELECT j.id AS id, j.verb AS verb,
       (SELECT count(*) FROM instances_event e
        WHERE e.job_id = j.id AND e.type = 'job.' || j.verb || '_requested') AS requests
FROM instances_job j
"""
JOBS_BY_STATE = "SELECT verb, state, count(*) AS count FROM instances_job GROUP BY verb, state"


def instances_of(scene: Scene) -> list[dict[str, Any]]:
    return rows_of(scene, INSTANCES)


def rows_of(scene: Scene, statement: str) -> list[dict[str, Any]]:
    """Rows straight from the database, past the product under test."""
    if scene.database_url.startswith("sqlite"):
        with sqlite3.connect(
            f"file:{scene.database_url.removeprefix('sqlite:///')}?mode=ro", uri=True, timeout=20
        ) as open_file:
            cursor = open_file.execute(statement)
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
        open_file.close()
        return rows
    host, _, name = scene.database_url.removeprefix("postgresql://postgres@/").rpartition("/")
    with psycopg.connect(host=host, dbname=name, user="postgres", row_factory=psycopg.rows.dict_row) as connection:
        return list(connection.execute(statement))


def jobs_by_state(scene: Scene) -> Counter[str]:
    return Counter({f"{row['verb']} {row['state']}": row["count"] for row in rows_of(scene, JOBS_BY_STATE)})
