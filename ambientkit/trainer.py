"""The loop: who is updated when, what is evaluated and kept. The method itself is in `round_trip`."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pluggy
import torch
from torch import Tensor, nn

from ambientkit import checkpoints, evaluation, signals
from ambientkit.compiling import compile_networks, compiled_or_told
from ambientkit.data import Batches, HoldOut
from ambientkit.draws import Dice
from ambientkit.errors import Interrupted, NonFiniteError, RunError, RunFolderError
from ambientkit.interfaces import Evaluated, Measured, Metric, RunInfo, Terms
from ambientkit.optim import AveragedNetwork, load_optimizer, optimizer_state
from ambientkit.recipe import Plan
from ambientkit.recording import runner_of
from ambientkit.resident import brought
from ambientkit.returned import score_of
from ambientkit.round_trip import Draws
from ambientkit.run_folder import update_run
from ambientkit.schedule import Pace
from ambientkit.shared_norm import all_playing
from ambientkit.streams import global_stream
from ambientkit.updates import Game, discriminator_update, generator_update, shared_update
from ambientkit.use import Use

log = logging.getLogger("ambientkit")
SETTLED_EVERY = 50  # steps after which a GPU is asked whether all was finite


class _StoppedError(Exception):
    """A signal came while figures were taken."""


class _Report:
    """What callbacks are given after a step."""

    def __init__(self, trainer: Trainer, terms: Terms) -> None:
        self.step = trainer.step
        self._terms = terms
        self._trainer = trainer

    def terms(self) -> dict[str, float]:
        return {name: float(value) for name, value in self._terms.items()}

    def samples(self, count: int) -> Evaluated:
        return self._trainer.samples(count)


@dataclass
class Trainer:
    """A game in progress. All randomness is a function of (seed, step): the step is the whole position."""

    plan: Plan
    game: Game
    batches: Batches
    held_out: HoldOut | None
    metrics: Mapping[str, Metric]
    folder: Path
    hooks: pluggy.PluginManager
    info: RunInfo
    references: Batches | None = None
    average: AveragedNetwork | None = None
    step: int = 0
    best: dict[str, float] = field(default_factory=dict)
    start: dict[str, float] = field(default_factory=dict)
    summaries: dict[str, dict[str, float]] = field(default_factory=dict)  # the last of each metric
    _inference: tuple[int, nn.Module] | None = None
    _earlier: dict[str, float] = field(default_factory=dict)  # figures that an earlier version took
    _sent: tuple[int, Measured] | None = None  # the last batch, on the machine
    _kept: int | None = None  # the step whose checkpoint this trainer wrote last, or began with
    _asked: list[int] = field(default_factory=list)  # the signals that came
    _owed: list[str] = field(default_factory=list)  # metrics of this step that a signal left untaken

    def __post_init__(self) -> None:
        self.pace = Pace(self.plan.recipe.train, self.info.total_steps)
        device = self.game.machine.device
        self._brought = brought(self.batches, device)
        self._clean = brought(self.references, device) if self.references else None
        decay = self.plan.recipe.train.ema_decay
        if decay is not None and self.game.machine.group.leads:
            self.average = AveragedNetwork(self.game.generator.network, decay)
        if self.game.machine.compiled:
            compile_networks(self.game, self.plan)
        self._run = runner_of(self.game)
        self.dice = Dice(
            method=self.game.method,
            machine=self.game.machine,
            generator=self.game.generator.network,  # type: ignore[arg-type]  # an nn.Module with the contract's members
            further_probability=self.plan.recipe.further.probability if self.plan.recipe.further else 0.0,
            n=self.batches.size,
            seed=self.plan.recipe.seed,
        )
        elsewhere = self.plan.evaluation is not None
        self._use = Use(self.game, self.dice, self._brought, self.batches.per_epoch, elsewhere)

    # The loop ------------------------------------------------------------------------------------

    def train(self) -> None:
        """Run to the end; raises Interrupted or RunError after a checkpoint was kept."""
        outcome, signalled, group = "failed", 0, self.game.machine.group
        try:
            self.hooks.hook.on_run_start(run=self.info)
            with signals.noted() as asked:
                self._asked = asked
                if self.step == 0:
                    self._evaluate(self.metrics)
                elif self._owed:
                    self._close_step({name: self.metrics[name] for name in self._owed})
                while not (signalled := group.any(max(asked, default=0))) and not self._over():
                    self._step()
                outcome = "interrupted" if signalled else "finished"
                self._stop(signalled)
        except NonFiniteError as error:
            raise self._diverged(error) from error
        finally:
            self.hooks.hook.on_run_end(run=self.info, step=self.step, outcome=outcome)

    def _over(self) -> bool:
        return self.step >= self.info.total_steps

    def advance(self) -> Terms:
        """One step and the average after it."""
        self.game.watch.step = self.step + 1
        with all_playing(), compiled_or_told() if self.game.machine.compiled else nullcontext():
            terms = self.train_step()
        self.step += 1
        if self.average:
            decay = self.pace.ema_decay(self.step - 1)
            self.average.update(self.game.generator.network, self.step, decay)
        return terms

    def _step(self) -> None:
        """A step, and whatever is due after it."""
        terms = self.advance()
        self.hooks.hook.on_step_end(run=self.info, report=_Report(self, terms))
        last = self.step == self.info.total_steps
        if last or self._due(SETTLED_EVERY):
            self.game.watch.settle()
        self._close_step(
            {name: m for name, m in self.metrics.items() if last or self._due(self._every(name))}
        )

    def _close_step(self, metrics: Mapping[str, Metric]) -> None:
        """Figures and a checkpoint, where they are due."""
        self._evaluate(metrics)
        last = self.step == self.info.total_steps
        if last or self._due(self.plan.recipe.train.checkpoints.every):
            self.checkpoint()

    def train_step(self) -> Terms:
        """One step: the discriminator's updates, then the generator's, each with fresh draws."""
        train = self.plan.recipe.train
        terms: Terms = {}
        players = ["discriminator"] * train.discriminator_updates + ["generator"] * train.generator_updates
        self._set_rates()
        if train.share_forward and all(self._trains(player) for player in players):
            return self._shared_step()
        for number, player in enumerate(players):
            if not self._trains(player):
                continue
            counter = self.step if train.batches == "shared" else self.step * len(players) + number
            draws = self._draws(player, number, counter)
            with self._network_stream(player, number):
                terms |= self._update(player, number, self._batch(counter), draws)
        return terms

    def _shared_step(self) -> Terms:
        """Both updates on one round trip of the generator."""
        draws = self._draws("generator", 1, self.step)
        with self._network_stream("generator", 1):
            return self._run(
                shared_update, self._batch(self.step), draws, self._penalty(0), self.pace.plays(self.step)
            )

    def _draws(self, player: str, number: int, counter: int) -> Draws:
        draws = replace(self.dice(self.step, player, number), reference=self._reference(counter))
        return self.game.machine.group.share(draws)

    def _network_stream(self, player: str, number: int) -> AbstractContextManager[None]:
        """What networks themselves draw (dropout) comes from a stream too, each process's own."""
        seed, machine = self.plan.recipe.seed, self.game.machine
        own = () if machine.group.leads else (machine.group.rank,)
        return global_stream(seed, "network", self.step, player, number, *own, device=machine.device)

    def _trains(self, player: str) -> bool:
        there = player == "generator" or self.game.discriminator is not None
        return there and self.pace.trains(player, self.step)

    def _update(self, player: str, number: int, real: Measured, draws: Draws) -> Terms:
        if player == "generator":
            return self._run(generator_update, real, draws, self.pace.plays(self.step))
        return self._run(discriminator_update, real, draws, self._penalty(number))

    def _penalty(self, number: int) -> float:
        return self.pace.penalty(self.step, number, getattr(self.game.objective, "penalty_every", 1))

    def _set_rates(self) -> None:
        train = self.plan.recipe.train
        self.pace.set_rates(self.game.generator.optimizer, train.generator_optimizer, self.step)
        if self.game.discriminator:
            self.pace.set_rates(self.game.discriminator.optimizer, train.discriminator_optimizer, self.step)

    def _reference(self, counter: int) -> Tensor | None:
        """Clean pictures of another set for one update, where those are the reals."""
        return None if self._clean is None else self.game.machine.tensor(self._clean(counter).y)

    def _batch(self, counter: int) -> Measured:
        if self._sent is None or self._sent[0] != counter:
            machine = self.game.machine
            self._sent = (counter, machine.send(machine.group.share(self._brought(counter))))
        return self._sent[1]

    def _due(self, every: int | None) -> bool:
        return every is not None and self.step % every == 0

    def _every(self, metric: str) -> int | None:
        specs = {choice.registered.name: choice.spec for choice in self.plan.metrics}
        every: int | None = getattr(specs[metric], "every", None)
        return every

    # Evaluation ----------------------------------------------------------------------------------

    def _evaluate(self, metrics: Mapping[str, Metric]) -> None:
        if not metrics or self.held_out is None or not self.game.machine.group.leads:
            return
        try:
            summaries = evaluation.figures(metrics, self._completions())
        except _StoppedError:  # a checkpoint within seconds; a resumed run takes them first
            self._owed = list(metrics)
            return
        self._owed = []
        latest = {**self.summaries, **summaries}
        self.summaries = {name: latest[name] for name in self.metrics if name in latest}
        now = evaluation.flat(summaries, beside=self.summaries)
        if self.step == 0:
            self.start = now
        log.info("step %d: %s", self.step, now)
        self.hooks.hook.on_evaluation(run=self.info, step=self.step, figures=now)
        self._keep_best(summaries)

    @property
    def figures(self) -> dict[str, float]:
        """The last of each metric, by name."""
        return {**self._earlier, **evaluation.flat(self.summaries)}

    def yardsticks(self) -> dict[str, dict[str, float]]:
        """The same figures for the untrained network, for classical fills, and for the clean pictures."""
        if not self.metrics or self.held_out is None:
            return {}
        size, composite = self.plan.recipe.evaluation.batch_size, self.game.method.composite
        rows = evaluation.yardsticks(self.metrics, self.held_out, size, composite, self._extras)
        return {"untrained": self.start, **rows}

    def _keep_best(self, summaries: Mapping[str, Mapping[str, float]]) -> None:
        """Point at the best checkpoint so far; an untrained network is never that.

        Nor does a score that is not finite count: nothing could be better than an infinite one.
        """
        name = self.plan.recipe.train.checkpoints.best
        if name is None or self.step == 0 or not summaries.get(name):
            return
        score = score_of(self.metrics[name], summaries[name])
        known = self.best.get("score", -math.inf)
        if math.isfinite(score) and (score > known or not math.isfinite(known)):
            self.best = {"score": score, "step": float(self.step)}
            self.checkpoint()
            checkpoints.point(self.folder, "best", self.step)

    @property
    def _extras(self) -> evaluation.Extras:
        return evaluation.Extras.of(self.metrics.values(), self.plan.recipe.data.seed)

    def _completer(self) -> evaluation.Completer:
        return evaluation.Completer(self.inference(), self.game.method, self.game.machine)

    def _completions(self) -> Iterator[Evaluated]:
        assert self.held_out is not None
        size = self.plan.recipe.evaluation.batch_size
        for batch in evaluation.completions(self._completer(), self.held_out, size, extras=self._extras):
            if self._asked:
                raise _StoppedError
            yield batch

    def samples(self, count: int) -> Evaluated:
        """The first `count` held-out pictures, or training ones where none are held out, completed."""
        held_out = self.held_out or HoldOut(self.batches.samples, None)
        return next(evaluation.completions(self._completer(), held_out, count, count))

    def inference(self) -> nn.Module:
        """The generator as it is used, at this step."""
        if self._inference is None or self._inference[0] != self.step:
            self._inference = (self.step, self._use.network(self.average))
        return self._inference[1]

    # Checkpoints ---------------------------------------------------------------------------------

    def checkpoint(self) -> Path:
        """Write a checkpoint of this step, unless that is done."""
        if self._kept == self.step or not self.game.machine.group.leads:
            return checkpoints.folder_of(self.folder, self.step)
        self.game.watch.settle()
        networks = self._networks()
        if self._use.reestimates:
            networks["inference"] = self.inference()
        path = checkpoints.write(self.folder, self.step, networks, self._state(), self.plan.resolved())
        self._kept = self.step
        update_run(self.folder, step=self.step)
        checkpoints.prune(self.folder, self.plan.recipe.train.checkpoints.keep)
        self.hooks.hook.on_checkpoint(run=self.info, step=self.step, folder=path)
        return path

    def _networks(self) -> dict[str, nn.Module]:
        networks = {"generator": self.game.generator.network}
        if self.game.discriminator:
            networks["discriminator"] = self.game.discriminator.network
        if self.average:
            networks["average"] = self.average.network
        return networks

    def _state(self) -> dict[str, Any]:
        players = {"generator": self.game.generator, "discriminator": self.game.discriminator}
        optimizers = {name: optimizer_state(player.optimizer) for name, player in players.items() if player}
        return {
            "step": self.step,
            "best": self.best,
            "start": self.start,
            "summaries": self.summaries,
            "earlier": self._earlier,
            "owed": self._owed,
            "optimizers": optimizers,
        }

    def restore(self, folder: Path) -> None:
        """Continue from a checkpoint; raises RunFolderError when it does not fit."""
        state = checkpoints.read_state(folder)
        for name, network in self._networks().items():
            checkpoints.load_network(folder, name, network)
        load_optimizer(self.game.generator.optimizer, state["optimizers"]["generator"])
        if self.game.discriminator:
            load_optimizer(self.game.discriminator.optimizer, state["optimizers"]["discriminator"])
        self.step, self.best = state["step"], state["best"]
        self.start = state["start"]
        self.summaries = state.get("summaries", {})
        self._earlier = state.get("earlier", {} if "summaries" in state else state["figures"])
        self.info = replace(self.info, first_step=self.step)
        self._owed = state.get("owed", [])
        self._inference, self._kept = None, None if self._owed else self.step
        if self.best.get("step") == self.step:  # a kill may have come before the pointer
            checkpoints.point(self.folder, "best", self.step)

    def warm_start(self, folder: Path) -> None:
        """Begin with the weights of another run's checkpoint; optimisers and step begin anew."""
        checkpoints.load_network(folder, "generator", self.game.generator.network)
        if self.game.discriminator and (folder / "discriminator.safetensors").is_file():
            checkpoints.load_network(folder, "discriminator", self.game.discriminator.network)
        if self.average:
            self.average = AveragedNetwork(self.game.generator.network, self.average.decay)

    # Endings -------------------------------------------------------------------------------------

    def _stop(self, signalled: int) -> None:
        if signalled:
            path = self.checkpoint()
            raise Interrupted(
                f"stopped at step {self.step}; kept {path}; "
                f"go on with: {checkpoints.resume_command(self.folder)}",
                signalled,
            )
        checkpoints.prune(
            self.folder, self.plan.recipe.train.checkpoints.keep
        )  # a kill may have come between

    def _diverged(self, error: NonFiniteError) -> RunError:
        """The step was half done, so its state is kept only where there is no whole one."""
        try:
            kept = f"a checkpoint is kept in {checkpoints.find(self.folder)}"
        except RunFolderError:
            kept = self._kept_of_the_moment()
        step = self.game.watch.first_step or self.step + 1
        return NonFiniteError(
            f"step {step}: {error}; {kept}. Most likely a rate is too high, "
            "or the discriminator is too steep: lower the learning rates, set train.gradient_clip, or try "
            "the objective `hinge` with a spectrally normalised discriminator"
        )

    def _kept_of_the_moment(self) -> str:
        """Keep what there is, if it can be gone on with: a GPU tells late, and may have learnt from it."""
        weights = [value for network in self._networks().values() for value in network.state_dict().values()]
        if all(bool(torch.isfinite(value).all()) for value in weights):
            return f"a checkpoint is kept in {self.checkpoint()}"
        return "no checkpoint was kept, since the weights are not finite either; set train.checkpoints.every"
