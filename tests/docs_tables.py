"""The generated parts of the documentation: `python tests/docs_tables.py` writes them anew.

Each stands between two marks, `<!-- made by tests/docs_tables.py: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from ambientkit import Engine, interfaces, recipe, recipe_file, recipe_train, testing
from ambientkit.cli_tables import option_rows
from ambientkit.hookspecs import Lifecycle, Registration
from ambientkit.names import CATEGORIES
from ambientkit.registry import Registered

ROOT = Path(__file__).parents[1]
MARKED = re.compile(r"(<!-- made by tests/docs_tables\.py: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

SECTIONS: dict[str, tuple[str, type[BaseModel]]] = {
    "recipe": ("The top level", recipe.Recipe),
    "data": ("`data`", recipe.DataSection),
    "data.holdout": ("`data.holdout`, where it is a rule", recipe.HoldoutRule),
    "discriminator_data": ("`discriminator_data`", recipe.DiscriminatorDataSection),
    "further": ("`further`", recipe.FurtherSection),
    "fidelity": ("An item of `fidelity`", recipe.FidelitySpec),
    "evaluation": ("`evaluation`", recipe.EvaluationSection),
    "metrics": ("An item of `metrics`", recipe.MetricSpec),
    "train": ("`train`", recipe_train.TrainSection),
    "schedules": ("`train.schedules`", recipe_train.SchedulesSection),
    "ramp": ("A schedule of `train.schedules`", recipe_train.Ramp),
    "phases": ("An item of `train.phases`", recipe_train.PhaseSection),
    "checkpoints": ("`train.checkpoints`", recipe_train.CheckpointSection),
    "adam": ("An optimiser `{kind: adam}` or `{kind: adamw}`", recipe_train.Adam),
    "rmsprop": ("An optimiser `{kind: rmsprop}`", recipe_train.RMSprop),
    "sgd": ("An optimiser `{kind: sgd}`", recipe_train.SGD),
    "adadelta": ("An optimiser `{kind: adadelta}`", recipe_train.Adadelta),
}


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown; bars inside cells are escaped."""
    head = list(columns)
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def recipe_keys() -> str:
    """Every key of a recipe, section by section."""
    parts = [f"### {title}\n\n{_keys(model)}" for title, model in SECTIONS.values()]
    return "\n" + "\n".join(parts) + "\n"


def _keys(model: type[BaseModel]) -> str:
    rows = [
        (f"`{row.name}`", _type(row.type, row.bounds), _default(row.default), row.description)
        for row in option_rows(model.model_json_schema())
    ]
    return table(("key", "type", "default", "meaning"), rows)


def _type(name: str, bounds: str) -> str:
    return f"{name}, {bounds}" if bounds else name


def _default(default: str) -> str:
    if default == "required":
        return "required"
    return "its own defaults" if default.startswith("{") else f"`{default}`"


def components() -> str:
    """Every built-in component with its summary."""
    rows = [(entry.category, f"`{entry.name}`", entry.component.summary) for entry in built_ins()]
    return table(("category", "kind", "what it is"), rows)


def built_ins() -> list[Registered]:
    """What is ours: components of other libraries, such as `deepinv/...`, have pages of their own."""
    return [entry for entry in Engine(discover=False).plugins.registry if "/" not in entry.name]


def recipes() -> str:
    """Every shipped recipe with the first sentence of its header."""
    rows = [(f"[`{name}`](../recipes/{name}.yaml)", _title(path)) for name, path in shipped().items()]
    return table(("recipe", "what it does"), rows)


def shipped() -> dict[str, Path]:
    """The recipes of this checkout, by name."""
    assert recipe_file.shipped()["quickstart"].read_text() == (ROOT / "recipes/quickstart.yaml").read_text()
    folder = ROOT / "recipes"
    found = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("*/*.yaml"))]
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in found}


def _title(path: Path) -> str:
    lines = [line.lstrip("# ").rstrip() for line in path.read_text("utf-8").splitlines()]
    start = lines.index("") + 1
    return " ".join(lines[start : lines.index("", start)])


# Hooks and contracts ----------------------------------------------------------------------------


def hooks() -> str:
    """Every hook with its arguments and what its specification says."""
    return "\n".join(_hooks(group, title) for group, title in HOOKS.items())


HOOKS: dict[type, str] = {Registration: "Registration hooks", Lifecycle: "Lifecycle hooks"}


def _hooks(group: type, title: str) -> str:
    parts = [f"\n## {title}\n", _prose(inspect.getdoc(group))]
    for name, hook in vars(group).items():
        if inspect.isfunction(hook):
            arguments = ", ".join(list(inspect.signature(hook).parameters)[1:])
            parts.append(f"\n### {name}({arguments})\n\n{_prose(inspect.getdoc(hook))}")
    return "\n".join(parts) + "\n"


def _prose(doc: str | None) -> str:
    """A docstring as Markdown: what is indented is a drawing."""
    lines = (doc or "").splitlines()
    drawn = [bool(re.match(r" {4}\S| {10,}\S", line)) for line in lines]
    made: list[str] = []
    for number, line in enumerate(lines):
        before = number and drawn[number - 1]
        if drawn[number] and not before:
            made.append("```")
        if before and not drawn[number]:
            made.append("```")
        made.append(line[4:] if drawn[number] else line)
    return "\n".join([*made, "```"] if lines and drawn[-1] else made)


def contract(category: str) -> str:
    """The members of a contract, with signatures, defaults and what they promise."""
    found = getattr(interfaces, category.capitalize())
    parts = [f"\n{_prose(inspect.getdoc(found))}\n"]
    values = [
        (f"`{name}`", f"`{kind}`", f"`{getattr(found, name)!r}`" if hasattr(found, name) else "must be there")
        for name, kind in found.__annotations__.items()
    ]
    if values:
        parts.append(table(("member", "type", "default"), values))
    for name, method in vars(found).items():
        if _is_told(name, method) or (name == "__len__" and method.__doc__):
            parts.append(_method(name, method))
    return "\n".join(parts) + "\n"


def _method(name: str, method: Callable[..., object]) -> str:
    signature = inspect.signature(method)
    shown = ", ".join(str(parameter) for parameter in list(signature.parameters.values())[1:])
    must = "must be there" if getattr(method, "__isabstractmethod__", False) else "has a default"
    head = f"#### {name}\n\n`{name}({shown}) -> {signature.return_annotation}`, {must}.".replace("'", "")
    return f"{head}\n\n{_prose(inspect.getdoc(method))}\n"


TRAVEL = ("Measured", "View", "RoundTrip", "Judged", "Evaluated", "Context", "RunInfo", "StepReport")


def travel() -> str:
    """What components are given: each record with its fields."""
    parts = []
    for name in TRAVEL:
        record = getattr(interfaces, name)
        rows = [(f"`{field}`", f"`{kind}`") for field, kind in record.__annotations__.items()]
        parts.append(f"\n### {name}\n\n{_prose(inspect.getdoc(record))}\n\n{table(('field', 'type'), rows)}")
        parts += [
            f"\n{_method(each, method)}" for each, method in vars(record).items() if _is_told(each, method)
        ]
    return "".join(parts) + "\n"


def _is_told(name: str, member: object) -> bool:
    return inspect.isfunction(member) and not name.startswith("_") and bool(member.__doc__)


def kinds(category: str) -> str:
    """Every built-in of a category with its options."""
    found = [_kind(entry) for entry in built_ins() if entry.category == category]
    return "\n" + "\n".join(found) + "\n"


def _kind(entry: Registered) -> str:
    options = entry.component.options
    text = f"### {entry.name}\n\n{inspect.cleandoc(options.__doc__ or '')}\n"
    return f"{text}\n{_keys(options)}" if options.model_fields else text


def checks() -> str:
    """Every check of the contract kit, contract by contract."""
    parts = []
    for category in (*CATEGORIES, "component"):
        listed = getattr(testing, f"{category.upper()}_CHECKS")
        rows = [(f"`{check.name}`", check.summary) for check in listed]
        title = "Any component, by its options" if category == "component" else category.capitalize()
        parts.append(f"\n### {title}\n\n{table(('check', 'what holds'), rows)}")
    return "".join(parts) + "\n"


MAKERS: dict[str, Callable[[], str]] = {
    "recipe-keys": recipe_keys,
    "components": components,
    "recipes": recipes,
    "hooks": hooks,
    "checks": checks,
    "travel": travel,
    **{
        f"contract-{category}": partial(contract, category)
        for category in CATEGORIES
        if category != "callback"
    },
    **{f"kinds-{category}": partial(kinds, category) for category in CATEGORIES},
}


def pages() -> list[Path]:
    """README, CONTRIBUTING and all pages of docs/."""
    docs = ROOT / "docs"
    found = [*sorted(docs.glob("*.md")), *sorted(docs.glob("kinds/*.md"))]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *found]


def made_anew(text: str) -> str:
    """A page with its generated parts made anew."""
    return MARKED.sub(lambda found: found[1] + MAKERS[found[2]]() + found[4], text)


if __name__ == "__main__":
    for page in pages():
        page.write_text(made_anew(page.read_text("utf-8")), "utf-8")
