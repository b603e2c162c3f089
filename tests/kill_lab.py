"""A laboratory for kills: runs of the command line that end at a moment of our choice.

One process imports torch and waits; for each run it forks a child, which starts at once. A child is
killed before its nth operation on files below a folder (which finds the moment between a rename and
the pointer that follows), or after so many seconds (which finds those inside native code).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.truncate", "shutil.rmtree"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

RECIPE = """\
recipe: 1
name: tiny
data: {source: {kind: toy_faces, count: 12}, image_size: [16, 16], holdout: 4}
measurement: {kind: block_patch, size: 6}
further: {measurement: {kind: block_patch, size: 6}, probability: 0.7}
generator: {kind: glcic, width: 2, dilations: [1, 1, 1, 1]}
discriminator: {kind: dcgan, width: 2, spectral_norm: true}
objective: {kind: hinge}
fidelity: [{kind: held_out}]
train: {steps: 6, batch_size: 4, checkpoints: {every: 2, keep: 2, best: hidden_psnr}}
metrics: [{kind: hidden_psnr, every: 2}]
callbacks: [{kind: jsonl, every: 1}, {kind: image_grid, every: 3, count: 2}]
"""


@dataclass(frozen=True)
class Ended:
    """How a run of the command line ended; `code` is negative for a signal."""

    code: int
    operations: int
    seconds: float
    output: str


class Lab:
    """Runs `ambientkit ARGUMENTS` in children of one waiting process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
        command = [sys.executable, __file__, str(root)]
        (root / "tiny.yaml").write_text(RECIPE)
        self._waiting = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(
        self,
        *arguments: object,
        at: int | None = None,
        after: float | None = None,
        number: int = signal.SIGKILL,
        again: float | None = None,
        setup: str = "",
        **environment: str,
    ) -> Ended:
        """Run to the end, or send signal `number` before operation `at` or `after` so many seconds.

        `again`: a second one so many seconds later. `setup` is code that the child executes first.
        """
        asked = {"arguments": [str(each) for each in arguments], "at": at, "after": after, "again": again}
        asked |= {"number": int(number), "setup": setup, "environment": environment}
        self._waiting.stdin.write(json.dumps(asked) + "\n")
        self._waiting.stdin.flush()
        return Ended(**json.loads(self._waiting.stdout.readline()))

    def close(self) -> None:
        """End the waiting process."""
        self._waiting.stdin.close()
        self._waiting.wait(60)
        self._waiting.stdout.close()


@dataclass
class Place:
    """Where one run happens: its folders below the lab, all of its own."""

    lab: Lab
    name: str

    @property
    def runs(self) -> Path:
        """The folder of its runs."""
        return self.lab.root / self.name / "runs" / "tiny"

    @property
    def cache(self) -> Path:
        """Its measured stores."""
        return self.lab.root / self.name / "cache"

    @property
    def run(self) -> Path | None:
        """The run folder, once it is there."""
        found = [path for path in self.runs.glob("*") if not path.name.startswith(".")]
        assert len(found) <= 1, found
        return found[0] if found else None

    def go(self, *words: object, **moment: Any) -> Ended:
        """Begin the run, or resume it; with its figures at the end."""
        begin = ["run", "tiny.yaml", *words, "--out", self.runs.parent]
        words = begin if self.run is None else ["resume", self.run]
        return self.cli(*words, "--device", "cpu", "--precision", "fp32", **moment)

    def evaluate(self, **moment: Any) -> Ended:
        """Take the figures of the run."""
        few = ("--metrics", "hidden_psnr", "--bootstrap", 100, "--device", "cpu")
        return self.cli("evaluate", self.run, *few, **moment)

    def cli(self, *words: object, **moment: Any) -> Ended:
        """Any verb, with the cache of this place."""
        return self.lab.run(*words, **{"AMBIENTKIT_CACHE": str(self.cache), **moment})

    def weights(self) -> dict[str, Any]:
        """Everything in the last checkpoint."""
        from engine_fakes import contents

        root = self.run / "checkpoints"
        return contents(root / (root / "latest").read_text("utf-8").strip())


# The waiting process ----------------------------------------------------------------------------


def wait(root: Path) -> None:
    """Answer every line of stdin."""
    import torch

    torch.set_num_threads(1)
    import ambientkit.completion
    import ambientkit.evaluating.evaluate
    import ambientkit.evaluating.report
    import ambientkit.preparation  # noqa: F401
    from ambientkit import Engine

    Engine(discover=False)
    import ambientkit_plugins.callbacks.console
    import ambientkit_plugins.callbacks.grid  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(one(root, json.loads(line))), flush=True)


def one(root: Path, asked: dict[str, Any]) -> dict[str, Any]:
    told, tell = os.pipe()
    output = root / "output.txt"
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(told)
        play(root, asked, tell, output)
    os.close(tell)
    timers = aimed(child, asked)
    with os.fdopen(told, "rb") as pipe:
        count = len(pipe.read())
    _, status = os.waitpid(child, 0)
    for timer in timers:
        timer.cancel()
    return {
        "code": os.waitstatus_to_exitcode(status),
        "operations": count,
        "seconds": time.monotonic() - begun,
        "output": output.read_text("utf-8", "replace"),
    }


def aimed(child: int, asked: dict[str, Any]) -> list[threading.Timer]:
    """Timers that send the signals that are due by the clock."""
    if asked["after"] is None:
        return []
    moments = [asked["after"], *([asked["after"] + asked["again"]] if asked["again"] else [])]
    timers = [threading.Timer(moment, send, (child, asked["number"])) for moment in moments]
    for timer in timers:
        timer.start()
    return timers


def send(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except ProcessLookupError:
        return


def play(root: Path, asked: dict[str, Any], tell: int, output: Path) -> None:
    """The child: count operations, run the command line, and end."""
    sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.environ.update(asked["environment"])
    os.chdir(root)
    count(root, asked, tell)
    exec(asked["setup"], {})
    from ambientkit.cli import main

    try:
        main(asked["arguments"], prog_name="ambientkit")
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


def count(root: Path, asked: dict[str, Any], tell: int) -> None:
    """Write a byte into `tell` before each operation below `root`, and send the signal when it is due."""
    seen = 0

    def note() -> None:
        nonlocal seen
        seen += 1
        os.write(tell, b".")
        if seen == asked["at"]:
            os.kill(os.getpid(), asked["number"])

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if (writes or event in CHANGES) and is_below(arguments[0], root):
            note()

    fsync = os.fsync
    os.fsync = lambda descriptor: (note(), fsync(descriptor))[1]
    sys.addaudithook(audit)


def is_below(path: object, root: Path) -> bool:
    """Paths that are relative are taken from `root`, where the child is."""
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    return str(root / Path(os.fsdecode(path))).startswith(str(root))


if __name__ == "__main__":
    wait(Path(sys.argv[1]))
