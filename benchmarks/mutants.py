"""Test the tests of the core by mutation: insert small faults into a module and list the undetected faults (docs/mutation.md).

Run it from the repository's root, in a separate environment with cosmic-ray==8.7.0 and all of requirements/dev.lock:

    PYTHONPATH=. SEED=0 python benchmarks/mutants.py       all modules of SUITES, or the modules given as arguments

The mutants are those of cosmic-ray and deleted statements. Each mutant runs in a fork, in which the mutated function gets other
code. For a mutant outside functions, the fork imports the package again. No file changes. The tests that execute a mutated
line run until one fails, with the fastest first. If no test executes a mutated line, all tests run. The output contains each
undetected mutant as a diff.
"""

import ast
import contextlib
import difflib
import multiprocessing
import os
import random
import re
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

#: Module in voicerace/ -> (number of mutants to draw, names of the test files).
SUITES = {
    "model/protocol/ledger": (100, "test_ledger test_informed test_verdict"),
    "model/protocol/ledger_entries": (100, "test_ledger"),
    "analysis/verdict": (80, "test_verdict test_informed test_rules"),
    "analysis/rules": (60, "test_rules test_verdict"),
    "analysis/outcomes": (60, "test_rules test_verdict"),
    "captures/derive": (80, "test_derive_by_hand test_filling test_derive"),
    "experiments/rates": (80, "test_statistics test_comparison test_capture_copies"),
    "model/actors/reference_gate": (70, "test_gate"),
    "experiments/explore/zone": (80, "test_explore_zone"),
}
#: Pattern of the operators that are not used: identity in place of equality, which is equivalent for most values here, and
#: arithmetic that only raises TypeError.
SKIPPED = re.compile(
    r"Comparison.*(?<!_Is)_IsNot$|Comparison.*(?<!_IsNot)_Is$|(Is|IsNot)_(Eq|NotEq|Lt|LtE|Gt|GtE)$|Invert|UAdd|Variable"
    r"|Binary.*_(?!Add_Sub|Sub_Add|Mul_FloorDiv|FloorDiv_Mul|Div_Mul|BitAnd_BitOr|BitOr_BitAnd)[A-Za-z]+_[A-Za-z]+$"
)
PYTEST = ["-o", "addopts=", "-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:xdist"]
SLOW_S = 2.0  # maximum duration in s of a test under the tracer; slower tests are not used


def deletable(tree: ast.Module) -> list[Any]:
    kinds = ast.Assign | ast.AugAssign | ast.Expr | ast.Return | ast.Raise | ast.Delete
    found = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return [e for e in found if not isinstance(getattr(e, "value", None), ast.Constant) and "__all__" not in ast.unparse(e)]


def all_mutants(source: str) -> list[tuple[int, str, int]]:
    """Return (line, operator, occurrence) of each mutant outside annotations, which are never evaluated."""
    tree, nodes = ast.parse(source), [*ast_nodes(get_ast(source))]
    notes = [e for n in ast.walk(tree) for e in (getattr(n, "annotation", None), getattr(n, "returns", None)) if e]
    spans = [((e.lineno, e.col_offset), (e.end_lineno, e.end_col_offset)) for e in notes]
    found = [(node.lineno, "DeleteStatement", number) for number, node in enumerate(deletable(tree))]
    for name in sorted(each for each in operator_names() if not SKIPPED.search(each)):
        places = [begin for node in nodes for begin, _ in get_operator(name)().mutation_positions(node)]
        found += [(at[0], name, n) for n, at in enumerate(places) if not any(first <= at < last for first, last in spans)]
    return found


def mutated(source: str, operator: str, number: int) -> str:
    if operator != "DeleteStatement":
        return mutate_code(source, get_operator(operator)(), number) or source
    node, lines = deletable(ast.parse(source))[number], source.splitlines(keepends=True)
    return "".join([*lines[: node.lineno - 1], " " * node.col_offset + "pass\n", *lines[node.end_lineno :]])


def place(tree: ast.Module, line: int) -> tuple[set[int], list[str]]:
    """Return (lines of the statement at a line, names of its class and function). A tracer can report any of the lines."""
    within = [e for e in ast.walk(tree) if isinstance(e, ast.stmt) and e.lineno <= line <= (e.end_lineno or 0)]
    simple = [{*range(e.lineno, (e.end_lineno or 0) + 1)} for e in within if "body" not in e._fields]
    scopes = [e for e in within if isinstance(e, ast.ClassDef | ast.FunctionDef)]
    last = next((n for n, e in enumerate(scopes) if isinstance(e, ast.FunctionDef) and e.body[0].lineno <= line), -1)
    return {line}.union(*simple), [e.name for e in scopes[: last + 1]]


class Watch:
    """A pytest plugin that records the duration of each passing test and the lines of a file that it executes."""

    def __init__(self, file: str) -> None:
        self.file, self.lines, self.tests = file, set[int](), list[tuple[float, str, set[int]]]()

    def trace(self, frame: Any, event: str, arg: object) -> Any:
        self.lines |= {frame.f_lineno} if (here := frame.f_code.co_filename == self.file) else set()
        return self.trace if here else None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        began, failed, self.lines = time.monotonic(), item.session.testsfailed, set()
        sys.settrace(self.trace)
        yield
        sys.settrace(None)
        self.tests += [(time.monotonic() - began, item.nodeid, self.lines)] * (item.session.testsfailed == failed)
        return True

    def run(self, tests: list[str]) -> list[tuple[float, str, set[int]]]:
        pytest.main([*PYTEST, *tests], plugins=[self])
        return sorted(each for each in self.tests if each[0] <= SLOW_S)


def survives(source: str, name: str, file: str, function: list[str], tests: list[str]) -> bool:
    code, there, original = compile(source, file, "exec"), sys.modules[name], SourceFileLoader.get_code
    for part in function:
        code = [each for each in code.co_consts if getattr(each, "co_name", "") == part][-1]
        there = vars(there)[part]
    if function:
        there = getattr(there, "fget", None) or getattr(there, "__func__", None) or there
        getattr(there, "__wrapped__", there).__code__ = code
    else:
        SourceFileLoader.get_code = lambda loader, each: code if each == name else original(loader, each)  # type: ignore[assignment]
        for each in [each for each, m in sys.modules.items() if str(getattr(m, "__file__", "")).startswith(str(Path.cwd()))]:
            del sys.modules[each]
    return pytest.main([*PYTEST, "-x", *tests]) == 0


def in_fork(limit_s: float, work: Any, *given: Any) -> Any:  # None if the function takes too long or fails
    with multiprocessing.get_context("fork").Pool(1) as pool, contextlib.suppress(Exception):
        return pool.apply_async(work, given).get(limit_s)


def score(module: str, seed: int) -> str:
    number, files = SUITES[module]
    file, paths = Path("voicerace", f"{module}.py").resolve(), [f"tests/{each}.py" for each in files.split()]
    source, name = file.read_text("utf-8"), f"voicerace.{module.replace('/', '.')}"
    pytest.main([*PYTEST, "--collect-only", *paths])  # imports the tests, once for all forks
    every, tests, alive = all_mutants(source), in_fork(1200, Watch(str(file)).run, paths), 0
    drawn = random.Random(seed).sample(every, min(number, len(every)))
    for line, operator, occurrence in sorted(drawn):
        code, (lines, function) = mutated(source, operator, occurrence), place(ast.parse(source), line)
        chosen = [each for each in tests if lines & each[2]] or tests
        given = (code, name, str(file), function, [each[1] for each in chosen])
        if in_fork(30 + 3 * sum(each[0] for each in chosen), survives, *given):
            alive += 1
            diff = difflib.unified_diff(source.splitlines(), code.splitlines(), n=0, lineterm="")
            print(f"--- {module}: {operator} survives {len(chosen)} tests", *[*diff][2:], sep="\n", flush=True)
    return f"{module}: {len(drawn) - alive} killed of {len(drawn)} sampled of {len(every)}, seed {seed}, {len(tests)} tests"


if __name__ == "__main__":
    for each in sys.argv[1:] or SUITES:
        print(score(each, int(os.environ.get("SEED", "0"))), flush=True)
