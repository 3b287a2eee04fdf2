"""Keeps the children alive until a signal says stop, then ends them in order."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

from novita_manager.embedded.children import Child, Program

LOOK_EVERY_SECONDS = 0.1


class Supervisor:
    """Children in the order they were started; they are stopped in the opposite order, the doers before what they need.

    `say` prints one line for people. Signals only set a flag: the loop in `run` and the waiting in `stop` look at it.
    """

    def __init__(self, folder: Path, say: Callable[[str], None], *, end_with_parent: bool = False) -> None:
        self._folder = folder
        self._say = say
        self._parent = os.getppid() if end_with_parent else None
        self._children: list[Child] = []
        self._signals = 0

    @property
    def stopping(self) -> bool:
        return self._signals > 0 or (self._parent is not None and os.getppid() != self._parent)

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._heard)

    def start(self, program: Program) -> Child:
        child = Child(program, self._folder)
        child.start()
        self._children.append(child)
        return child

    def drop(self, child: Child) -> None:
        """End a child at once and forget it."""
        child.kill()
        self._children.remove(child)

    def run(self) -> None:
        """Until asked to stop: start again what died, more slowly each time it dies in a row."""
        while not self.stopping:
            self.look_after(time.monotonic())
            time.sleep(LOOK_EVERY_SECONDS)

    def look_after(self, now: float) -> None:
        """One round: bury the dead, start those whose time has come."""
        for child in self._children:
            if child.has_died():
                how = child.bury(now)
                often = f", {child.deaths_in_a_row} times in a row" if child.deaths_in_a_row > 1 else ""
                self._say(f"! {child.program.name} died: {how}{often}. Starting it again.")
            elif child.start_again_at is not None and child.start_again_at <= now:
                child.start()

    def stop(self) -> None:
        """End all children: those that work first, together; then what they worked with. A second signal kills at once."""
        needed = [child for child in self._children if child.program.name in ("broker", "simulator")]
        self._end([child for child in self._children if child not in needed])
        self._end(needed)
        self._children.clear()

    def _end(self, children: Iterable[Child]) -> None:
        waiting = list(children)
        heard_before = self._signals
        for child in waiting:
            child.ask_to_stop()
        until = time.monotonic() + max((child.program.stop_seconds for child in waiting), default=0.0)
        while time.monotonic() < until and self._signals <= max(heard_before, 1):
            if not any(child.is_running() for child in waiting):
                break
            time.sleep(0.05)
        for child in waiting:
            child.kill()

    def _heard(self, _: int, __: FrameType | None) -> None:
        self._signals += 1
