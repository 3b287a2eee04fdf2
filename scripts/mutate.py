"""Mutation testing of the decisions: each small change to them must make a test fail.

Every mutant is one change of one operator, comparison, constant or condition in `autostop/decide*.py`; the options of
decorators, such as `frozen=True`, decide nothing and are left as they are. A mutant runs in a process of its own, forked
from one that has everything else loaded: the quick tests first, the thorough ones on what survives them.
"""

import ast
import contextlib
import copy
import importlib.abc
import importlib.util
import io
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

MODULES = tuple(sorted(Path("autostop").glob("decide*.py")))
QUICK = (
    "tests/autostop/test_decide.py",
    "tests/autostop/test_decide_deadlines.py",
    "tests/autostop/test_decide_edges.py",
    "tests/autostop/test_decide_start.py",
)
THOROUGH = (
    "tests/autostop/test_decide_properties.py",
    "tests/autostop/test_decide_table.py::test_every_combination_of_a_running_instance_gets_the_promised_action[enforce]",
)
LEAST_KILLED = 0.9
_SECONDS = 120
_AT_ONCE = 2

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
_CALLS = {"min": "max", "max": "min"}


@dataclass(frozen=True, slots=True)
class Mutant:
    path: Path
    line: int
    what: str
    tree: ast.Module

    @property
    def module(self) -> str:
        return ".".join(self.path.with_suffix("").parts)


def mutants_of(path: Path) -> Iterator[Mutant]:
    """All single changes of a module, in the order of its lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    options = {id(part) for node in ast.walk(tree) for one in getattr(node, "decorator_list", ()) for part in ast.walk(one)}
    for index, node in enumerate(ast.walk(tree)):
        if id(node) in options:
            continue
        for number, what in enumerate(_changes(node)):
            changed = copy.deepcopy(tree)
            target = next(one for place, one in enumerate(ast.walk(changed)) if place == index)
            _change(target, number)
            yield Mutant(path, getattr(node, "lineno", 0), what, ast.fix_missing_locations(changed))


def _changes(node: ast.AST) -> list[str]:
    """What can be changed at a node."""
    if isinstance(node, ast.Compare):
        return [f"{type(op).__name__} to {_COMPARISONS[type(op)].__name__}" for op in node.ops]
    if isinstance(node, ast.BoolOp):
        return ["and to or" if isinstance(node.op, ast.And) else "or to and"]
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return [f"{type(node.op).__name__} to {_OPERATORS[type(node.op)].__name__}"]
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return [f"{node.value} to {not node.value}"]
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return [f"{node.value} to {node.value + 1}"]
    if isinstance(node, ast.If | ast.IfExp):
        return ["condition negated"]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ["not left out"]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        return [f"{node.func.id} to {_CALLS[node.func.id]}"]
    return []


def _change(node: ast.AST, number: int) -> None:
    if isinstance(node, ast.Compare):
        node.ops[number] = _COMPARISONS[type(node.ops[number])]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.BinOp):
        node.op = _OPERATORS[type(node.op)]()
    elif isinstance(node, ast.Constant):
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]
    elif isinstance(node, ast.If | ast.IfExp):
        node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd()
        node.operand = ast.Call(func=ast.Name(id="bool", ctx=ast.Load()), args=[node.operand], keywords=[])
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        node.func = ast.Name(id=_CALLS[node.func.id], ctx=ast.Load())


class _Loader(importlib.abc.Loader):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._mutant.tree, str(self._mutant.path), "exec"), module.__dict__)  # noqa: S102 - our own source


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name != self._mutant.module:
            return None
        return importlib.util.spec_from_loader(name, _Loader(self._mutant))


def _start(mutant: Mutant | None, tests: Sequence[str]) -> int:
    """The id of a process that runs the tests on the mutant and ends with 0 where they pass."""
    child = os.fork()
    if child:
        return child
    import pytest  # noqa: PLC0415 - loaded by the parent already

    signal.alarm(_SECONDS)
    if mutant is not None:
        sys.meta_path.insert(0, _Finder(mutant))
    # These tests are of values: they need no database, no plugin and no fixture of ours.
    options = ["-q", "-x", "--no-header", "--assert=plain", "--noconftest", "-c", os.devnull, "--rootdir=."]
    options += ["-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    status = 1
    with (
        contextlib.suppress(BaseException),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        status = int(pytest.main([*options, *tests]))
    os._exit(0 if status == 0 else 1)


def _survivors(mutants: Sequence[Mutant], tests: Sequence[str]) -> list[Mutant]:
    """Those under which the tests still pass."""
    waiting, running, survived = list(mutants), dict[int, Mutant](), list[Mutant]()
    while waiting or running:
        while waiting and len(running) < _AT_ONCE:
            mutant = waiting.pop(0)
            running[_start(mutant, tests)] = mutant
        child, status = os.wait()
        mutant = running.pop(child)
        if status == 0:
            survived.append(mutant)
        if len(waiting) % 50 == 0:
            print(f"{len(waiting)} wait, {len(survived)} survived", file=sys.stderr, flush=True)  # noqa: T201
    return survived


def _prepare() -> None:
    """Load everything but the modules that are mutated."""
    os.environ |= {"ENVIRONMENT": "test", "DATA_DIR": tempfile.mkdtemp(prefix="nm-mutate-"), "LOG_LEVEL": "ERROR"}
    os.environ |= {"DJANGO_SETTINGS_MODULE": "novita_manager.settings", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    import hypothesis  # noqa: PLC0415 - the environment is set first
    import pytest  # noqa: PLC0415, F401

    import instances.lifecycle  # noqa: PLC0415, F401 - all that decisions and their tests need beside themselves

    quick = hypothesis.settings(max_examples=60, database=None, deadline=None)
    hypothesis.settings.register_profile("mutate", quick)
    hypothesis.settings.load_profile("mutate")
    loaded = [name for name in sys.modules if name.startswith("autostop.decide")]
    if loaded:
        raise RuntimeError(f"{', '.join(loaded)} must not be loaded before they are changed")


def main() -> int:
    began = time.monotonic()
    _prepare()
    child = _start(None, [*QUICK, *THOROUGH])
    if os.waitpid(child, 0)[1]:
        print("The tests do not pass on the code as it is.")  # noqa: T201
        return 1
    mutants = [one for path in MODULES for one in mutants_of(path)]
    survivors = _survivors(_survivors(mutants, QUICK), THOROUGH)
    killed = len(mutants) - len(survivors)
    for one in sorted(survivors, key=lambda one: (one.path, one.line)):
        print(f"survived  {one.path}:{one.line}  {one.what}")  # noqa: T201
    share = killed / len(mutants)
    print(  # noqa: T201
        f"{killed} of {len(mutants)} mutants killed: {share:.1%} (promised {LEAST_KILLED:.0%}), "
        f"{time.monotonic() - began:.0f} s"
    )
    return 0 if share >= LEAST_KILLED else 1


if __name__ == "__main__":
    sys.exit(main())
