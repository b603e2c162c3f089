"""Checkpoints: whole or absent, verified when they are read, the right ones kept."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import engine_fakes as fakes
import pytest
import torch
from leavings import DEAD, left_by
from torch import nn

from ambientkit import checkpoints
from ambientkit.errors import RunError, RunFolderError

pytestmark = pytest.mark.smoke


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def write(run: Path, step: int, network: nn.Module) -> Path:
    return checkpoints.write(run, step, {"generator": network}, {"step": step}, {"name": "x"})


def test_what_is_written_is_read(tmp_path, network):
    folder = write(tmp_path, 7, network)
    assert folder == tmp_path / "checkpoints" / "step-0000007"
    assert checkpoints.find(tmp_path) == folder
    assert checkpoints.find(tmp_path, "step-0000007") == folder
    assert checkpoints.read_state(folder) == {"step": 7}
    assert checkpoints.read_meta(folder)["recipe"] == {"name": "x"}
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    checkpoints.load_network(folder, "generator", other)
    assert fakes.same(fakes.weights(network), fakes.weights(other))


def test_channels_last_weights_keep_their_values_and_their_layout(tmp_path):
    network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    folder = write(tmp_path, 1, network)
    other = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    checkpoints.load_network(folder, "generator", other)
    assert torch.equal(network.weight, other.weight)
    assert other.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["generator.safetensors", "state.pt", "meta.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_is_found_and_the_newest_sound_one_named(tmp_path, network, name, damage):
    for step in (1, 2, 3):
        write(tmp_path, step, network)
    file = tmp_path / "checkpoints" / "step-0000003" / name
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[len(data) // 2 if name != "meta.json" else 0] ^= 1
    file.write_bytes(data[: len(data) // 2] if damage == "cut" else data)
    if damage == "remove":
        file.unlink()
    with pytest.raises(RunFolderError, match=r"step-0000003: is damaged.*newest sound one is step-0000002"):
        checkpoints.find(tmp_path)


def test_the_last_sound_one_is_missed(tmp_path, network):
    with pytest.raises(
        RunFolderError, match=r"there is no such checkpoint; there is no other; remove the folder"
    ):
        checkpoints.find(tmp_path)
    folder = write(tmp_path, 1, network)
    shutil.rmtree(folder)
    with pytest.raises(RunFolderError, match=r"there is no such checkpoint"):
        checkpoints.find(tmp_path)


def test_another_format_is_refused(tmp_path, network):
    folder = write(tmp_path, 1, network)
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    (folder / "meta.json").write_text(json.dumps({**meta, "format": 99}), "utf-8")
    with pytest.raises(RunFolderError, match=r"has format 99; this version reads format 1"):
        checkpoints.find(tmp_path)


def test_state_is_read_without_running_code(tmp_path, network):
    folder = write(tmp_path, 1, network)

    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    torch.save({"step": Evil()}, folder / "state.pt")
    with pytest.raises(RunFolderError, match=r"state\.pt: .* could be code; nothing in it was run"):
        checkpoints.read_state(folder)


def test_a_network_that_does_not_fit_is_refused_with_every_difference(tmp_path, network):
    folder = write(tmp_path, 1, network)
    other = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Linear(1, 1))
    before = fakes.weights(other)
    with pytest.raises(RunFolderError) as refused:
        checkpoints.load_network(folder, "generator", other)
    for part in (
        "2.weight is missing",
        "0.bias is unknown",
        "0.weight has shape (2, 1, 3, 3), expected (3, 1, 3, 3)",
    ):
        assert part in str(refused.value)
    assert fakes.same(before, fakes.weights(other)), "it is loaded whole or not at all"
    with pytest.raises(RunFolderError, match=r"discriminator\.safetensors: cannot be read"):
        checkpoints.load_network(folder, "discriminator", other)


def test_the_last_few_and_the_pointed_are_kept_and_what_is_torn_is_swept(tmp_path, network):
    for step in (1, 2, 3, 4, 5):
        write(tmp_path, step, network)
        if step == 2:
            checkpoints.point(tmp_path, "best", 2)
    torn = tmp_path / "checkpoints" / ".step-0000006.12345"
    torn.mkdir()
    (tmp_path / "checkpoints" / ".latest.12345").write_bytes(b"\xff")
    checkpoints.prune(tmp_path, keep=2)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("*step-*"))
    assert kept == ["step-0000002", "step-0000004", "step-0000005"]
    assert checkpoints.find(tmp_path, "best").name == "step-0000002"
    assert checkpoints.find(tmp_path).name == "step-0000005"


def test_steps_are_ordered_as_numbers_beyond_their_seven_digits(tmp_path, network):
    for step in (9_999_000, 10_000_000, 9_999_500):
        checkpoints.write(tmp_path, step, {"generator": network}, {}, {})
    checkpoints.prune(tmp_path, 2)
    names = {path.name for path in (tmp_path / "checkpoints").glob("step-*")}
    assert names == {"step-10000000", "step-9999500"}


def test_a_pointer_never_leads_out_of_its_run(tmp_path, network):
    """Somebody else's run folder must not make us read what lies elsewhere."""
    for name in ("elsewhere", "run"):
        (tmp_path / name).mkdir()
    write(tmp_path / "elsewhere", 1, network)
    write(tmp_path / "run", 2, network)
    for text in (
        "../../elsewhere/checkpoints/step-0000001",
        str(tmp_path / "elsewhere/checkpoints/step-0000001"),
    ):
        (tmp_path / "run/checkpoints/latest").write_text(text)
        with pytest.raises(
            RunFolderError, match=r"run/checkpoints/step-0000001: there is no such checkpoint"
        ):
            checkpoints.find(tmp_path / "run")


def test_a_crash_while_writing_leaves_the_previous_one(tmp_path, network, monkeypatch):
    write(tmp_path, 1, network)
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(RunError, match=r"step-0000002: .*disk full.*go on with: ambientkit resume"):
        write(tmp_path, 2, network)
    assert checkpoints.find(tmp_path).name == "step-0000001"
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["latest", "step-0000001"]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says which file a descriptor is")
def test_files_reach_the_disk_before_their_folder_is_renamed_and_the_pointer_comes_last(
    tmp_path, network, monkeypatch
):
    write(tmp_path, 1, network)
    done: list[str] = []
    fsync, rename, replace = os.fsync, Path.rename, Path.replace

    def name(path: Path) -> str:
        return re.sub(r"^\.|\.\d+-[-0-9a-f]+$", "", path.name)

    def opened(descriptor: int) -> Path:
        return Path(f"/proc/self/fd/{descriptor}").readlink()

    monkeypatch.setattr("os.fsync", lambda d: done.append(f"flush {name(opened(d))}") or fsync(d))
    monkeypatch.setattr(Path, "rename", lambda a, b: done.append(f"rename {name(b)}") or rename(a, b))
    monkeypatch.setattr(Path, "replace", lambda a, b: done.append(f"rename {name(b)}") or replace(a, b))
    write(tmp_path, 2, network)
    files = ["generator.safetensors", "state.pt", "meta.json"]
    inside = [
        f"{do} {what}"
        for file in files
        for do, what in zip(("flush", "rename", "flush"), (file, file, "step-0000002"), strict=True)
    ]
    assert done == [
        *inside,
        "flush step-0000002",
        "rename step-0000002",
        "flush checkpoints",
        "flush latest",
        "rename latest",
        "flush checkpoints",
    ]


def test_a_kill_between_rename_and_pointer_leaves_the_checkpoint_before_or_the_first(
    tmp_path, network, monkeypatch
):
    monkeypatch.setattr(checkpoints, "point", lambda *arguments: None)
    write(tmp_path, 3, network)
    assert checkpoints.begun(tmp_path)
    assert checkpoints.find(tmp_path).name == "step-0000003", "there was no pointer yet"
    monkeypatch.undo()
    checkpoints.point(tmp_path, "latest", 3)
    monkeypatch.setattr(checkpoints, "point", lambda *arguments: None)
    write(tmp_path, 4, network)
    assert checkpoints.find(tmp_path).name == "step-0000003"


@pytest.mark.parametrize("sound", [True, False])
def test_a_kill_while_a_checkpoint_is_replaced_loses_neither(tmp_path, network, sound):
    """The old one lies aside, the new one is not yet in its place."""
    folder = write(tmp_path, 1, network)
    new = left_by(DEAD, folder)
    shutil.copytree(folder, new)
    (new / "is_new").touch()
    if not sound:
        (new / "state.pt").write_bytes(b"torn")
    folder.rename(left_by(DEAD, folder.with_name("step-0000001.old")))
    assert not folder.exists()
    checkpoints.tidy(tmp_path)
    assert checkpoints.find(tmp_path) == folder
    assert (folder / "is_new").exists() == sound
    assert sorted(path.name for path in folder.parent.iterdir()) == ["latest", "step-0000001"]


def test_what_the_living_write_is_not_tidied_away(tmp_path, network):
    write(tmp_path, 1, network)
    living = left_by(os.getppid(), tmp_path / "checkpoints/latest")
    living.touch()
    left_by(DEAD, tmp_path / "checkpoints/latest").touch()
    left_by(DEAD, tmp_path / "checkpoints/gone-step-0000000").mkdir()
    checkpoints.tidy(tmp_path)
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"latest", "step-0000001", living.name}


def test_the_weights_to_use_are_the_most_finished_ones(tmp_path, network):
    folder = checkpoints.write(tmp_path, 1, dict.fromkeys(("generator", "average"), network), {}, {})
    assert checkpoints.inference_weights(folder) == "average"
    folder = checkpoints.write(
        tmp_path, 2, dict.fromkeys(("generator", "average", "inference"), network), {}, {}
    )
    assert checkpoints.inference_weights(folder) == "inference"
    folder = checkpoints.write(tmp_path, 3, {"discriminator": network}, {}, {})
    with pytest.raises(RunFolderError, match="holds no generator"):
        checkpoints.inference_weights(folder)
