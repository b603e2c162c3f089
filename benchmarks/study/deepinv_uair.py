"""A row of the study by another library: deepinv's UAIR loss, as shipped, on the faces of the other rows.

    python -m venv peer && peer/bin/pip install -e '.[evaluate,features]' deepinv==0.5.0
    peer/bin/python benchmarks/study/deepinv_uair.py --faces PATH/TO/faces --out study

Measurements, their order and mirroring, held-out pictures, holes, the generator's first weights and the
figures are those of the recipe folder_held_out; the discriminator is folder_block's. All else is deepinv's,
unmodified: AdversarialTrainer, UAIRGeneratorLoss, UnsupAdversarialDiscriminatorLoss, and Inpainting, whose
mask the trainer sets for every batch from the `params` that come with the measurements. Step sizes and Adam
are those of its demo of this loss, examples/adversarial-learning/demo_gan_imaging.py (which lowers the
steps every five epochs; 2,000 batches are 4.3). float32, one discriminator update a step and no average of
weights are its defaults. Hidden pixels hold the 0 that Inpainting leaves. The loss calls the generator
without physics, so both networks read from the zeros what is hidden.

What its source lets one expect (0.5.0):

- training/adversarial.py, `AdversarialTrainer.compute_loss`: `y_hat = physics.A(x_net)`. Before,
  `get_samples_offline` in training/trainer.py has set `physics.mask` to the masks of this very batch, and
  nothing draws others. So y_hat is x_net times the mask of y (physics/forward.py, `DecomposablePhysics.A`).
- loss/adversarial/uair.py, `UAIRGeneratorLoss.forward`: reads y_hat, and `physics.A` of what the generator
  makes of y_hat, under the same mask once more.

Every term sees hidden pixels times 0. Their gradient is exactly 0, and a generator that copies what it is
given has nothing to gain. UAIR itself (Pajot et al. 2019, eq. 5) draws a fresh theta for y_hat, which
uncovers what was made. The script takes that gradient in every step and keeps the largest. Hidden pixels
still change, because they share weights with observed ones. Whether for the better, the row `untrained`
tells: the same network before its first step, when it fills holes smoothly from what surrounds them.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ambientkit import Engine, Measured, View
from ambientkit.cached import cache_folder
from ambientkit.completion import TrainedRun
from ambientkit.data import Batches
from ambientkit.evaluating.choice import choose_metrics
from ambientkit.evaluating.evaluate import Evaluation, evaluate
from ambientkit.evaluating.held_out import Held
from ambientkit.evaluating.report import write
from ambientkit.evaluating.wishes import Wishes
from ambientkit.evaluation import Completer
from ambientkit.machine import choose
from ambientkit.preparation import Prepared, prepare

NAME = "deepinv_uair"
RECIPE = "folder_block"  # folder_held_out and a discriminator; the rest is the same
RATES = {"generator": 1e-4, "discriminator": 4e-4}
DECAY = 1e-8  # of weights, in deepinv's demo
BOOTSTRAP = 500
KEEP_EVERY = 250  # steps; nothing is scheduled, so what stands there is what --steps of as many gives


# deepinv's conventions ---------------------------------------------------------------------------


class Measurements(Dataset[dict[str, Any]]):
    """Whole batches of training measurements, as deepinv's trainer takes them; no picture x among them.

    `before` is told how many steps are done when the next batch is asked for.
    """

    def __init__(self, batches: Batches, steps: int, before: Callable[[int], None] | None = None) -> None:
        self.batches, self.steps, self.before = batches, steps, before

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, number: int) -> dict[str, Any]:
        if self.before is not None:
            self.before(number)
        measured = self.batches(number)
        assert measured.observed is not None
        mask = measured.observed.float()
        return {"y": measured.y * mask, "params": {"mask": mask}}


def seen_in(y: Tensor) -> Tensor:
    """Bool (n, 1, H, W): pixels that Inpainting left; no 8-bit value is 0 in [-1, 1]."""
    return (y != 0).any(1, keepdim=True)


@dataclass
class Gradients:
    """The largest |gradient| of the generator's loss with respect to pixels that the generator made.

    A step has two: of x_net, made of y, and of what is made of y_hat.
    """

    hidden: list[float] = field(default_factory=list)
    observed: list[float] = field(default_factory=list)

    def watch(self, made: Tensor, seen: Tensor) -> None:
        """Note the gradient of `made` once it is known."""

        def note(gradient: Tensor) -> None:
            size = gradient.detach().abs().amax(1, keepdim=True)
            self.hidden.append(float(torch.where(seen, 0.0, size).max()))
            self.observed.append(float(torch.where(seen, size, 0.0).max()))

        made.register_hook(note)  # type: ignore[no-untyped-call]

    def facts(self) -> dict[str, float]:
        """Of the first step and of all."""
        return {
            "hidden, first step": max(self.hidden[:2]),
            "observed, first step": max(self.observed[:2]),
            "hidden, all steps": max(self.hidden),
            "observed, all steps": max(self.observed),
        }


class Generator(nn.Module):
    """An ambientkit generator as deepinv's reconstruction network: y, and a physics or none."""

    def __init__(self, network: nn.Module, gradients: Gradients) -> None:
        super().__init__()
        self.network, self.gradients = network, gradients

    def forward(self, y: Tensor, physics: object = None) -> Tensor:
        """Pictures (n, C, H, W) in [-1, 1]."""
        seen = seen_in(y)
        made: Tensor = self.network(Measured(y, seen), None)
        if made.requires_grad:
            self.gradients.watch(made, seen)
        return made


class Discriminator(nn.Module):
    """An ambientkit discriminator as deepinv's."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, y: Tensor) -> Tensor:
        """Raw scores (n,)."""
        scores: Tensor = self.network(View(y, seen_in(y)))
        return scores


# Training ----------------------------------------------------------------------------------------


def prepared_for(*changes: str) -> tuple[Engine, Prepared]:
    """Data and networks of the study's rows, on the CPU in float32."""
    engine = Engine(discover=True)
    plan = engine.load(RECIPE, f"name={NAME}", *changes)
    return engine, prepare(plan, choose("cpu", "fp32"), cache_folder())


def train(
    prepared: Prepared,
    steps: int,
    verbose: bool = True,
    after: Callable[[int, Gradients], None] | None = None,
) -> Gradients:
    """Train the prepared networks by deepinv's trainer; `after` is told of all steps but the last."""
    from deepinv.loss.adversarial import UAIRGeneratorLoss, UnsupAdversarialDiscriminatorLoss
    from deepinv.physics import Inpainting
    from deepinv.training import AdversarialTrainer

    game, gradients = prepared.game, Gradients()
    assert game.discriminator is not None
    generator = Generator(game.generator.network, gradients)
    discriminator = Discriminator(game.discriminator.network)

    def before(done: int) -> None:
        if done and after is not None:
            after(done, gradients)

    AdversarialTrainer(
        model=generator,
        D=discriminator,
        physics=Inpainting(prepared.data.image_shape),
        optimizer=_optimizer(generator, discriminator),
        train_dataloader=DataLoader(Measurements(prepared.batches, steps, before), batch_size=None),
        epochs=1,
        losses=UAIRGeneratorLoss(),
        losses_d=UnsupAdversarialDiscriminatorLoss(),
        metrics=None,  # they would want clean pictures
        optimizer_step_multi_dataset=False,
        save_path=None,
        device="cpu",
        non_blocking_transfers=False,
        verbose=verbose,
        freq_update_progress_bar=50,
    ).train()
    return gradients


def _optimizer(generator: nn.Module, discriminator: nn.Module) -> Any:
    from deepinv.training.adversarial import AdversarialOptimizer

    players = {"generator": generator, "discriminator": discriminator}
    return AdversarialOptimizer(
        *(
            torch.optim.Adam(player.parameters(), lr=RATES[name], weight_decay=DECAY)
            for name, player in players.items()
        )
    )


def trained(prepared: Prepared, steps: int, folder: Path) -> dict[str, Any]:
    """Train, or load what was trained here before for as many steps; facts of the training."""
    record, weights = folder / "training.json", folder / "generator.pt"
    network = prepared.game.generator.network
    if record.exists():
        facts: dict[str, Any] = json.loads(record.read_text("utf-8"))
        if facts["step"] == steps:
            network.load_state_dict(torch.load(weights, weights_only=True))
            return facts
    folder.mkdir(parents=True, exist_ok=True)
    begun, cpu = time.monotonic(), time.process_time()

    def keep(step: int, gradients: Gradients) -> dict[str, Any]:
        facts = {
            "step": step,
            "seconds": round(time.monotonic() - begun, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "deepinv": version("deepinv"),
            "gradient": gradients.facts(),
        }
        torch.save(network.state_dict(), weights)
        record.write_text(json.dumps(facts, indent=2), "utf-8")
        return facts

    def after(step: int, gradients: Gradients) -> None:
        if step % KEEP_EVERY == 0:
            keep(step, gradients)

    return keep(steps, train(prepared, steps, after=after))


# Figures -----------------------------------------------------------------------------------------


def figures(engine: Engine, prepared: Prepared, untrained: nn.Module, facts: dict[str, Any]) -> Evaluation:
    """As `ambientkit evaluate` takes them: composited, as made (observed pixels too), and untrained."""
    plan, network = prepared.plan, prepared.game.generator.network
    rows = [
        _held(prepared, network, "", facts["step"]),
        _held(prepared, network, "as made", facts["step"], composite=False),
        _held(prepared, untrained, "untrained", 0),
    ]
    chosen = choose_metrics(plan, engine.plugins, None, prepared.data.context)
    found = evaluate(rows, chosen, Wishes(bootstrap=BOOTSTRAP), _progress)
    runs = {name: {**each, "folder": NAME} for name, each in _renamed(found.facts["runs"])}
    return replace(
        found,
        rows=dict(_renamed(found.rows)),
        differences=dict(_renamed(found.differences)),
        labels={},
        facts={**found.facts, **facts, "run": NAME, "runs": runs},
    )


def _held(prepared: Prepared, network: nn.Module, name: str, step: int, composite: bool = True) -> Held:
    """Held-out pictures and what completes them; hidden pixels of y are never read by this generator."""
    assert prepared.data.held_out is not None
    method = replace(prepared.game.method, composite=composite)
    machine, shape = prepared.game.machine, prepared.data.image_shape
    return Held(
        TrainedRun(network.eval(), machine, shape, method.sensor.fill, Path(name or "."), composite),
        prepared.plan,
        {"data": {"fingerprint": prepared.data.fingerprint}},
        prepared.data.held_out,
        Completer(network, method, machine),
        prepared.data.context,
        step,
    )


def _renamed(rows: Any) -> Iterator[tuple[str, Any]]:
    """`deepinv_uair`, and what is no row of the study by itself as `deepinv_uair, untrained`."""
    for row, found in rows.items():
        which = row.partition("/")[2]
        yield (f"{NAME}, {which}" if which else NAME), found


def _progress(what: str, done: int, total: int) -> None:
    print(f"{what} {done}/{total}", flush=True)


def main() -> None:
    """Train and evaluate what is not done yet; print the gradients and the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", required=True, help="the folder of pictures")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    given = parser.parse_args()
    torch.manual_seed(0)
    engine, prepared = prepared_for(f"data.source.root={given.faces}")
    untrained = copy.deepcopy(prepared.game.generator.network)
    facts = trained(prepared, given.steps, given.out / NAME)
    print("largest |gradient| of the generator's loss with respect to pixels of its output:")
    for where, size in facts["gradient"].items():
        print(f"  {where}: {size:.3g}")
    found = figures(engine, prepared, untrained, facts)
    write(found, given.out / NAME)
    print(json.dumps(found.plain(), indent=2))


if __name__ == "__main__":
    main()
