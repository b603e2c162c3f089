"""Several processes of one run: they see what one would see, and none is left hanging."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import Timer

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed

from ambientkit import group, processes, run_folder, shared_count
from ambientkit.errors import InputError, RunError, RunFolderError
from ambientkit.group import Group, part_of, peers
from ambientkit.interfaces import Measured
from ambientkit.meeting import agreed

RECIPE = """
recipe: 1
name: tiny
data: {source: {kind: toy_faces, count: 24}, image_size: [16, 16], holdout: 4}
measurement: {kind: block_patch, size: 6}
further: {measurement: {kind: block_patch, size: 6}, probability: 0.7}
generator: {kind: resunet, width: 2, depth: 2}
discriminator: {kind: dcgan, width: 2, spectral_norm: true}
objective: {kind: hinge, r1: 0.1}
fidelity: [{kind: held_out, weight: 3}, {kind: feature_matching, weight: 2}]
train: {steps: 6, batch_size: 8, checkpoints: {every: 3}}
metrics: [{kind: hidden_psnr}]
callbacks: [{kind: jsonl, every: 1}]
"""


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "AMBIENTKIT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}


def command(out: str, *torchrun: str, verb: tuple[str, ...] = ("run", "tiny.yaml")) -> list[str]:
    several = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        *torchrun,
    ]
    start = several if out != "one" else [sys.executable]
    where = ("--out", out) if verb[0] == "run" else ()
    return [*start, "-m", "ambientkit", "-q", *verb, "--precision", "fp32", *where]


def run_it(folder: Path, out: str, *torchrun: str, **how) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(out, *torchrun, **how),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def terms(folder: Path, out: str) -> list[dict[str, float]]:
    lines = (folder / out / "tiny/0001-seed0/metrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [{key: value for key, value in row.items() if "/" in key} for row in rows]


def weights(folder: Path, out: str) -> dict[str, torch.Tensor]:
    last = folder / out / "tiny/0001-seed0/checkpoints/step-0000006"
    return {
        f"{name}/{key}": value
        for name in ("generator", "discriminator", "average")
        for key, value in load_file(last / f"{name}.safetensors").items()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the same recipe was run by one process and by two."""
    folder = tmp_path_factory.mktemp("distributed")
    (folder / "tiny.yaml").write_text(RECIPE)
    for out in ("one", "two"):
        done = run_it(folder, out)
        assert done.returncode == 0, done.stderr
    return folder


def test_two_processes_play_the_game_of_one(folder):
    one, two = terms(folder, "one"), terms(folder, "two")
    assert len([row for row in one if row]) == 6
    for mine, theirs in zip(one, two, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5)
    for name, value in weights(folder, "one").items():
        torch.testing.assert_close(value, weights(folder, "two")[name], rtol=1e-3, atol=1e-4)


def test_batch_norms_of_two_processes_see_the_whole_batch(folder):
    """With statistics of their own, two processes part from one at the first step."""
    recipe = RECIPE.replace("{kind: resunet, width: 2, depth: 2}", "{kind: glcic, width: 2, norm: batch}")
    recipe = recipe.replace("width: 2, spectral_norm: true", "width: 2, norm: batch").replace(", r1: 0.1", "")
    place = folder / "norms"
    place.mkdir()
    (place / "tiny.yaml").write_text(recipe)
    for out, changes in (("one", ()), ("two", ("train.sync_batch_norm=true",)), ("apart", ())):
        done = run_it(place, out, verb=("run", "tiny.yaml", *changes))
        assert done.returncode == 0, done.stderr
    one, two, apart = (terms(place, out) for out in ("one", "two", "apart"))
    for mine, theirs in zip(one, two, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    assert one[1] != pytest.approx(apart[1], rel=1e-2, abs=1e-3)


def test_one_process_writes_for_all(folder):
    assert [path.name for path in (folder / "two/tiny").iterdir()] == ["0001-seed0"]
    record = run_folder.read_run(folder / "two/tiny/0001-seed0")
    assert (record["status"], record["processes"], record["step"]) == ("finished", 2, 6)


def ended_at_step_four(
    folder: Path, out: str, end: Callable[[int], object], *torchrun: str
) -> tuple[int, str]:
    """The job to whose torchrun `end` is done once step 4 is written down: its exit code, what it said."""
    plain = command(out, *torchrun)
    process = subprocess.Popen(
        plain, cwd=folder, env=environment(folder), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    log = folder / out / "tiny/0001-seed0/metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text("utf-8").count("\n") > 4):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    end(process.pid)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def kill_second(parent: int) -> None:
    """A sudden death for the child whose environment says that its rank is 1."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    environments = {int(child): Path(f"/proc/{child}/environ").read_bytes() for child in children}
    os.kill(next(child for child, own in environments.items() if b"\0RANK=1\0" in own), signal.SIGKILL)


def ask_to_end(parent: int) -> None:
    """What a batch system's script does when the time is up."""
    os.kill(parent, signal.SIGTERM)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_a_killed_process_ends_the_job_and_a_restart_ends_with_the_same_bits(folder):
    code, said = ended_at_step_four(folder, "killed", kill_second)
    assert code != 0
    assert "another process of this run has ended" in said
    assert "ambientkit/trainer.py" not in said  # no traceback of ours beside torchrun's own
    resumed = run_it(folder, "killed", verb=("resume", "killed/tiny/0001-seed0"))
    assert resumed.returncode == 0, resumed.stderr
    wanted = weights(folder, "two")
    assert all(torch.equal(value, wanted[name]) for name, value in weights(folder, "killed").items())


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_a_job_that_is_asked_to_end_keeps_a_checkpoint_and_goes_on(folder):
    code, said = ended_at_step_four(folder, "asked", ask_to_end)
    assert code != 0 and "stopped at step" in said
    run = folder / "asked/tiny/0001-seed0"
    assert run_folder.read_run(run)["status"] == "interrupted"
    resumed = run_it(folder, "asked", verb=("resume", "asked/tiny/0001-seed0"))
    assert resumed.returncode == 0, resumed.stderr
    wanted = weights(folder, "two")
    assert all(torch.equal(value, wanted[name]) for name, value in weights(folder, "asked").items())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_a_job_that_torchrun_restarts_goes_on_with_its_run(folder):
    code, said = ended_at_step_four(folder, "elastic", kill_second, "--max-restarts", "1")
    assert code == 0, said
    wanted = weights(folder, "two")
    assert [path.name for path in (folder / "elastic/tiny").iterdir()] == ["0001-seed0"]
    assert all(torch.equal(value, wanted[name]) for name, value in weights(folder, "elastic").items())


NODE = """
import os, sys
from torch.distributed.run import main
main(["--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "2", "--rdzv-backend", "c10d",
      "--rdzv-endpoint", sys.argv[1], "--local-addr", "127.0.0.1",
      "-m", "ambientkit", "-q", "run", "tiny.yaml", "--precision", "fp32", "--out", "nodes"])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_a_job_on_two_machines_that_is_restarted_goes_on_with_its_run(folder):
    """torchrun tells the machine whose process did not fail of no restart, and gives the job no name."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
    start = [sys.executable, "-c", NODE, endpoint]
    how = {"cwd": folder, "env": environment(folder), "stderr": subprocess.PIPE, "text": True}
    nodes = [subprocess.Popen(start, **how) for _ in range(2)]
    log = folder / "nodes/tiny/0001-seed0/metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (log.exists() and log.read_text("utf-8").count("\n") > 4):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for node in nodes:
        with suppress(StopIteration):  # it is the other's
            kill_second(node.pid)
    for node in nodes:
        _, said = node.communicate(timeout=200)
        assert node.returncode == 0, said
    assert [path.name for path in (folder / "nodes/tiny").iterdir()] == ["0001-seed0"]
    wanted = weights(folder, "two")
    assert all(torch.equal(value, wanted[name]) for name, value in weights(folder, "nodes").items())


def test_each_attempt_agrees_on_a_name_of_its_own_in_the_same_store():
    """Where an earlier one was broken off, its questions are there still."""
    store = distributed.HashStore()
    store.set("asks/1", "of a process that is no more")
    names = []
    for _ in range(2):
        with ThreadPoolExecutor(3) as pool:
            found = pool.map(lambda rank: agreed(store, rank, 3, timedelta(seconds=20)), range(3))
        names.append(set(found))
    assert [len(each) for each in names] == [1, 1] and names[0] != names[1]


def test_who_does_not_come_is_told():
    with pytest.raises(RuntimeError, match="process 1 did not come"):
        agreed(distributed.HashStore(), 0, 2, timedelta(seconds=0.1))


def late(rank: int, meeting: dict[str, str], both: Barrier, answers: Queue) -> None:
    """The first process lets the other wait for longer than numbers may take."""
    os.environ.update(meeting, RANK=str(rank), LOCAL_RANK=str(rank))
    group.PATIENCE = timedelta(seconds=4)
    both.wait(100)  # torch is imported
    joined = group.join(torch.device("cpu"))
    if joined.leads:
        time.sleep(7)
    answers.put(joined.told("measured" if joined.leads else None))
    joined.close()


def test_the_others_wait_for_the_first_one_as_long_as_it_takes():
    """To measure a large data set may take hours."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    context = multiprocessing.get_context("spawn")
    both, answers = context.Barrier(2), context.Queue()
    started = [context.Process(target=late, args=(rank, meeting, both, answers)) for rank in range(2)]
    for process in started:
        process.start()
    assert [answers.get(timeout=100) for _ in started] == ["measured", "measured"]
    for process in started:
        process.join(30)
        assert process.exitcode == 0


def test_a_batch_that_cannot_be_divided_is_refused():
    Group(0, 2).divide(8, 2)
    with pytest.raises(InputError, match="multiple of 6"):
        Group(0, 3).divide(8, 2)


def test_shares_are_the_whole_batch_in_order():
    whole = Measured(torch.arange(6.0), None, {"angle": torch.arange(6)})
    shares = [Group(rank, 3).share(whole) for rank in range(3)]
    assert torch.equal(torch.cat([share.y for share in shares]), whole.y)
    assert torch.equal(torch.cat([share.known["angle"] for share in shares]), whole.known["angle"])
    assert all(share.observed is None for share in shares)
    assert part_of(whole, 0, 1) is whole


def test_alone_nothing_is_exchanged():
    alone, gradient = Group(), torch.ones(2)
    terms = {"a": torch.tensor(1.0)}
    assert alone.average([gradient], terms) is terms
    assert alone.any(7) == 7 and alone.told("this") == "this" and alone.leads
    assert torch.equal(shared_count(torch.tensor(0)), torch.tensor(1))


def test_memory_that_is_not_given_is_no_peer_that_is_gone():
    with pytest.raises(RuntimeError, match="CUDA out of memory"), peers():
        raise RuntimeError("CUDA out of memory. Tried to allocate")


def test_a_peer_that_is_gone_is_told_as_that():
    with pytest.raises(RunError, match=r"another process of this run has ended.*reset by peer"), peers():
        raise RuntimeError("[gloo] connection reset by peer\nand a long trace")


def test_runs_of_a_job_are_found_by_any_of_its_names(tmp_path):
    """Machines have a name each; an earlier version noted the first one's."""
    for number, names in (("0001-seed0", "a"), ("0002-seed0", ["a", "b"]), ("0003-seed0", None)):
        (tmp_path / number).mkdir()
        run_folder.write_json(tmp_path / number / "run.json", {"format": run_folder.FORMAT, "job": names})
    assert [*run_folder.of_job(tmp_path, ["c", "b"])] == [tmp_path / "0002-seed0"]
    assert [*run_folder.of_job(tmp_path, ["a"])] == [tmp_path / "0002-seed0", tmp_path / "0001-seed0"]
    (tmp_path / "0002-seed0/run.json").write_text("{}", "utf-8")
    assert [*run_folder.of_job(tmp_path, ["a"])] == [tmp_path / "0001-seed0"]
    assert [*run_folder.of_job(tmp_path, ["c"]), *run_folder.of_job(tmp_path, [])] == []


def test_jobs_that_torchrun_calls_none_are_told_apart_and_run_one_recipe(engine, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    mine = processes.job()
    assert mine == processes.job() and mine not in ("none", None)
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert processes.job() != mine
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "given")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    folder = engine.run(tiny(), out=tmp_path, device="cpu").folder
    run_folder.update_run(folder, status="interrupted")
    assert engine.run(tiny(), out=tmp_path, device="cpu").folder == folder, "its own"
    run_folder.update_run(folder, status="interrupted")
    assert engine.run(tiny(), out=tmp_path, device="cpu").folder == folder, "it has nothing left to do"
    other = engine.run(tiny(), "train.steps=1", out=tmp_path, device="cpu").folder
    assert other != folder, "another recipe is another run"
    run_folder.update_run(other, status="interrupted")
    for mine, changes in ((folder, ()), (other, ("train.steps=1",))):
        assert engine.run(tiny(), *changes, out=tmp_path, device="cpu").folder == mine, "each is found again"


def test_a_restarted_job_waits_for_its_former_self_to_end(engine, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "given")
    folder = engine.run(tiny(), out=tmp_path, device="cpu").folder
    run_folder.update_run(folder, status="interrupted")
    former = ExitStack()
    former.enter_context(run_folder.occupied(folder))
    with pytest.raises(RunFolderError, match="another process runs there"):
        engine.resume(folder, device="cpu")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    Timer(0.3, former.close).start()
    assert engine.run(tiny(), out=tmp_path, device="cpu").folder == folder


def test_a_start_that_the_system_does_not_tell_is_none():
    assert processes._started(2**30) == ""
