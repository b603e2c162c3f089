"""Splits of a data set as tables whose pictures are undecoded files. Nothing else knows `datasets`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ambientkit.errors import DataError

Table = Any  # a datasets.Dataset: `len`, rows by number, features, and `data`, which is pyarrow's table
Place = tuple[str, int]  # a split and a row of it
OLDEST = 4  # the first that runs no code of a data set's


def tables_of(path: str, config: str | None, column: str, revision: str | None) -> dict[str, Table]:
    """The splits by name; `column` of their rows is a picture as {"bytes", "path"}.

    Raises DataError where `datasets` is not installed or too old, there is no such data set, or the column
    holds no pictures.
    """
    _require_installed()
    library = importlib.import_module("datasets")
    found = _opened(library, path, config, revision)
    return {name: _undecoded(library, table, path, column) for name, table in found.items()}


def places_of(tables: Mapping[str, Table], split: str, path: str) -> list[Place]:
    """The rows that `split` names: parts by `+`, each a split or a slice of one, in rows or per cent.

    Raises DataError for one that is not there.
    """
    library = importlib.import_module("datasets")
    lengths = {name: len(table) for name, table in tables.items()}
    try:
        parts = library.ReadInstruction.from_spec(split).to_absolute(lengths)
    except (ValueError, AssertionError) as error:
        told = f"there are {', '.join(lengths)}, and slices such as train[:1000]"
        raise DataError(f"{path}: split {split!r} is not there ({_short(error)}); {told}") from error
    return [(part.splitname, row) for part in parts for row in _rows(part, lengths[part.splitname])]


def _rows(part: Any, length: int) -> range:
    return range(length)[slice(part.from_, part.to)]


def _require_installed() -> None:
    try:
        found = version("datasets")
    except PackageNotFoundError:
        found = "0"
    if int(found.partition(".")[0]) < OLDEST:
        raise DataError(
            f"data set hugging_face needs datasets {OLDEST} or later: pip install 'ambientkit[hub]'"
        )


def _undecoded(library: Any, table: Table, path: str, column: str) -> Table:
    pictures = [name for name, kind in table.features.items() if isinstance(kind, library.Image)]
    if column not in pictures:
        known = f"columns with pictures: {', '.join(pictures)}" if pictures else "no column holds pictures"
        raise DataError(f"{path}: column {column!r} holds no pictures; {known}")
    return table.select_columns([column]).cast_column(column, library.Image(decode=False))


def _opened(library: Any, path: str, config: str | None, revision: str | None) -> dict[str, Table]:
    folder = Path(path).expanduser()
    _require_effect(path, folder, config, revision)
    try:
        if _is_saved(folder):
            return dict(_saved(library.load_from_disk(str(folder))))
        place = str(folder) if folder.exists() else path
        return dict(library.load_dataset(place, config, revision=revision))
    except ConnectionError as error:
        raise DataError(
            f"{path}: there is no such folder here, and the hub, where it may be a name, cannot be reached; "
            f"give a local folder ({error})"
        ) from error
    except (OSError, ValueError, LookupError, RuntimeError, library.exceptions.DatasetsError) as error:
        raise DataError(f"{path}: cannot be opened as a data set: {_short(error)}") from error


def _is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote it."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def _require_effect(path: str, folder: Path, config: str | None, revision: str | None) -> None:
    """Options that the library would pass over in silence."""
    if revision is not None and folder.exists():
        raise DataError(f"{path}: is a folder here, which has no revisions; remove `revision`")
    if config is not None and _is_saved(folder):
        raise DataError(f"{path}: save_to_disk wrote it, which keeps one configuration; remove `config`")


def _saved(found: Any) -> Iterator[tuple[str, Table]]:
    """What `save_to_disk` wrote: several splits, or one table that may know which it is."""
    if isinstance(found, dict):
        yield from found.items()
    else:
        yield str(found.split or "train").partition("[")[0], found


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
