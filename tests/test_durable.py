"""Files that are whole or absent, leavings that are swept, and locks that end with their holder."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from leavings import DEAD, ELSEWHERE, left_by

from ambientkit import durable
from ambientkit.durable import HeldElsewhereError, aside_of, lock, sweep, write_bytes, write_text

HOLDER = """
import sys, time
from pathlib import Path
from ambientkit.durable import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_what_cannot_be_written_leaves_what_was_there_and_nothing_beside_it(tmp_path, monkeypatch):
    file = tmp_path / "a"
    write_bytes(file, b"old")
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        write_bytes(file, b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_names_that_are_no_unicode_are_written_as_escapes(tmp_path):
    write_text(tmp_path / "a.json", '{"skipped": "caf\udce9 \u00fc"}')
    assert (tmp_path / "a.json").read_text("utf-8") == '{"skipped": "caf\\udce9 \u00fc"}'


def test_leavings_of_the_dead_are_swept_and_all_else_stays(tmp_path):
    living = left_by(os.getppid(), tmp_path / "living").name
    stay = [".hidden", "a.1", left_by(DEAD, tmp_path / "b").name[1:], living, ".x.part", ".lock"]
    for name in stay:
        (tmp_path / name).touch()
    left_by(DEAD, tmp_path / "file").touch()
    folder = left_by(DEAD, tmp_path / "folder")
    folder.mkdir()
    (folder / "full").touch()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)


def test_what_lies_aside_is_named_after_its_place_and_is_another_at_each_call(tmp_path):
    """Two threads may write the same."""
    first, second = aside_of(tmp_path / "a"), aside_of(tmp_path / "a")
    assert first != second and all(path.name.startswith(f".a.{os.getpid()}-") for path in (first, second))


@pytest.mark.parametrize(("hours", "stays"), [(23, True), (25, False)])
def test_what_another_machine_writes_is_left_alone_for_a_day_after_the_last_write(tmp_path, hours, stays):
    """Numbers of processes there say nothing here; on a shared disk the writer may well be alive."""
    folder = left_by(DEAD, tmp_path / "new", ELSEWHERE)
    folder.mkdir()
    (folder / "y.npy").touch()
    long_ago, last = time.time() - 100 * 3600, time.time() - hours * 3600
    os.utime(folder / "y.npy", (last, last))
    os.utime(folder, (long_ago, long_ago))
    sweep(tmp_path)
    assert folder.exists() == stays


def test_what_an_earlier_process_of_our_own_number_left_is_swept(tmp_path):
    """In a container every first process has the number 1."""
    left = left_by(os.getpid(), tmp_path / "new")
    left.mkdir()
    mine = durable.aside_of(tmp_path / "other")
    mine.write_text("")
    durable.sweep(tmp_path)
    assert mine.exists() and not left.exists()


def test_a_lock_is_held_once_and_leaves_no_file(tmp_path):
    path = tmp_path / ".lock"
    with lock(path):
        with pytest.raises(HeldElsewhereError), lock(path):
            pass
        assert path.exists()
    assert not path.exists()
    with lock(path):
        pass


def test_a_lock_that_another_user_made_can_be_held_and_is_seen_to_be(tmp_path, monkeypatch):
    """In a cache that several share, each user's files may be written by themselves alone."""
    path, opened = tmp_path / ".lock", os.open

    def denied(place, flags, mode=0o777):
        if flags & os.O_RDWR:
            raise PermissionError(13, "not yours", str(place))
        return opened(place, flags, mode)

    with lock(path):
        monkeypatch.setattr(os, "open", denied)
        assert durable.is_held(path)
    path.touch()
    with lock(path):
        assert durable.is_held(path)
    with pytest.raises(PermissionError), lock(tmp_path / "missing"):
        pass


def test_one_at_a_time_of_many(tmp_path):
    inside, most = [], []

    def work() -> None:
        for _ in range(20):
            with lock(tmp_path / ".lock", lambda: None):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80 and max(most) == 1


def test_a_lock_on_a_file_that_was_taken_away_meanwhile_is_none(tmp_path, monkeypatch):
    """Its last holder may remove it between the opening and the locking; the next one makes a new file."""
    path, calls, locked = tmp_path / ".lock", [], durable._locked

    def late(descriptor: int) -> bool:
        calls.append(1)
        if len(calls) == 1:
            path.unlink()
        return locked(descriptor)

    monkeypatch.setattr(durable, "_locked", late)
    with lock(path, lambda: None):
        assert path.exists()
    assert len(calls) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    path = tmp_path / ".lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    said: list[str] = []

    def waiting() -> None:
        said.append("waiting")
        holder.kill()

    with pytest.raises(HeldElsewhereError), lock(path):
        pass
    with lock(path, waiting):
        assert said == ["waiting"]
    holder.wait()
    holder.stdout.close()
    assert list(Path(tmp_path).iterdir()) == []


def test_where_there_are_no_locks_nobody_waits(tmp_path, monkeypatch):
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("ambientkit.durable.fcntl.flock", unsupported)
    with lock(tmp_path / ".lock"), lock(tmp_path / ".lock"):
        pass


def test_what_an_earlier_version_left_aside_goes_after_a_day(tmp_path):
    left = tmp_path / ".new.4711"
    left.mkdir()
    sweep(tmp_path)
    assert left.exists(), "its writer may be at work on another machine"
    os.utime(left, (time.time() - 25 * 3600,) * 2)
    sweep(tmp_path)
    assert not left.exists()


def test_a_name_as_long_as_a_file_system_takes_can_be_written(tmp_path):
    file = tmp_path / ("n" * 251 + ".png")
    write_bytes(file, b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
