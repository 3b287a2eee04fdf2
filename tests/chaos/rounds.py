"""The two ways of killing: at each named place, and by chance. Convergence is judged after every tenth kill."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

from instances.failpoints import MOMENTS
from tests.chaos.judge import Watch, converge, instances_of, jobs_by_state
from tests.chaos.people import ask, ask_by_chance, create
from tests.chaos.scene import Scene, is_alive, kill
from tests.processes.fleet import machines_of
from tests.processes.waiting import wait_for

FLEET = 30
PLENTY = 1000  # GPUs of each kind: a start that waits for stock would wait longer than the bound
VERBS = ("create", "start", "stop", "restart", "delete", "migrate")
DURING_CALL = ("create", "during_call")  # no place in our code: the answer is held back, and we strike meanwhile
FAILPOINTS = (DURING_CALL, *product(VERBS, MOMENTS))
ANSWER_HELD_BACK = {"call": "create", "kind": "latency", "when": "after", "seconds": 4, "count": 1}
EVERY_TENTH = 10
# By chance, on any call: what a provider and a network do on a bad day. A refused create goes on to the next offer at once,
# while a refused start waits longer than the bound.
WEATHER = [
    {"call": "create" if kind == "no_capacity" else "*", "kind": kind, "when": when, "rate": rate, **more}
    for kind, when, rate, more in (
        ("500", "before", 0.02, {}),
        ("500", "after", 0.02, {}),
        ("502", "before", 0.02, {}),
        ("429", "before", 0.01, {"retry_after": 1}),
        ("reset", "before", 0.01, {}),
        ("reset", "after", 0.02, {}),
        ("timeout", "after", 0.005, {"seconds": 4}),
        ("bad_json", "after", 0.01, {}),
        ("wrong_content_type", "after", 0.01, {}),
        ("latency", "before", 0.1, {"seconds": 0.2}),
        ("empty_list", "after", 0.01, {}),
        ("no_capacity", "before", 0.02, {}),
    )
]


@dataclass(slots=True, kw_only=True)
class Figures:
    """What a run did, to be printed. Times in seconds."""

    scene: str
    failpoints: int = 0
    random_kills: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    refused: int = 0
    convergences: list[float] = field(default_factory=list)
    machines: int = 0
    looks: int = 0
    seconds: float = 0.0
    jobs: dict[str, int] = field(default_factory=dict)


def run(scene: Scene, *, failpoints: Sequence[tuple[str, str]], random_kills: int) -> Figures:
    """Raises AssertionError at the first broken promise."""
    began = time.monotonic()
    figures = Figures(scene=scene.name)
    populate(scene)
    watch = Watch(scene)
    watch.start()
    try:
        kill_at_failpoints(scene, failpoints, figures)
        kill_by_chance(scene, random_kills, figures)
    finally:
        watch.end()
    assert not watch.found, watch.found[:5]
    figures.looks = watch.looks
    figures.accepted, figures.refused = scene.record.accepted(), scene.record.refused
    figures.machines = len(scene.novita.control.state()["instances"])
    figures.jobs = dict(sorted(jobs_by_state(scene).items()))
    figures.seconds = time.monotonic() - began
    return figures


def populate(scene: Scene) -> None:
    """Thirty of them, a few stopped, so that every verb has something to be asked of."""
    shelves = scene.novita.control.stock()["stock"]
    scene.novita.control.stock({cluster: dict.fromkeys(shelf, PLENTY) for cluster, shelf in shelves.items()})
    names = [create(scene) for _ in range(FLEET)]
    scene.product.wait_for(lambda: all(row["phase"] == "ready" for row in instances_of(scene)), 90, "the fleet is ready")
    for name in names[: len(MOMENTS) + 1]:
        ask(scene, name, "stop")
    converge(scene)


def kill_at_failpoints(scene: Scene, failpoints: Sequence[tuple[str, str]], figures: Figures) -> None:
    scene.kill_workers()
    for number, (verb, moment) in enumerate(failpoints, start=1):
        if (verb, moment) == DURING_CALL:
            _kill_during_create(scene)
        else:
            _kill_at(scene, verb, moment)
        figures.failpoints += 1
        if number % EVERY_TENTH == 0 or number == len(failpoints):
            scene.keep_workers()
            figures.convergences.append(converge(scene))
            scene.kill_workers()
    scene.keep_workers()


def _kill_at(scene: Scene, verb: str, moment: str) -> None:
    doomed = scene.fork_worker({"FAILPOINT": f"{verb}.{moment}"})
    _ask_for_one(scene, verb)
    wait_for(lambda: not is_alive(doomed), seconds=40, every=0.02, what=f"{verb}.{moment} kills the worker")


def _kill_during_create(scene: Scene) -> None:
    scene.novita.control.faults(ANSWER_HELD_BACK)
    doomed = scene.fork_worker()
    name = create(scene)
    wait_for(lambda: machines_of(scene.novita, name), seconds=40, every=0.02, what="Novita makes it")
    kill(doomed)
    scene.novita.control.faults()


def _ask_for_one(scene: Scene, verb: str) -> None:
    """Ask for the verb where nothing else is under way."""
    if verb == "create":
        create(scene)
        return
    phase = "stopped" if verb == "start" else "ready"
    at_rest = [row["name"] for row in instances_of(scene) if row["phase"] == phase and not row["open_jobs"]]
    assert at_rest, f"{scene.name}: nothing to {verb}"
    assert ask(scene, at_rest[0], verb), f"{scene.name}: {verb} is refused"


def kill_by_chance(scene: Scene, count: int, figures: Figures) -> None:
    scene.novita.control.faults(*WEATHER)
    for number in range(1, count + 1):
        for _ in range(scene.chance.randint(1, 3)):
            ask_by_chance(scene)
        time.sleep(scene.chance.uniform(0.05, 1.0))  # when it strikes is part of what the seed decides
        victim = scene.kill_something()
        figures.random_kills[victim] = figures.random_kills.get(victim, 0) + 1
        if number % EVERY_TENTH == 0 or number == count:
            figures.convergences.append(converge(scene))
            scene.novita.control.faults(*WEATHER)
