"""Networks as compiled programs, for training alone: the plain ones are evaluated, kept and exported."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ambientkit.errors import InputError, RunError
from ambientkit.recipe import Plan
from ambientkit.updates import Game

BACKEND = "inductor"
HARMLESS = (
    "Dynamo detected a call to a `functools.lru_cache`",  # a pure function, which may be traced
    "The .grad attribute of a Tensor that is not a leaf",  # torch looks at a weight with spectral norm
)


def compile_networks(game: Game, plan: Plan) -> list[nn.Module]:
    """Compile the networks of a game where they stand, and return them; weights and names stay the same.

    A discriminator whose gradient is penalised stays plain: torch compiles no gradients of gradients.
    Programs of earlier games of this process are given up: torch keeps few for a network's class, and runs
    what comes after those as it is.
    Raises InputError for batch norms that talk to other processes on the way.
    """
    if plan.recipe.train.sync_batch_norm:
        raise InputError("train.sync_batch_norm cannot be compiled; use --compile off")
    networks = [game.generator.network]
    if game.discriminator and plan.objective and "gradient_penalty" not in (plan.objective.facts() or ()):
        networks.append(game.discriminator.network)
    for message in HARMLESS:
        warnings.filterwarnings("ignore", re.escape(message))
    torch.compiler.reset()
    for network in networks:
        network.compile(backend=BACKEND, dynamic=False)
    return networks


@contextmanager
def compiled_or_told() -> Iterator[None]:
    """Networks are compiled when they are first run. Raises RunError where that cannot be done here."""
    from torch._dynamo.exc import TorchDynamoException  # only here: it takes a second

    try:
        yield
    except TorchDynamoException as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"the networks cannot be compiled here ({reason}); use --compile off") from error
