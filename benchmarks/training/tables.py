"""What was measured, for a terminal: one table for each part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.table import Table


def contest_table(title: str, part: Mapping[str, Any]) -> Table:
    """A row for each loop; the last columns say how many times as long as ours it takes."""
    rows: dict[str, dict[str, Any]] = part["rows"]
    ours = [name for name, row in rows.items() if row["own"]]
    columns = ["loop", "ms a step", "spread", "core ms", "steps/s", "pictures/s", "GFLOP a step", "GFLOP/s"]
    shown = Table(*columns, "of peak", "peak MB", *(f"x {name}" for name in ours), title=title)
    for name, row in rows.items():
        times = [f"{part['ratios'][name][our]:.2f}" for our in ours]
        shown.add_row(name, *_cells(row), *times)
    return shown


def _cells(row: Mapping[str, Any]) -> list[str]:
    share = row["share_of_peak"]
    return [
        f"{1000 * row['median']:.1f}",
        f"{row['spread']:.1%}",
        f"{1000 * row['core_median']:.1f}",
        f"{row['steps_per_second']:.3g}",
        f"{row['pictures_per_second']:.1f}",
        f"{row['gflop_per_step']:.4g}",
        f"{row['gflop_per_second']:.1f}",
        "" if share is None else f"{share:.0%}",
        f"{row['peak_mb']:.0f}",
    ]


def peaks_table(title: str, found: Mapping[str, float]) -> Table:
    """GFLOP/s, or GB/s of what is copied."""
    shown = Table("peak", "G/s", title=title)
    for name, rate in found.items():
        shown.add_row(name, f"{rate / 1e9:.1f}")
    return shown


def seconds_table(title: str, found: Mapping[str, float]) -> Table:
    """Milliseconds of each."""
    shown = Table("", "ms", title=title)
    for name, seconds in found.items():
        shown.add_row(name, f"{1000 * seconds:.0f}")
    return shown


def figures_table(title: str, found: Mapping[str, Any]) -> Table:
    """Names and numbers; a mapping in it has its names before those of its members."""
    shown = Table("", "", title=title)
    for name, value in _flat(found).items():
        shown.add_row(name.replace("_", " "), f"{value:.4g}")
    return shown


def _flat(found: Mapping[str, Any], before: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in found.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{before}{name} ") if inner else {f"{before}{name}": value}
    return flat


TABLES: dict[str, Callable[[str, Any], Table]] = {
    "peaks": peaks_table,
    "completing": contest_table,
    "profile": figures_table,
    "generating": contest_table,
    "start": seconds_table,
    "quickstart": seconds_table,
    "preparation": figures_table,
    "use": figures_table,
}
