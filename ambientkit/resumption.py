"""Whether a run may be resumed with what is here now; every difference is named."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ambientkit.errors import RunFolderError
from ambientkit.recipe import Plan

_ALWAYS = (
    *("plugins", "precision", "image_shape", "measured_shape", "known_shapes", "fill", "data"),
    *("total_steps", "labels", "parameters"),
)


def listed_plugins(record: Mapping[str, Any], run: Path) -> dict[str, str]:
    """What to do about each plugin that a run was made with, by namespace; the built-ins are none.

    Raises RunFolderError where run.json does not say.
    """
    missing = [name for name in _ALWAYS if name not in record]
    if missing:
        raise RunFolderError(f"{run / 'run.json'}: lacks {', '.join(missing)}; it is damaged")
    try:
        return {
            each["namespace"]: _how(each["version"], each["source"])
            for each in record["plugins"]
            if each["namespace"] and not each["source"].startswith("built-in")
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise RunFolderError(f"{run / 'run.json'}: its list of plugins is damaged ({error!r})") from error


def _how(version: str, source: str) -> str:
    kind, _, rest = source.partition(" ")
    if kind == "file":
        return f"read {rest}, then give it with --plugin"
    if kind == "object":
        return f"give {rest} to Engine(plugins=[...])"
    return f"pip install {kind}=={version}, or from the folder where it is written"


def require_loaded(run: Path, listed: Mapping[str, str], loaded: Container[str]) -> None:
    """Raise RunFolderError that says which plugins of a run are not here, and how to get them."""
    lines = [f"plugin {name!r}: {how}" for name, how in listed.items() if name not in loaded]
    if lines:
        raise RunFolderError(f"{run}: was made with plugins that are not here: " + "; ".join(lines))


def require_same_plugins(record: Mapping[str, Any], now: Sequence[Mapping[str, str]]) -> None:
    """Raise RunFolderError when a plugin differs from the one that the run was made with."""
    lines = changed_plugins(record, now)
    if lines:
        raise RunFolderError(f"cannot resume: {'; '.join(lines)}; {AS_IT_WAS}")


AS_IT_WAS = "install the version that the run was made with, or give the file as it was"


def changed_plugins(record: Mapping[str, Any], now: Sequence[Mapping[str, str]]) -> list[str]:
    """A line for each plugin that differs from the one that the run was made with; the built-ins are one."""
    versions = {plugin["namespace"]: plugin["version"] for plugin in record["plugins"]}
    codes = {(plugin["namespace"], plugin["name"]): plugin.get("code") for plugin in record["plugins"]}
    lines = []
    for each in now:
        version = versions.get(each["namespace"], "none")
        code = codes.get((each["namespace"], each["name"]))  # earlier runs have none
        if version != each["version"]:
            lines.append(f"{_called(each)}: the run has {version}, here is {each['version']}")
        elif code is not None and code != each.get("code"):
            lines.append(f"{_called(each)}: its code was edited since, and its version is still {version}")
    return list(dict.fromkeys(lines))


def _called(plugin: Mapping[str, str]) -> str:
    return f"plugin {plugin['name']}" if plugin["namespace"] else "ambientkit"


def require_same_code(run: Path, record: Mapping[str, Any], now: Sequence[Mapping[str, str]]) -> list[str]:
    """What to say of figures taken with other versions of plugins than the run was made with.

    Raises RunFolderError where the code of a single file is another: which sensor or network that now is,
    nobody knows.
    """
    lines = changed_plugins(record, now)
    edited = [line for line in lines if "sha256:" in line]
    if edited:
        raise RunFolderError(f"{run}: {'; '.join(edited)}; {AS_IT_WAS}")
    return lines


def require_same_recipe(recipe: Mapping[str, Any], plan: Plan) -> None:
    """Raise RunFolderError when the plan differs from the checkpoint's `recipe`, with each path."""
    lines = list(differences(recipe, plan.resolved()))
    if lines:
        raise RunFolderError(
            "cannot resume, the recipe is not the one of the checkpoint: "
            + "; ".join(lines)
            + "; undo the change in resolved.yaml, or start a new run with train.init_from"
        )


def require_same_data(record: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raise RunFolderError when data or networks differ from those that run.json tells of."""
    told = {name: value for name, value in facts.items() if name in record}  # earlier versions told less
    lines = list(differences({name: record[name] for name in told}, told))
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
