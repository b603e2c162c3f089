"""Full and read-only disks, no memory, no home, odd names: each has a defined end and a plain message."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from pathlib import Path

import engine_fakes as fakes
import pytest
import torch
from kill_lab import Ended, Lab, Place
from PIL import Image

from ambientkit import mishaps
from ambientkit.assembly import open_data, prepare_data
from ambientkit.data import Source
from ambientkit.errors import RunError

# What a child does before it runs the command line ----------------------------------------------

AT_STEP_4 = """
from ambientkit import trainer
plain, calls = trainer.Trainer.train_step, []
def train_step(self):
    calls.append(1)
    if len(calls) == 4:
        mishap(self)
    return plain(self)
trainer.Trainer.train_step = train_step
"""

SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"

FULL_DISK = """
import errno, os
plain, calls = os.fsync, []
def fsync(descriptor):
    calls.append(1)
    if len(calls) >= {nth}:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return plain(descriptor)
os.fsync = fsync
"""

# Root may write anywhere; without its capabilities it is held to the permissions like anybody.
NO_PRIVILEGES = """
import ctypes
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None).capset(header, data) == 0
"""

NO_MEMORY = {
    "python": AT_STEP_4 + "def mishap(self): raise MemoryError",
    "cpu": AT_STEP_4 + "import torch\ndef mishap(self): torch.empty(2**60, dtype=torch.uint8)",
    "gpu": AT_STEP_4
    + "import torch\ndef mishap(self): raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate')",
}

NO_HOME = """
import os, pwd
for name in ("HOME", "XDG_CACHE_HOME", "AMBIENTKIT_CACHE"):
    os.environ.pop(name, None)
def nobody(uid):
    raise KeyError(uid)
pwd.getpwuid = nobody
"""

BACKWARDS = """
import time
clock = [2e9]
def backwards():
    clock[0] -= 3600
    return clock[0]
time.time = backwards
"""

REMOVED = AT_STEP_4 + "import shutil\ndef mishap(self): shutil.rmtree(self.folder)"


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Place:
    """A run to which nothing happened."""
    place = Place(lab, "unharmed")
    assert place.go().code == 0
    return place


@pytest.fixture
def place(lab: Lab, request: pytest.FixtureRequest):
    """A place of this test's own."""
    place = Place(lab, request.node.name.replace("/", "-"))
    yield place
    shutil.rmtree(lab.root / place.name, ignore_errors=True)


def plain(ended: Ended, code: int, *said: str) -> bool:
    """Whether it ended as it should, and not as a bug does."""
    assert ended.code == code, ended.output
    assert all(each in ended.output for each in said), ended.output
    return not any(sign in ended.output for sign in ("Traceback", "This is a bug", "Logging error"))


def goes_on(place: Place, whole: Place) -> bool:
    """Whether the run can be resumed (or begun, where nothing is left) and ends with the bits of `whole`."""
    ended = place.go()
    assert ended.code == 0, ended.output
    strays = [path for path in place.runs.parents[1].rglob(".*.*") if path.name != ".lock"]
    assert strays == []
    return fakes.same(place.weights(), whole.weights())


# Disks ------------------------------------------------------------------------------------------


def test_a_disk_without_room_for_the_data_says_so_before_the_run(place, whole):
    ended = place.go(setup=SMALL_FILES.format(size=3000))
    assert plain(ended, 2, f"{place.cache}/stores: cannot keep measured data there", "AMBIENTKIT_CACHE")
    assert list((place.cache / "stores").iterdir()) == [], "no room is lost to what was half written"
    assert place.run is None
    assert goes_on(place, whole)


def test_a_disk_without_room_for_a_checkpoint_ends_the_run_which_can_be_resumed(place, whole):
    shutil.copytree(whole.cache, place.cache)
    ended = place.go(setup=SMALL_FILES.format(size=6000))
    assert plain(
        ended, 1, "The run failed", "checkpoint could not be written", "go on with: ambientkit resume"
    )
    record = json.loads((place.run / "run.json").read_text("utf-8"))
    assert record["status"] == "failed" and "could not be written" in record["error"]
    assert goes_on(place, whole)


@pytest.mark.parametrize("nth", [1, 9, 30, 60])
def test_a_disk_that_is_full_at_any_moment_costs_no_more_than_the_last_checkpoint(place, whole, nth):
    ended = place.go(setup=FULL_DISK.format(nth=nth))
    assert plain(ended, 2 if nth < 30 else 1, "No space left on device")
    assert goes_on(place, whole)


def test_the_disk_gives_all_the_room_of_a_store_before_it_is_filled(tmp_path):
    from ambientkit import Measured
    from ambientkit.store import begin_store

    writer = begin_store(tmp_path / "store")
    writer.open(Measured(torch.zeros(1, 1, 64, 64)), 256, eight_bits=False)
    status = (writer.folder / "y.npy").stat()
    assert status.st_size > 2**22
    assert status.st_blocks * 512 >= status.st_size, "a page without a place on a full disk kills the process"


def read_only(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o555)
    return folder


def test_a_read_only_folder_for_runs_is_refused(place, whole):
    read_only(place.runs)
    ended = place.go(setup=NO_PRIVILEGES, AMBIENTKIT_CACHE=str(whole.cache))
    assert plain(ended, 2, "cannot make a run folder there (Permission denied); give another --out")


def test_a_read_only_run_folder_is_not_resumed(place, whole):
    shutil.copytree(whole.runs, place.runs)
    read_only(place.run)
    ended = place.go(setup=NO_PRIVILEGES)
    assert plain(ended, 1, "Permission denied", "may not be written to")


def test_a_read_only_cache_serves_what_it_has_and_takes_no_more(place, whole):
    shutil.copytree(whole.cache, place.cache)
    read_only(place.cache / "stores")
    assert plain(place.go(setup=NO_PRIVILEGES), 0)
    ended = place.cli("run", "tiny.yaml", "data.seed=1", "--out", place.runs.parent, setup=NO_PRIVILEGES)
    assert plain(ended, 2, "cannot keep measured data there (Permission denied)", "AMBIENTKIT_CACHE")


@pytest.mark.parametrize("callbacks", ["[]", "[{kind: jsonl, every: 1}]"], ids=["checkpoint", "callback"])
def test_a_run_folder_that_is_removed_ends_the_run_and_stays_removed(place, callbacks):
    """Whoever writes next: the checkpoint, which makes its own folders, or a callback."""
    ended = place.go(f"callbacks={callbacks}", setup=REMOVED)
    assert plain(ended, 1, "the run folder is gone", "begin a new run")
    assert place.run is None


# Memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NO_MEMORY)
def test_no_memory_says_what_to_lower_and_the_run_can_go_on(place, whole, kind):
    ended = place.go(setup=NO_MEMORY[kind])
    assert plain(ended, 1, "out of memory", "lower train.batch_size", "train.accumulate", "train.init_from")
    assert json.loads((place.run / "run.json").read_text("utf-8"))["error"].startswith("out of memory")
    assert goes_on(place, whole)


def test_no_memory_for_two_pictures_is_no_fault_of_a_plugin(engine, tiny, tmp_path, monkeypatch):
    def full(*arguments):
        torch.empty(2**60, dtype=torch.uint8)

    monkeypatch.setattr("ambientkit.machine.Machine.run", full)
    with pytest.raises(RunError, match=r"out of memory .*lower train\.batch_size"):
        engine.run(tiny(), out=tmp_path)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), ValueError("x"), OSError(errno.EIO, "bad disk")]
)
def test_other_errors_are_not_explained_away(error):
    assert mishaps.explained(error) is None
    with pytest.raises(type(error)), mishaps.told():
        raise error


# Two at once ------------------------------------------------------------------------------------


def test_two_runs_that_want_the_same_data_measure_them_once(engine, tmp_path, monkeypatch):
    plan = engine.load(fakes.numbers({"kind": "fakes/noisy"}, composite=False, discriminator=None))
    measured, said, found = [], [], []
    measure = Source.measure

    def slowly(self, indices):
        measured.append(len(indices))
        time.sleep(0.5)
        return measure(self, indices)

    monkeypatch.setattr(Source, "measure", slowly)
    note = lambda what, done, total: said.append(what)  # noqa: E731
    work = lambda: found.append(prepare_data(plan, tmp_path / "shared", note)[0].samples)  # noqa: E731
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert measured == [32]
    assert said.count("waiting for another run that measures the same data") == 1
    one, other = (samples.store.arrays["y"] for samples in found)
    assert (one == other).all()
    assert len(list((tmp_path / "shared" / "stores").iterdir())) == 1, "no lock is left"
    assert open_data(plan).training


def test_a_run_folder_has_one_run_at_a_time(engine, tmp_path):
    from ambientkit import hookimpl
    from ambientkit.errors import RunFolderError

    refused = []

    class Again:
        @hookimpl
        def on_checkpoint(self, run):
            with pytest.raises(RunFolderError, match="another process runs there; wait for its end") as told:
                engine.resume(run.folder)
            refused.append(told.value.exit_code)

    result = engine.run(fakes.fidelity_only(), out=tmp_path, callbacks=[Again()])
    assert refused == [2]
    assert engine.resume(result.folder).step == 2, "and afterwards it is free"


# Clocks, homes and names ------------------------------------------------------------------------


def test_a_clock_that_goes_backwards_changes_nothing(place, whole):
    assert plain(place.go(setup=BACKWARDS), 0)
    assert goes_on(place, whole)
    times = [
        json.loads(line)["time"] for line in (place.run / "metrics.jsonl").read_text("utf-8").splitlines()
    ]
    assert times == sorted(times, reverse=True) and len(set(times)) > 3, "the clock did go backwards"


def test_without_a_home_the_cache_must_be_named(place):
    ended = place.go(setup=NO_HOME)
    assert plain(ended, 2, "you have no home folder here", "set AMBIENTKIT_CACHE")


@pytest.mark.parametrize("name", ["with spaces", "🙂 emoji ü", os.fsdecode(b"caf\xe9")], ids=ascii)
def test_folders_of_any_name_serve(lab, whole, name):
    place = Place(lab, name)
    ended = place.go(setup=AT_STEP_4 + "import os\ndef mishap(self): os.kill(os.getpid(), 15)")
    assert plain(ended, 143, "stopped at step 4")
    assert goes_on(place, whole)
    assert plain(place.evaluate(), 0, "hidden_psnr")


def test_pictures_of_any_name_serve(place, lab):
    pictures = lab.root / place.name / "pictures"
    pictures.mkdir(parents=True)
    for number in range(8):
        path = pictures / os.fsdecode(b"caf\xe9 \xf0\x9f\x99\x82 %d.png" % number)
        Image.new("RGB", (16, 16), (20 * number, 90, 200 - 20 * number)).save(path)
    (pictures / os.fsdecode(b"torn\xff.png")).write_bytes(b"no picture")
    source = f"data.source={{kind: image_folder, root: '{pictures}', on_bad_image: skip}}"
    ended = place.go(source, "data.holdout=2")
    assert plain(ended, 0, "1 picture could not be read, left out")
    skipped = json.loads((place.run / "run.json").read_text("utf-8"))["data"]["skipped"]
    assert [os.fsencode(name.split(":")[0]) for name in skipped] == [b"torn\xff.png"]
    assert plain(place.go(), 0)
    picture = next(iter(sorted(pictures.iterdir())))
    out = lab.root / place.name / "completed"
    ended = place.cli(
        "complete", place.run, picture, "--key-colour", "#ffffff", "--out", out, "--device", "cpu"
    )
    assert plain(ended, 0)
    assert len(list(out.iterdir())) == 2
