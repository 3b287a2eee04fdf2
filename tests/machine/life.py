"""The state machine: any order of what people, rules, Novita and power cuts do; the promises hold after every step.

What is drawn never depends on what the product made of it, so that the same seed asks for the same things again.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import wraps
from itertools import product
from typing import Any, ClassVar

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from instances.failpoints import MOMENTS
from tests.driving import driving
from tests.machine.account import Account
from tests.machine.promises import broken, settle

MOST_CREATES, MOST_STRANGERS = 8, 3
PICKS = st.integers(0, 5)
VERBS = ("create", "start", "stop", "restart", "delete", "migrate", "edit")
ASKED = ["start", "start", "stop", "stop", "delete", "restart", "migrate", "keep-awake", "adopt", "release"]
OUTSIDE = ["start", "stop", "restart", "delete", "crash", "notify", "reclaim", "reclaim", "withdraw", "foreign", "busy"]
# What strikes a few calls, and what holds until the weather changes. Lists lag by less than the settle period.
STRIKES = [
    {"call": call, "kind": kind, "when": when, "count": count}
    for (call, kind, when), count in product(
        (
            ("*", "500", "before"),
            ("create", "500", "after"),
            ("*", "502", "before"),
            ("*", "reset", "before"),
            ("create", "reset", "after"),
            ("start", "reset", "after"),
            ("stop", "reset", "after"),
            ("delete", "reset", "after"),
            ("migrate", "reset", "after"),
            ("create", "timeout", "after"),
            ("start", "timeout", "after"),
            ("stop", "timeout", "after"),
            ("delete", "timeout", "after"),
            ("*", "bad_json", "after"),
            ("*", "wrong_content_type", "after"),
            ("*", "401", "before"),
            ("create", "no_capacity", "before"),
            ("start", "no_capacity", "before"),
            ("create", "no_balance", "before"),
            ("stop", "never_stops", "before"),
            ("delete", "never_deletes", "before"),
            ("list", "empty_list", "after"),
            ("list", "page_gap", "after"),
            ("list", "missing_fields", "after"),
            ("list", "unknown_words", "after"),
            ("get", "unknown_words", "after"),
            ("get", "500", "before"),
        ),
        (1, 2, 4),
    )
] + [{"call": "*", "kind": "429", "when": "before", "count": count, "retry_after": 3} for count in (1, 3)]
SPELLS = [
    *({"call": "list", "kind": "stale_list", "seconds": seconds} for seconds in (10.0, 30.0, 45.0)),
    {"call": "list", "kind": "empty_list", "when": "after"},
    {"call": "list", "kind": "500"},
    {"call": "*", "kind": "500", "rate": 0.3},
    {"call": "*", "kind": "reset", "when": "after", "rate": 0.2},
    {"call": "create", "kind": "no_capacity"},
    {"call": "stop", "kind": "never_stops"},
    {"call": "delete", "kind": "never_deletes"},
]


# After an act, the lanes do what is due so many seconds later, and again.
THEN = st.sampled_from([(), (), (), (1,), (5,), (1, 5), (30,), (70,)])


def act(**drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A rule, after which workers go on for a while."""
    untyped: Any = rule

    def decorated(done: Callable[..., None]) -> Any:
        @wraps(done)
        def acted(self: "Life", then: tuple[int, ...], **given: Any) -> None:
            done(self, **given)
            for seconds in then:
                self.account.work(seconds)

        return untyped(then=THEN, **drawn)(acted)

    return decorated


class Life(RuleBasedStateMachine):
    """One account from its first day. `options` is the fixture of settings; `totals` adds up what all lives did."""

    options: ClassVar[Any]
    totals: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.ends = ExitStack()
        self.creates = self.strangers = 0
        self.ends.enter_context(transaction.atomic())
        self.account = Account(self.ends.enter_context(driving(self.options)))
        self.totals["lives"] += 1

    def teardown(self) -> None:
        try:
            settle(self.account)
        finally:
            self.totals.update(self.account.did)
            transaction.set_rollback(True)
            self.ends.close()

    @initialize()
    def open_account(self) -> None:
        self.account.open()

    @invariant()
    def keeps_its_promises(self) -> None:
        self.totals["steps"] += 1
        problems = broken(self.account)
        assert not problems, problems

    # people

    @precondition(lambda self: self.creates < MOST_CREATES)
    @act(
        billing_mode=st.sampled_from(["spot", "onDemand"]),
        patience=st.sampled_from([0, 600]),
        auto_stop_minutes=st.sampled_from([5, 20, 60]),
        on_startup_timeout=st.sampled_from(["alarm", "stop"]),
        protected=st.booleans(),
    )
    def create(self, billing_mode: str, patience: int, auto_stop_minutes: int, **fields: Any) -> None:
        self.creates += 1
        self.account.create(
            billing_mode=billing_mode,
            wait_for_capacity=timedelta(seconds=patience),
            auto_stop_threshold=timedelta(minutes=auto_stop_minutes),
            **fields,
        )

    @act(verb=st.sampled_from(ASKED), pick=PICKS)
    def ask(self, verb: str, pick: int) -> None:
        self.account.ask(verb, pick)

    @act(what=st.sampled_from(["edit", "settings", "cancel", "pause", "sync"]), pick=PICKS, much=st.booleans())
    def look_after(self, what: str, pick: int, much: bool) -> None:
        if what == "edit":
            self.account.edit(pick, 10 if much else 5)
        elif what == "settings":
            self.account.change(pick, {"protected": much, "auto_stop_mode": "observe" if much else "enforce"})
        elif what == "cancel":
            self.account.ask("stop" if much else "start", pick)
            self.account.cancel(pick)
        elif what == "pause":
            self.account.pause(timedelta(minutes=30 if much else 5))
        else:
            self.account.sync()

    # Novita

    @act(what=st.sampled_from(OUTSIDE), pick=PICKS)
    def happens_outside(self, what: str, pick: int) -> None:
        if what == "crash":
            self.account.crash(pick)
        elif what == "busy":
            self.account.occupy(pick)
        elif what in ("notify", "reclaim", "withdraw"):
            self.account.take_back(what, pick)
        elif what != "foreign":
            self.account.console(what, pick)
        elif self.strangers < MOST_STRANGERS:
            self.strangers += 1
            self.account.foreign()

    @act(gpus=st.sampled_from([0, 1, 1000]))
    def stock(self, gpus: int) -> None:
        self.account.stock(gpus)
        self.account.did[f"stock {gpus}"] += 1

    @act(faults=st.lists(st.sampled_from(STRIKES), min_size=1, max_size=3))
    def strike(self, faults: list[dict[str, Any]]) -> None:
        self.account.weather(*faults)

    @act(faults=st.lists(st.sampled_from(SPELLS), max_size=2))
    def spell(self, faults: list[dict[str, Any]]) -> None:
        self.account.weather(*faults)

    # workers and time

    @act(
        what=st.sampled_from(["dies", "stalls"]),
        verb=st.sampled_from(VERBS),
        moment=st.sampled_from(MOMENTS),
        hangs_for=st.sampled_from([0, 30, 150]),
        pick=PICKS,
    )
    def worker_fails(self, what: str, verb: str, moment: str, hangs_for: int, pick: int) -> None:
        """In the job that a person asks for, unless another one gets there before."""
        self.account.armed, self.account.hangs_for = (f"{verb}.{moment}", what), hangs_for
        if verb == "edit":
            self.account.edit(pick, 5)
        elif verb != "create":
            self.account.ask(verb, pick)
        elif self.creates < MOST_CREATES:
            self.creates += 1
            self.account.create()

    @act(seconds=st.sampled_from([1, 2, 3, 5, 10]), times=st.integers(2, 5))
    def work(self, seconds: int, times: int) -> None:
        for _ in range(times):
            self.account.work(seconds)

    @act(minutes=st.sampled_from([5, 15, 40]))
    def nobody_works(self, minutes: int) -> None:
        """All workers are away for so long; the next of them finds what became of things."""
        self.account.drive.clock.shift(timedelta(minutes=minutes))
        self.account.did["nobody works"] += 1
