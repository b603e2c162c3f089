"""Checkpoints: weights as safetensors, the rest loaded with `weights_only`, each file's checksum beside it.

Written aside, flushed and renamed: a checkpoint is whole or absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ambientkit.errors import RunFolderError
from ambientkit.run_folder import write_text

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
    """Write the checkpoint of `step` and point `latest` at it."""
    final = folder_of(run, step)
    aside = final.with_name(f".{final.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, network in networks.items():
        save_file(_weights(network), aside / f"{name}.safetensors")
    torch.save(dict(state), aside / "state.pt")
    sums = {path.name: _checksum(path) for path in sorted(aside.iterdir())}
    meta = {"format": FORMAT, "step": step, "sha256": sums, "recipe": recipe}
    write_text(aside / "meta.json", json.dumps(meta, indent=1))
    _flush(aside)
    shutil.rmtree(final, ignore_errors=True)
    aside.rename(final)
    point(run, "latest", step)
    return final


def point(run: Path, name: str, step: int) -> None:
    """Let `checkpoints/NAME` name the checkpoint of a step."""
    write_text(run / "checkpoints" / name, folder_of(run, step).name + "\n")


def prune(run: Path, keep: int) -> None:
    """Remove all but the last `keep` checkpoints and those that a pointer names, and what is half-written."""
    root = run / "checkpoints"
    pointers = [path for path in root.iterdir() if path.is_file() and not path.name.startswith(".")]
    pointed = {path.read_text("utf-8").strip() for path in pointers}
    for old in sorted(root.glob("step-*"))[:-keep]:
        if old.name not in pointed:
            shutil.rmtree(old)
    for torn in root.glob(".step-*"):  # a run that was killed while it wrote
        shutil.rmtree(torn, ignore_errors=True)


def find(run: Path, name: str = "latest") -> Path:
    """The checkpoint that `latest`, `best` or its own name means, its files verified.

    Raises RunFolderError when it is missing or damaged, naming the newest sound one.
    """
    root = run / "checkpoints"
    pointer = root / name
    folder = root / pointer.read_text("utf-8").strip() if pointer.is_file() else pointer
    reason = fault(folder)
    if reason is None:
        return folder
    sound = [
        path.name
        for path in sorted(root.glob("step-*"), reverse=True)
        if path != folder and fault(path) is None
    ]
    remedy = (
        f"; the newest sound one is {sound[0]}: name it with --checkpoint" if sound else "; there is no other"
    )
    raise RunFolderError(f"{folder}: {reason}{remedy}")


def fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint, None when all of it is there and unchanged."""
    if not folder.is_dir():
        return "there is no such checkpoint"
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
        if meta["format"] != FORMAT:
            return f"has format {meta['format']!r}; this version reads format {FORMAT}"
        bad = [name for name, checksum in meta["sha256"].items() if _checksum(folder / name) != checksum]
    except (OSError, ValueError, KeyError, TypeError) as error:
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
        weights = load_file(path)
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


def _flush(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
