"""Whether a run may be resumed with what is here now; every difference is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ambientkit.errors import RunFolderError
from ambientkit.recipe import Plan


def require_same_plugins(record: Mapping[str, Any], now: Sequence[Mapping[str, str]]) -> None:
    """Raise RunFolderError when a plugin differs from the one that the run was made with."""
    versions = {(plugin["namespace"], plugin["name"]): plugin["version"] for plugin in record["plugins"]}
    lines = []
    for plugin in now:
        then = versions.get((plugin["namespace"], plugin["name"]), plugin["version"])
        if then != plugin["version"]:
            lines.append(f"plugin {plugin['name']}: the run has {then}, here is {plugin['version']}")
    if lines:
        raise RunFolderError(
            "cannot resume: " + "; ".join(lines) + "; install the version that the run was made with"
        )


def require_same_recipe(meta: Mapping[str, Any], plan: Plan) -> None:
    """Raise RunFolderError when the recipe differs from the checkpoint's, with each path."""
    lines = list(differences(meta["recipe"], plan.resolved()))
    if lines:
        raise RunFolderError(
            "cannot resume, the recipe is not the one of the checkpoint: "
            + "; ".join(lines)
            + "; undo the change in resolved.yaml, or start a new run with train.init_from"
        )


def require_same_data(record: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raise RunFolderError when data or networks differ from those that run.json tells of."""
    lines = list(differences({name: record.get(name) for name in facts}, facts))
    if lines:
        raise RunFolderError(
            "cannot resume, the data are not those of the run: "
            + "; ".join(lines)
            + "; bring them back, or start a new run with train.init_from"
        )


def differences(then: Any, now: Any, path: str = "") -> Iterator[str]:
    """`path: then, now` for each leaf that differs."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in sorted({*then, *now}):
            inner = f"{path}.{key}" if path else str(key)
            yield from differences(then.get(key), now.get(key), inner)
    elif then != now:
        yield f"{path} was {then!r}, is {now!r}"
