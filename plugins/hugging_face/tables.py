"""One split of a data set as a table whose pictures are undecoded files. Nothing else knows `datasets`."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ambientkit.errors import DataError

Table = Any  # a datasets.Dataset: `len`, rows by number, column names and features


def pictures_of(path: str, config: str | None, split: str, column: str, revision: str | None) -> Table:
    """The rows of a split, `column` of which are pictures as {"bytes", "path"}.

    Raises DataError where `datasets` is not installed, there is no such data set, split or column, or the
    column holds no pictures.
    """
    if find_spec("datasets") is None:
        raise DataError("data set hugging_face needs `datasets`: pip install 'ambientkit[hub]'")
    library = importlib.import_module("datasets")
    table = _opened(library, path, config, split, revision)
    pictures = [name for name, kind in table.features.items() if isinstance(kind, library.Image)]
    if column not in pictures:
        known = f"columns with pictures: {', '.join(pictures)}" if pictures else "no column holds pictures"
        raise DataError(f"{path}: column {column!r} holds no pictures; {known}")
    return table.select_columns([column]).cast_column(column, library.Image(decode=False))


def _opened(library: Any, path: str, config: str | None, split: str, revision: str | None) -> Table:
    folder = Path(path).expanduser()
    try:
        if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
            return _saved(library, folder, split)
        place = str(folder) if folder.exists() else path
        return library.load_dataset(place, config, split=split, revision=revision)
    except ConnectionError as error:
        raise DataError(f"{path}: the hub cannot be reached; give a local folder ({error})") from error
    except (OSError, ValueError, LookupError, RuntimeError, library.exceptions.DatasetsError) as error:
        raise DataError(f"{path}: cannot be opened as a data set: {_short(error)}") from error


def _saved(library: Any, folder: Path, split: str) -> Table:
    """What `save_to_disk` wrote: one table, or several by the names of their splits."""
    found = library.load_from_disk(str(folder))
    name = split.partition("[")[0]
    if isinstance(found, library.DatasetDict):
        if name not in found:
            raise ValueError(f"no split {name!r}, only {', '.join(found)}")
        found = found[name]
    (part,) = library.ReadInstruction.from_spec(split).to_absolute({name: len(found)})
    return found.select(range(part.from_ or 0, len(found) if part.to is None else part.to))


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
