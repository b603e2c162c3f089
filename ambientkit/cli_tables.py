"""Tables: plugins, options, runs, figures."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # rich is imported where something is shown, so that `--help` stays fast
    from rich.table import Table
    from rich.text import Text

    from ambientkit.plugins import PluginReport
    from ambientkit.registry import Options
    from ambientkit.run_folder import RunSummary


SHORT = 32  # letters of a name that stays whole: longer ones would take the room of all else


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> Table:
    """A plain table; cells are text, so that nothing in them is taken for markup. Short names stay whole."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(title) if title else None, title_justify="left", show_edge=False, pad_edge=False)
    cells = [[str(cell) for cell in row] for row in rows]
    short = all(len(row[0]) <= SHORT for row in cells)
    for number, column in enumerate(columns):
        made.add_column(Text(column), overflow="fold", no_wrap=number == 0 and short)
    for row in cells:
        made.add_row(*map(Text, row))
    return made


# Plugins and options ----------------------------------------------------------------------------


def plugins(reports: Iterable[PluginReport]) -> Table:
    """One row a plugin."""
    columns = ("plugin", "namespace", "version", "source", "components")
    rows = (
        (r.name, r.namespace, r.version, r.source, "FAILED" if r.error else "\n".join(r.components))
        for r in reports
    )
    return table(columns, rows)


def docstring(options: type[Options]) -> str:
    """What the component is, without the indentation of its source."""
    return inspect.cleandoc(options.__doc__ or "")


@dataclass(frozen=True)
class OptionRow:
    """One option as `describe` shows it; `default` is JSON, or `required`."""

    name: str
    type: str
    default: str
    bounds: str
    description: str


def option_rows(schema: Mapping[str, Any]) -> list[OptionRow]:
    """The options of a component from its JSON schema."""
    definitions = schema.get("$defs", {})
    return [
        OptionRow(
            name=name,
            type=_type(held, definitions),
            default=json.dumps(held["default"], ensure_ascii=False) if "default" in held else "required",
            bounds=_bounds(held, definitions),
            description=" ".join(held.get("description", "").split()),
        )
        for name, held in schema.get("properties", {}).items()
    ]


def options(rows: Sequence[OptionRow]) -> Table | Text:
    """One row an option."""
    from rich.text import Text

    if not rows:
        return Text("It has no options.")
    cells = ((row.name, row.type, row.default, row.bounds, row.description) for row in rows)
    return table(("option", "type", "default", "bounds", "description"), cells)


def _type(held: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in held:
        return _type(definitions[held["$ref"].rpartition("/")[2]], definitions)
    for several in ("anyOf", "oneOf"):
        if several in held:
            return " | ".join(dict.fromkeys(_type(each, definitions) for each in held[several]))
    if "enum" in held or "const" in held:
        return " | ".join(json.dumps(value) for value in held.get("enum", [held.get("const")]))
    if "prefixItems" in held:
        return f"[{', '.join(_type(each, definitions) for each in held['prefixItems'])}]"
    if isinstance(held.get("items"), Mapping):
        return f"list of {_type(held['items'], definitions)}"
    name = str(held.get("type", "any"))
    return {"object": "mapping", "string": "text"}.get(name, name)


_BOUNDS = {
    "minimum": ">= {}",
    "exclusiveMinimum": "> {}",
    "maximum": "<= {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "multiple of {}",
    "pattern": "matches {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}


def _bounds(held: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The bounds of a value, or of the values in it."""
    if "$ref" in held:
        return _bounds(definitions[held["$ref"].rpartition("/")[2]], definitions)
    fixed = "prefixItems" in held  # its length is told by its type
    own = [
        text.format(_plain(held[key]))
        for key, text in _BOUNDS.items()
        if key in held and not (fixed and key[3:] == "Items")
    ]
    inner = [*held.get("anyOf", ()), *held.get("oneOf", ()), *held.get("prefixItems", ())]
    if isinstance(held.get("items"), Mapping):
        inner.append(held["items"])
    parts = [", ".join(own), *(_bounds(each, definitions) for each in inner)]
    return "; ".join(dict.fromkeys(part for part in parts if part))


def _plain(bound: Any) -> Any:
    """1, whether the schema says 1 or 1.0."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


# Runs and figures -------------------------------------------------------------------------------


def runs(summaries: Iterable[RunSummary]) -> Table:
    """One row a run, with the first three of its figures."""
    rows = (
        (
            run.folder,
            run.status,
            f"{run.step}/{run.total_steps}",
            run.started,
            _few(run.figures),
            "; ".join(run.labels),
        )
        for run in summaries
    )
    return table(("run", "status", "step", "started", "figures", "labels"), rows)


def comparison(rows: Mapping[str, Mapping[str, float]], title: str = "") -> Table:
    """One column a run or yardstick, one line a figure; a figure that is absent is a dash."""
    names = dict.fromkeys(name for figures in rows.values() for name in figures)
    cells = ([name, *(_number(figures.get(name)) for figures in rows.values())] for name in names)
    return table(["", *rows], cells, title)


class HasInterval(Protocol):
    """A figure with its 95 % interval, None where there is none."""

    @property
    def value(self) -> float:
        """The figure."""
        ...

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""
        ...

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""
        ...


def evaluation(
    rows: Mapping[str, Mapping[str, HasInterval]],
    differences: Mapping[str, Mapping[str, HasInterval]],
    pictures: int,
) -> list[Table]:
    """Figures by row with their intervals, then the first row's less those of each run beside it."""
    title = f"{pictures} held-out pictures; in brackets: 95 % interval over pictures"
    tables = [_with_intervals(rows, title)]
    first = next(iter(rows))
    named = {f"{first} less {other}": figures for other, figures in differences.items()}
    return [*tables, _with_intervals(named, "on the same pictures")] if named else tables


def _with_intervals(rows: Mapping[str, Mapping[str, HasInterval]], title: str) -> Table:
    names = dict.fromkeys(name for figures in rows.values() for name in figures)
    cells = ([name, *(_interval(figures.get(name)) for figures in rows.values())] for name in names)
    return table(["", *rows], cells, title)


def _interval(figure: HasInterval | None) -> str:
    if figure is None or figure.low is None or figure.high is None:
        return _number(None if figure is None else figure.value)
    return f"{_number(figure.value)} [{_number(figure.low)}, {_number(figure.high)}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _few(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in list(figures.items())[:3])
