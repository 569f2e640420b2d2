"""The one training loop. Every learner, delta and combination of tasks goes through it.

for update in ...:
    batches   = each learner draws its batch
    gradients = each learner's loss and its own gradient, clipped per learner
    shared    = their sum, or `combine(J)` where J holds one row per learner over the shared parameters
    step      = optimiser on gradients + penalties of the parts
    after     = learners, then parts; checkpoints are taken only here
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.core.errors import EnvironmentFault, Interrupted, TrainingFault
from pellucid.optim import Flat
from pellucid.optim import get_state as get_optimiser_state
from pellucid.optim import set_state as set_optimiser_state
from pellucid.train.learner import Batch, Combine, Gradients, Learner, Part, State
from pellucid.train.parts import parts_of


@dataclass(frozen=True)
class LoopConfig:
    """Settings of the loop.

    Args:
        updates: optimiser steps in all.
        clip: largest norm of one learner's gradient; None for no clipping.
        weights: one factor per learner, in order; empty for ones.
        checkpoint_every: updates between checkpoints.
        seed: of the run, named when it fails.
        accumulate: parts in which a batch is worked through; only for row-wise learners.
        bfloat16: products of the losses are computed in it where torch thinks that safe (autocast).
    """

    updates: int
    clip: float | None = 1.0
    weights: tuple[float, ...] = ()
    checkpoint_every: int = 100
    seed: int = 0
    accumulate: int = 1
    bfloat16: bool = False


@dataclass
class Hooks:
    """What the caller wants to happen on the way. All optional.

    Args:
        schedule: update -> factor on the learning rate.
        save: receives the complete state at a checkpoint; its tensors are live, so write or copy them at once.
        progress: receives (update, metrics by task) after every update; False ends the run there, with a checkpoint.
        stop: asked after every update; True ends the run with a checkpoint and `Interrupted`.
    """

    schedule: Callable[[int], float] | None = None
    save: Callable[[State], None] | None = None
    progress: Callable[[int, dict[str, dict[str, float]]], object] | None = None
    stop: Callable[[], bool] | None = None


@dataclass
class History:
    """Learning curves: task -> metric -> [(update, value), ...], thinned by averaging over `every` updates."""

    every: int = 10
    curves: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
    _sums: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, update: int, metrics: dict[str, dict[str, float]]) -> None:
        for task, values in metrics.items():
            sums = self._sums.setdefault(task, {})
            for name, value in values.items():
                entry = sums.setdefault(name, [0.0, 0.0])
                entry[0] += value
                entry[1] += 1.0
        if (update + 1) % self.every == 0:
            for task, sums in self._sums.items():
                for name, (total, count) in sums.items():
                    self.curves.setdefault(task, {}).setdefault(name, []).append([update + 1.0, total / count])
            self._sums = {}

    def get_state(self) -> State:
        return {"every": self.every, "curves": self.curves, "sums": self._sums}

    def set_state(self, state: State) -> None:
        self.every, self.curves, self._sums = int(state["every"]), state["curves"], state["sums"]


Differentiated = tuple[float, dict[str, float], Tensor, list[bool]]


class Trainer:
    """A run of the loop that can be saved at any update boundary and resumed bit-identically.

    Gradients are handled as one vector per learner, in the order of `parameters`. A parameter that no learner of an
    update uses has no gradient then, and is left alone by the optimiser.

    Args:
        network: what is trained; `parameters` names the trained ones (all, or those of a delta).
        learners: one per task.
        optimiser: over exactly `parameters`, or over the halves of `flat`.
        parameters: name -> parameter.
        shared: the parameters over which `combine` acts; the others just add up.
        combine: J (m, n) -> g (n,); None is the sum.
        parts: deltas and the like: penalties, ticks, state.
        flat: the vector in which the parameters lie, when the optimiser works on that; for a single learner, whose
            updates train everything or nothing.
    """

    def __init__(
        self,
        network: nn.Module,
        learners: Sequence[Learner],
        optimiser: torch.optim.Optimizer,
        parameters: Mapping[str, nn.Parameter],
        *,
        shared: Sequence[nn.Parameter] = (),
        combine: Combine | None = None,
        parts: Sequence[Part] = (),
        flat: Flat | None = None,
    ) -> None:
        named = dict(parameters) if flat is None else flat.parameters
        self.network, self.learners, self.optimiser, self.flat = network, list(learners), optimiser, flat
        self.names, self.parameters = list(named), list(named.values())
        self.combine, self.parts = combine, list(parts)
        ids = {id(p) for p in shared}
        self._position = {id(p): i for i, p in enumerate(self.parameters)}
        self._shared = torch.cat([torch.full((p.numel(),), id(p) in ids) for p in self.parameters])
        self._zeros = [torch.zeros(p.numel(), device=p.device, dtype=p.dtype) for p in self.parameters]
        self._every = [True] * len(self.parameters)
        self._ordered: list[nn.Parameter] | None = None
        self.update = 0
        self.history = History()
        self._first_lr = [float(group["lr"]) for group in optimiser.param_groups]
        self._base_lr = list(self._first_lr)

    def run(self, config: LoopConfig, hooks: Hooks | None = None) -> History:
        """Train until `config.updates`; continues where `set_state` left off."""
        hooks = hooks or Hooks()
        self.history.every = max(1, config.updates // 100)
        while self.update < config.updates:
            if hooks.schedule is not None:
                factor = hooks.schedule(self._place())
                for group, lr in zip(self.optimiser.param_groups, self._base_lr, strict=True):
                    group["lr"] = lr * factor
            metrics = self._step(config)
            self.history.add(self.update, metrics)
            self.update += 1
            enough = hooks.progress is not None and hooks.progress(self.update, metrics) is False
            enough = enough or any(getattr(part, "enough", False) for part in self.parts)
            last = enough or self.update == config.updates
            stopping = hooks.stop is not None and not last and hooks.stop()
            if last or stopping or self.update % config.checkpoint_every == 0:
                self._require_finite(config)
                if hooks.save is not None:
                    hooks.save(self.get_state())
            if stopping:
                raise self._interrupted(config, hooks.save is not None)
            if enough:
                break
        return self.history

    def _place(self) -> int:
        """Of this update on the schedule: training that begins again (`train.held_out`) begins that again, too."""
        for part in self.parts:
            if hasattr(part, "place"):
                return int(part.place(self.update))
        return self.update

    def set_rates(self, factor: float, weight_decay: float | None) -> None:
        """From the next update on: every learning rate that it was built with times a factor, and another weight decay
        where there is one."""
        self._base_lr = [factor * lr for lr in self._first_lr]
        for group in self.optimiser.param_groups:
            if weight_decay is not None and group.get("weight_decay"):
                group["weight_decay"] = weight_decay

    def _interrupted(self, config: LoopConfig, saved: bool) -> Interrupted:
        return Interrupted(
            f"interrupted after update {self.update} of {config.updates}; "
            + ("a checkpoint is written." if saved else "nothing is kept."),
            where="training loop",
            mend="run the same command with --resume" if saved else "run the same command again",
        )

    def _step(self, config: LoopConfig) -> dict[str, dict[str, float]]:
        batches = [self._draw(learner) for learner in self.learners]
        metrics: dict[str, dict[str, float]] = {}

        def evaluate() -> float:
            rows: list[Tensor] = []
            used = [False] * len(self.parameters)
            total = 0.0
            for i, (learner, batch) in enumerate(zip(self.learners, batches, strict=True)):
                if batch is None:
                    continue
                weight = config.weights[i] if config.weights else 1.0
                value, logged, gradient, its = self._in_parts(learner, batch, config)
                used = [before or now for before, now in zip(used, its, strict=True)] if rows else its
                rows.append(self._checked(learner.task.name, value, gradient, weight, config))
                metrics[learner.task.name] = {"loss": value, **logged}
                total += weight * value
            self._assign(rows, used)
            return total

        self.optimiser.step(evaluate)
        for learner in self.learners:
            if learner.task.name in metrics:
                learner.after_step(self.network, metrics[learner.task.name])
        for part in self.parts:
            part.after_step(self.update)
        return metrics

    def _draw(self, learner: Learner) -> Batch | None:
        """The learner's next batch; an environment that fails says at which update."""
        try:
            return learner.next_batch(self.network)
        except EnvironmentFault as error:
            where = f"{error.where}; update {self.update}, learner of '{learner.task.name}'"
            raise EnvironmentFault(error.what, where=where, mend=error.mend) from error

    def _require_finite(self, config: LoopConfig) -> None:
        """Weights and buffers, before they are kept: a good checkpoint is never replaced by a bad one."""
        state = dict(self.network.state_dict()) | dict(zip(self.names, self.parameters, strict=True))
        bad = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
        if bad:
            raise TrainingFault(
                f"'{bad[0]}' is not finite after update {self.update - 1}.",
                where=f"update {self.update - 1}, seed {config.seed}",
                mend="earlier checkpoints are intact: lower the learning rate, or look for extreme inputs",
            )

    def _in_parts(self, learner: Learner, batch: Batch, config: LoopConfig) -> Differentiated:
        """`_differentiate` of a batch, or the mean over its parts by their rows: the same up to rounding."""
        if config.accumulate == 1:
            return self._differentiate(learner, batch, config.bfloat16)
        value, gradient, used = 0.0, torch.cat(self._zeros), [False] * len(self.parameters)
        logged: dict[str, float] = {}
        for share, part in parts_of(batch, config.accumulate):
            v, more, g, its = self._differentiate(learner, part, config.bfloat16)
            value, gradient = value + share * v, gradient.add_(g, alpha=share)
            logged = {name: logged.get(name, 0.0) + share * one for name, one in more.items()}
            used = [before or now for before, now in zip(used, its, strict=True)]
        return value, logged, gradient, used

    def _differentiate(self, learner: Learner, batch: Batch, bfloat16: bool = False) -> Differentiated:
        """A learner's loss, what it logs, its gradient as one vector, and which trained parameters it uses."""
        by_hand = None if bfloat16 else getattr(learner, "gradients", None)
        found: Gradients | None = by_hand(self.network, batch) if by_hand is not None else None
        if found is not None:
            if found.vector is not None and self._in_order(found.parameters):
                return found.value, found.metrics, found.vector, self._every
            pieces: list[Tensor | None] = [None] * len(self.parameters)
            for parameter, gradient in zip(found.parameters, found.gradients, strict=True):
                pieces[self._position[id(parameter)]] = gradient
            return found.value, found.metrics, self._joined(pieces), [piece is not None for piece in pieces]
        with torch.autocast(self._zeros[0].device.type, torch.bfloat16, enabled=bfloat16):
            value, logged = learner.loss(self.network, batch)
        # An unused tensor gets None: a forecaster has no gradient for the encoder of the position.
        pieces = self._gradients(value)
        used = [piece is not None for piece in pieces]
        return float(value.detach()), {k: float(v) for k, v in logged.items()}, self._joined(pieces), used

    def _gradients(self, value: Tensor) -> list[Tensor | None]:
        """By parameter; None of what `value` does not use, and of what is frozen now (`train.unfreezing`)."""
        moving = [p for p in self.parameters if p.requires_grad]
        found = iter(torch.autograd.grad(value, moving, allow_unused=True))
        return [next(found) if p.requires_grad else None for p in self.parameters]

    def _in_order(self, parameters: list[nn.Parameter]) -> bool:
        """These are all the trained parameters, in their order; a list that was looked at once is known."""
        if parameters is not self._ordered:
            if [id(p) for p in parameters] != [id(p) for p in self.parameters]:
                return False
            self._ordered = parameters
        return True

    def _joined(self, pieces: Sequence[Tensor | None]) -> Tensor:
        return torch.cat([zero if g is None else g.reshape(-1) for g, zero in zip(pieces, self._zeros, strict=True)])

    def _checked(self, task: str, value: float, gradient: Tensor, weight: float, config: LoopConfig) -> Tensor:
        """Refuse what is not finite, naming it; clip; weigh."""
        norm = float(torch.linalg.vector_norm(gradient))
        if not (math.isfinite(value) and math.isfinite(norm)):
            pieces = torch.split(gradient, [p.numel() for p in self.parameters])
            bad = [n for n, g in zip(self.names, pieces, strict=True) if not bool(g.isfinite().all())]
            what = f"the loss is {value}" if not math.isfinite(value) else "the gradient is not finite"
            raise TrainingFault(
                f"task '{task}': {what} at update {self.update}" + (f" (first in '{bad[0]}')." if bad else "."),
                where=f"update {self.update}, learner of '{task}', seed {config.seed}",
                mend="earlier checkpoints are intact: lower the learning rate, or look for extreme inputs",
            )
        scale, clip = weight, config.clip
        if clip is not None and norm > clip:
            scale *= clip / (norm + 1e-12)
        return gradient if scale == 1.0 else gradient * scale

    def _assign(self, rows: list[Tensor], used: Sequence[bool]) -> None:
        """Give the combined gradient to the optimiser."""
        total = rows[0] if rows else torch.cat(self._zeros)
        for row in rows[1:]:
            total = total + row
        if self.combine is not None and len(rows) > 1:
            total[self._shared] = self.combine(torch.stack([row[self._shared] for row in rows]))
        for part in self.parts:
            penalty = part.penalty()
            if penalty is not None:
                extra = self._gradients(penalty)
                used = [before or piece is not None for before, piece in zip(used, extra, strict=True)]
                total = total + self._joined(extra)
        if self.flat is not None:
            self.flat.assign(total if any(used) else None)
            return
        pieces = torch.split(total, [p.numel() for p in self.parameters])
        for parameter, gradient, there in zip(self.parameters, pieces, used, strict=True):
            parameter.grad = gradient.view_as(parameter) if there else None

    def get_state(self) -> State:
        """Everything that resuming needs; arrays and JSON only."""
        state: dict[str, Any] = {
            "update": self.update,
            "network": dict(self.network.state_dict()),
            "optimiser": get_optimiser_state(self.optimiser),
            "learners": [learner.get_state() for learner in self.learners],
            "parts": [part.get_state() for part in self.parts],
            "history": self.history.get_state(),
        }
        return state

    def set_state(self, state: State) -> None:
        self.update = int(state["update"])
        self.network.load_state_dict(state["network"])
        set_optimiser_state(self.optimiser, state["optimiser"])
        for learner, saved in zip(self.learners, state["learners"], strict=True):
            learner.set_state(saved)
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.set_state(saved)
        self.history.set_state(state["history"])
