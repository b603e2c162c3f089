"""Measured stores in the cache: found by what they hold, or made, once for all who want them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ambientkit.data import Progress, Source, fill_store
from ambientkit.errors import DataError
from ambientkit.interfaces import Measurement
from ambientkit.mishaps import FULL
from ambientkit.recipe import Plan
from ambientkit.store import (
    FORMAT,
    Store,
    StoreWriter,
    alike,
    begin_store,
    commit_store,
    discard_store,
    only_one,
    open_store,
    tidy,
)

log = logging.getLogger("ambientkit")
LOOKED_AT = 4  # samples of a store that is found
_NOT_THE_SENSORS = frozenset({"ambientkit", "deepinv", "torch", *sys.stdlib_module_names})


def cache_folder() -> Path:
    """Where measured stores are kept: $AMBIENTKIT_CACHE, else the user's cache folder.

    Raises DataError where there is none.
    """
    named = os.environ.get("AMBIENTKIT_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "ambientkit"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise DataError(
            "you have no home folder here, so there is no place for measured data; set AMBIENTKIT_CACHE"
        ) from error


def describe_store(plan: Plan, source: Source, indices: list[int]) -> dict[str, Any]:
    """Everything that a stored measurement depends on; equal descriptions share a store."""
    dataset = source.dataset
    return {
        **describe_data(source, indices),
        "measurement": "arrived" if dataset.arrives_measured else plan.measurement.resolved(),
        "measured_by": plan.measurement.registered.source,
        "code": [code_of(type(part)) for part in (source.sensor, *_parts(source.sensor))],
        "sensor_files": source.sensor.fingerprint,
        "data_seed": plan.recipe.data.seed,
        "store_format": FORMAT,
    }


def describe_data(source: Source, indices: list[int]) -> dict[str, Any]:
    """Which pictures of which data set."""
    dataset = source.dataset
    keys = hashlib.sha256("\0".join(dataset.keys[i] for i in indices).encode("utf-8", "surrogateescape"))
    return {
        "data": dataset.fingerprint,
        "keys": keys.hexdigest(),
        "image_shape": list(dataset.image_shape),
    }


def _parts(sensor: Measurement) -> Iterator[Measurement]:
    for part in sensor.parts:
        yield part
        yield from _parts(part)


def code_of(kind: type) -> list[str]:
    """Digests of the files that a class and its bases are written in, and of those beside them in a package.

    Editing one makes another store. Code that those call elsewhere is not seen.
    """
    files = {file for base in kind.__mro__ for file in _beside(base)}
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)]


def _beside(kind: type) -> Iterable[Path]:
    module = sys.modules.get(kind.__module__)
    file = Path(getattr(module, "__file__", None) or "")
    if file.suffix != ".py" or kind.__module__.partition(".")[0] in _NOT_THE_SENSORS or not file.is_file():
        return ()  # nothing of a sensor's own; or a class that was made at a prompt
    return file.parent.glob("*.py") if getattr(module, "__package__", "") else (file,)


def find_or_make(
    source: Source, indices: list[int], cache: Path, description: dict[str, Any], progress: Progress
) -> Store:
    """The store of that description. Raises DataError where the cache cannot be written to."""
    name = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:24]
    final = _place(source, indices, cache / "stores" / name)
    found = open_store(final)
    if found is not None:
        tidy(final)
        return found
    try:
        with only_one(final, partial(_say_waiting, final, progress)):
            found = open_store(final)
            return found if found is not None else _make(source, indices, final, description, progress)
    except OSError as error:
        if not _about(error, final):
            raise
        raise DataError(
            f"{final.parent}: cannot keep measured data there ({error.strerror}); "
            "make room there, or set AMBIENTKIT_CACHE to another folder"
        ) from error


def _place(source: Source, indices: list[int], final: Path) -> Path:
    """`final`, or another place if a few samples of the store there are not what data and sensor give now.

    The name follows files and options: not a class that is typed into a notebook, not a constant that another
    module holds, and not an option that a data set's fingerprint forgets. The store itself stays, for whoever
    reads it.
    """
    found = open_store(final)
    if found is None:
        return final
    some = sorted({len(found) * part // LOOKED_AT for part in range(LOOKED_AT)})
    writer = StoreWriter()
    fill_store(writer, source, [indices[i] for i in some])
    made = writer.close()
    if alike(made, found, some):
        return final
    digest = hashlib.sha256(b"".join(made.arrays[name].tobytes() for name in sorted(made.arrays)))
    other = final.with_name(f"{final.name}-{digest.hexdigest()[:8]}")
    if not other.exists():
        log.warning(
            "the data or the sensor give other measurements than those that were kept (%s), though files and "
            "options are the same: all are measured anew",
            final,
        )
    return other


def _about(error: OSError, final: Path) -> bool:
    """Whether it is the store's place that failed, and not a picture that was read for it."""
    if error.filename is None:
        return error.errno in FULL
    place = Path(os.fsdecode(error.filename))
    return place.is_relative_to(final.parent) or final.is_relative_to(place)


def _say_waiting(final: Path, progress: Progress) -> None:
    log.info("another run measures the same data into %s; waiting for it", final)
    progress("waiting for another run that measures the same data", 0, 1)


def _make(
    source: Source, indices: list[int], final: Path, description: dict[str, Any], progress: Progress
) -> Store:
    writer = begin_store(final)
    try:
        fill_store(writer, source, indices, progress)
        return commit_store(writer, final, description)
    except BaseException:
        discard_store(writer)
        raise
