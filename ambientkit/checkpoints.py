"""Checkpoints: weights as safetensors, the rest loaded with `weights_only`, each file's checksum beside it.

Written aside, flushed and renamed: a checkpoint is whole or absent. The pointer `latest` follows when it is
there.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ambientkit.durable import aside_of, put, remove, sweep, write_bytes, write_text
from ambientkit.errors import RunError, RunFolderError
from ambientkit.run_folder import read_run

FORMAT = 1
INFERENCE_ORDER = ("inference", "average", "generator")


def folder_of(run: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return run / "checkpoints" / f"step-{step:07d}"


def write(
    run: Path,
    step: int,
    networks: Mapping[str, nn.Module],
    state: Mapping[str, Any],
    recipe: Mapping[str, Any],
) -> Path:
    """Write the checkpoint of `step` and point `latest` at it.

    Raises RunError where the disk does not take it; those before it are then as they were.
    """
    final = folder_of(run, step)
    aside = aside_of(final)
    try:
        final.parent.mkdir(exist_ok=True)  # not its parents: a run folder that is gone stays gone
        aside.mkdir()
        _fill(aside, networks, {"step": step, "recipe": recipe}, state)
        put(aside, final)
        point(run, "latest", step)
    except OSError as error:
        remove(aside)
        raise RunError(
            f"{final}: the checkpoint could not be written ({error.strerror or error}); those before it are "
            f"whole: make room or mend the disk, then go on with: {resume_command(run)}"
        ) from error
    return final


def resume_command(run: Path) -> str:
    """What to type to go on with a run, with the files of its plugins."""
    files: list[str] = []
    with suppress(RunFolderError, TypeError, KeyError, AttributeError):  # of a damaged run.json, say no more
        kinds = [plugin["source"].partition(" ") for plugin in read_run(run)["plugins"]]
        files = [f"--plugin {shlex.quote(rest)}" for kind, _, rest in kinds if kind == "file"]
    return " ".join(["ambientkit resume", shlex.quote(str(run)), *files])


def _fill(
    aside: Path, networks: Mapping[str, nn.Module], meta: Mapping[str, Any], state: Mapping[str, Any]
) -> None:
    """Every file of a checkpoint, the list of checksums last. Each is flushed."""
    for name, network in networks.items():
        write_bytes(aside / f"{name}.safetensors", save(_weights(network)))
    buffer = io.BytesIO()  # torch would tell of a full disk by the place in its own code
    torch.save(dict(state), buffer)
    write_bytes(aside / "state.pt", buffer.getvalue())
    sums = {path.name: _checksum(path) for path in sorted(aside.iterdir())}
    write_text(aside / "meta.json", json.dumps({"format": FORMAT, **meta, "sha256": sums}, indent=1))


def point(run: Path, name: str, step: int) -> None:
    """Let `checkpoints/NAME` name the checkpoint of a step."""
    write_text(run / "checkpoints" / name, folder_of(run, step).name + "\n")


def prune(run: Path, keep: int) -> None:
    """Remove all but the last `keep` checkpoints and those that a pointer names, and what is half-written."""
    root = run / "checkpoints"
    pointers = [path for path in root.iterdir() if path.is_file() and not path.name.startswith(".")]
    pointed = {path.read_text("utf-8").strip() for path in pointers}
    for old in _written(root)[:-keep]:
        if old.name not in pointed:
            _discard(old)
    for torn in root.glob(".step-*"):  # a run that was killed while it wrote
        remove(torn)


def _written(root: Path) -> list[Path]:
    """Checkpoints in the order of their steps, which have seven digits or more."""
    return sorted(root.glob("step-*"), key=lambda path: (len(path.name), path.name))


def _discard(folder: Path) -> None:
    """Remove a checkpoint; a kill meanwhile leaves no half of it under its name."""
    gone = aside_of(folder.with_name(f"gone-{folder.name}"))
    folder.rename(gone)
    remove(gone)


def tidy(run: Path) -> None:
    """After a kill: a whole checkpoint whose place is empty is put there, all else that lies aside goes."""
    root = run / "checkpoints"
    for aside in sorted(root.glob(".step-*")):  # digits before letters: the new one before the old
        final = root / aside.name.split(".")[1]
        if not final.exists() and fault(aside) is None:
            aside.rename(final)
    sweep(root)


def begun(run: Path) -> bool:
    """Whether a run has come to its first checkpoint, sound or not."""
    root = run / "checkpoints"
    return (root / "latest").exists() or any(root.glob("step-*"))


def find(run: Path, name: str | int = "latest") -> Path:
    """The checkpoint that `latest`, `best`, its own name or its step means, its files verified.

    Raises RunFolderError when it is missing or damaged, naming the newest sound one.
    """
    if not isinstance(name, str | int) or (isinstance(name, str) and not _is_name(name)):
        raise RunFolderError(f"{name!r} is no checkpoint's name; give latest, best, or such as step-0000500")
    folder = folder_of(run, name) if isinstance(name, int) else _named(run / "checkpoints", name)
    reason = fault(folder)
    if reason is None:
        return folder
    raise RunFolderError(f"{folder}: {reason}; {_instead(folder)}")


def _is_name(text: str) -> bool:
    """Whether it names something in a folder, and never another place."""
    return bool(text.strip(".")) and PurePath(text).name == text


def _named(root: Path, name: str) -> Path:
    """What a name means; of a run that was killed before its first pointer, `latest` is the last there is."""
    pointer = root / name
    if pointer.is_file():
        return root / PurePath(pointer.read_text("utf-8", "replace").strip()).name  # never outside the run
    written = _written(root)
    return written[-1] if name == "latest" and written else pointer


def _instead(folder: Path) -> str:
    """What there is in place of a checkpoint that cannot be used."""
    others = reversed(_written(folder.parent))
    sound = [path.name for path in others if path != folder and fault(path) is None]
    if sound:
        return f"the newest sound one is {sound[0]}: name it with --checkpoint"
    return f"there is no other; remove the folder {folder.parent}, and resume begins with step 0"


def fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint, None when all of it is there and unchanged."""
    if not folder.is_dir():
        return "there is no such checkpoint"
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
        if meta["format"] != FORMAT:
            return f"has format {meta['format']!r}; this version reads format {FORMAT}"
        bad = [name for name, checksum in meta["sha256"].items() if _checksum(folder / name) != checksum]
    except (AttributeError, OSError, ValueError, KeyError, TypeError) as error:
        return f"is damaged ({error})"
    return f"is damaged: {', '.join(bad)} changed since it was written" if bad else None


def read_meta(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of itself: step, checksums and the recipe."""
    data: dict[str, Any] = json.loads((folder / "meta.json").read_text("utf-8"))
    return data


def read_state(folder: Path) -> dict[str, Any]:
    """Step, optimisers and what else is no network. Raises RunFolderError; nothing in it is executed."""
    try:
        state: dict[str, Any] = torch.load(folder / "state.pt", weights_only=True, map_location="cpu")
    except Exception as error:  # damaged bytes make the reader raise nearly anything
        why = "is damaged, or holds more than plain values, which could be code; nothing in it was run"
        raise RunFolderError(f"{folder / 'state.pt'}: {why}") from error
    return state


def load_network(folder: Path, name: str, network: nn.Module) -> None:
    """Load weights into `network`; raises RunFolderError with every difference listed."""
    path = folder / f"{name}.safetensors"
    try:
        weights = load(path.read_bytes())  # by its bytes: the library opens no path that is not UTF-8
    except (OSError, SafetensorError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error})") from error
    differences = _differences(network.state_dict(), weights)
    if differences:
        raise RunFolderError(f"{path}: does not fit this {name}: " + "; ".join(differences))
    network.load_state_dict(weights)


def inference_weights(folder: Path) -> str:
    """Name of the weights to use a trained generator with: re-estimated, averaged, or as trained."""
    for name in INFERENCE_ORDER:
        if (folder / f"{name}.safetensors").is_file():
            return name
    raise RunFolderError(f"{folder}: holds no generator")


def _differences(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    lines = [f"{name} is missing" for name in mine if name not in theirs]
    lines += [f"{name} is unknown" for name in theirs if name not in mine]
    lines += [
        f"{name} has shape {tuple(theirs[name].shape)}, expected {tuple(value.shape)}"
        for name, value in mine.items()
        if name in theirs and theirs[name].shape != value.shape
    ]
    return lines


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
