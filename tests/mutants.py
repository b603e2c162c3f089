"""Change one thing in the code at a time, and see whether a test fails: mutation testing with cosmic-ray.

    pip install -e '.[dev,quality]'
    python tests/mutants.py --sample 300 --seed 0 --out mutants.json

The mutants of `mutants.yaml` are numbered by cosmic-ray and drawn by `--seed`, in equal numbers from each
group as far as it has them. Left out are those that are no Python or change nothing that runs (annotations
and imports for them, docstrings, `abstractmethod`). Each is tried in a copy of the tree. `--out` has every
mutant with its outcome; what it has already is not done again. Survivors are printed with what differs.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - so that no fork has to
import torchvision  # noqa: F401
import yaml
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"ambientkit": "ambientkit", "ambientkit_plugins": "plugins", "ambientkit_recipes": "recipes"}


@dataclass(frozen=True)
class Mutant:
    """One change of one file; `tests` are run in turn until one fails."""

    group: str
    file: str
    operator: str
    occurrence: int
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """Under which its outcome is kept."""
        return f"{self.file} {self.operator} {self.occurrence}"

    def source(self) -> str:
        """The changed file."""
        changed = mutate_code(
            (ROOT / self.file).read_text("utf-8"), get_operator(self.operator)(), self.occurrence
        )
        assert changed is not None
        return changed


def mutants() -> dict[str, list[Mutant]]:
    """Every mutant, by group."""
    groups: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
    return {group: [*_of_group(group, settings)] for group, settings in groups.items()}


def _of_group(group: str, settings: dict[str, list[str]]) -> Iterator[Mutant]:
    for pattern, tests in settings.items():
        for path in sorted(ROOT.glob(pattern)):
            nodes = list(ast_nodes(get_ast_from_path(path)))
            for operator in (name for name in operator_names() if not get_operator(name).arguments()):
                places = sum(len(list(get_operator(operator)().mutation_positions(node))) for node in nodes)
                for place in range(places):
                    yield Mutant(group, str(path.relative_to(ROOT)), operator, place, tuple(tests))


def counts(mutant: Mutant) -> bool:
    """Whether it is Python, and changes what runs."""
    try:
        return meaning(mutant.source()) != meaning((ROOT / mutant.file).read_text("utf-8"))
    except SyntaxError:
        return False


def meaning(source: str) -> str:
    """The syntax tree without what does nothing: annotations, docstrings, decorators of type checkers."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            node.decorator_list = [
                each for each in node.decorator_list if ast.unparse(each) != "abstractmethod"
            ]
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign) and "Annotated" not in ast.unparse(node.annotation):
            node.annotation = ast.Name("_")
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.test = ast.Constant(False)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant("")
    return ast.dump(tree)


def drawn(groups: dict[str, list[Mutant]], number: int, seed: int) -> list[Mutant]:
    """About `number` that count, each group's share the same; a group that has fewer gives all."""
    chance = random.Random(seed)
    chosen: list[Mutant] = []
    for place, group in enumerate(sorted(groups.values(), key=len)):
        share = round((number - len(chosen)) / (len(groups) - place))
        chosen += islice(filter(counts, chance.sample(group, len(group))), share)
    return chosen


class Copy:
    """A copy of the tree that Python imports in place of the installed one."""

    def __init__(self, place: Path) -> None:
        skip = shutil.ignore_patterns(".git", "__pycache__", "runs", ".*_cache")
        shutil.copytree(ROOT, place, ignore=skip)
        self.place, self.path = place, place / "path"
        self.path.mkdir()
        for package, folder in PACKAGES.items():
            (self.path / package).symlink_to(place / folder)

    def outcome(self, mutant: Mutant) -> str:
        """`killed` or `survived`."""
        file = self.place / mutant.file
        before = file.read_text("utf-8")
        file.write_text(mutant.source(), "utf-8")
        try:
            return "survived" if all(self.passes(test) for test in mutant.tests) else "killed"
        finally:
            file.write_text(before, "utf-8")

    def passes(self, tests: str, limit: float = 600) -> bool:
        """Whether these tests pass, in a fork of this process: torch is imported once for all of them."""
        child = os.fork()
        if child == 0:
            os._exit(self._pytest(shlex.split(tests)))
        deadline = time.monotonic() + limit
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.02)
        return ended[1] == 0

    def _pytest(self, arguments: list[str]) -> int:
        """What a fork does: nothing of ambientkit is imported yet, so all comes from the copy."""
        assert "ambientkit" not in sys.modules
        sys.path.insert(0, str(self.path))
        os.environ["PYTHONPATH"] = str(self.path)  # of processes that tests start
        os.chdir(self.place / "tests")
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
            return int(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", *arguments]))


def difference(mutant: Mutant) -> str:
    """What was changed: the lines that differ."""
    before = (ROOT / mutant.file).read_text("utf-8").splitlines()
    after = mutant.source().splitlines()
    pairs = zip(before, after, strict=False)
    return "\n".join(f"- {old.strip()}\n+ {new.strip()}" for old, new in pairs if old != new)


def main() -> int:
    """Try what was drawn and is not done yet; print survivors and the share that was killed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--again", action="store_true", help="try survivors again")
    given = parser.parse_args()
    chosen = drawn(mutants(), given.sample, given.seed)
    done: dict[str, Any] = json.loads(given.out.read_text("utf-8")) if given.out.exists() else {}
    kept = {"killed"} if given.again else {"killed", "survived"}
    todo = [each for each in chosen if done.get(each.name, {}).get("outcome") not in kept]
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory() as place:
        copy = Copy(Path(place) / "copy")
        _require_passing(copy, {test for each in todo for test in each.tests})
        for mutant in todo:
            done[mutant.name] = {**asdict(mutant), "outcome": copy.outcome(mutant)}
            given.out.write_text(json.dumps(done, indent=1), "utf-8")
    survivors = [each for each in chosen if done[each.name]["outcome"] == "survived"]
    for each in survivors:
        print(f"survived: {each.name}\n{difference(each)}\n")
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} killed")
    return 0


def _require_passing(copy: Copy, tests: set[str]) -> None:
    """Every test passes before anything is changed; else each mutant would count as killed."""
    failing = [test for test in sorted(tests) if not copy.passes(test)]
    if failing:
        raise SystemExit(f"these fail without any change: {', '.join(failing)}")


if __name__ == "__main__":
    sys.exit(main())
