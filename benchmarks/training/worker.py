"""A process with one loop in it: `python -m benchmarks.training.worker MODULE:LOOP SETTING`.

The module is imported here and nowhere else, so a loop may live in an environment without ambientkit.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress

import torch

from .setting import Setting
from .turns import Over, Turns


def main() -> None:
    """Train until the parent has had enough. What a loop prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, _, loop = sys.argv[1].partition(":")
    setting = Setting.from_json(sys.argv[2])
    torch.set_num_threads(setting.threads)
    torch.manual_seed(0)
    play = getattr(importlib.import_module(f"benchmarks.training.{module}"), loop)
    with suppress(Over):
        play(setting, Turns(sys.stdin, answers))


if __name__ == "__main__":
    main()
