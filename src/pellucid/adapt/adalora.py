"""AdaLoRA: low rank as P Lambda Q, the ranks shared out by importance (Zhang et al. 2023, arXiv 2303.10512).

A triplet is one column of P, one entry of Lambda and one row of Q. After every update the triplets of all targets
compete; the losers' Lambda is set to zero. They may come back while the budget falls. `finish()` drops what is over
the final budget, so that the promise also holds for a run that stops early.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.adapt.carrier import Carrier, join
from pellucid.adapt.low_rank import Factors, fan
from pellucid.adapt.targets import Layer
from pellucid.core.errors import DeltaError
from pellucid.core.random import stream

LETTERS = ("Lambda", "P", "Q")


@dataclass(frozen=True, kw_only=True)
class AdaLoRAConfig:
    """
    Args:
        steps: updates that the schedule covers; the run may stop earlier.
        start_rank: of every target at the start, at most what its weight can have.
        budget: average final rank; times the number of targets it bounds the sum of the final ranks.
        alpha: scale of the term P Lambda Q.
        targets: names, containers or globs; empty for every Linear outside the heads.
        warmup: share of `steps` at the start with every triplet alive.
        cooldown: share of `steps` at the end on the final budget.
        beta1, beta2: smoothing of sensitivity and of its uncertainty.
        orthogonality: weight of the penalty |P'P - I|^2 + |QQ' - I|^2.
        seed: of P and Q.
    """

    steps: int
    start_rank: int = 6
    budget: float = 4.0
    alpha: float = 16.0
    targets: tuple[str, ...] = ()
    warmup: float = 0.1
    cooldown: float = 0.3
    beta1: float = 0.85
    beta2: float = 0.85
    orthogonality: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        rules = {
            f"steps={self.steps} must be at least 1": self.steps >= 1,
            f"start_rank={self.start_rank} must be at least 1": self.start_rank >= 1,
            f"budget={self.budget} must be above 0 and at most start_rank": 0 < self.budget <= self.start_rank,
            f"alpha={self.alpha} must be above 0": self.alpha > 0,
            f"warmup={self.warmup} + cooldown={self.cooldown} must be below 1": (
                min(self.warmup, self.cooldown) >= 0 and self.warmup + self.cooldown < 1
            ),
            f"beta1={self.beta1} and beta2={self.beta2} must be in [0, 1)": (
                min(self.beta1, self.beta2) >= 0 and max(self.beta1, self.beta2) < 1
            ),
            f"orthogonality={self.orthogonality} must not be negative": self.orthogonality >= 0,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise DeltaError("; ".join(broken) + ".", where="AdaLoRAConfig(...)", mend="change these values")


class AdaLoRA:
    """Differs from the paper: P and Q start orthonormal instead of Gaussian, so the penalty starts at zero."""

    kind = "adalora"

    def __init__(self, config: AdaLoRAConfig) -> None:
        self.config = config
        self._carrier = Carrier(self, self._make, self._factors)
        self._sensitivity: dict[str, Tensor] = {}
        self._uncertainty: dict[str, Tensor] = {}
        self._ticks = 0
        self._finished = False

    def _make(self, name: str, layer: Layer) -> dict[str, Tensor]:
        out, fan_in = fan(layer)
        rank = min(self.config.start_rank, out, fan_in)
        tensors = {"Lambda": torch.zeros(rank)}
        for letter, width in (("P", out), ("Q", fan_in)):
            normal = stream(self.config.seed, f"adalora/{name}/{letter}").standard_normal((width, rank))
            orthonormal = torch.from_numpy(np.linalg.qr(normal).Q)
            tensors[letter] = orthonormal if letter == "P" else orthonormal.t().contiguous()
        return tensors

    def _triplets(self, name: str) -> tuple[nn.Parameter, nn.Parameter, nn.Parameter] | None:
        """Lambda (r,), P (out, r), Q (r, fan_in); None for rank 0."""
        values, p, q = (self._carrier.get(name, letter) for letter in LETTERS)
        return None if values is None or p is None or q is None else (values, p, q)

    def _factors(self, name: str) -> Factors | None:
        triplets = self._triplets(name)
        if triplets is None:
            return None
        values, p, q = triplets
        return Factors(values[:, None] * q, p, self.config.alpha)

    def penalty(self) -> Tensor | None:
        """orthogonality * sum over targets of |P'P - I|^2 + |QQ' - I|^2 (equation 4)."""
        if not self.config.orthogonality or self._finished:
            return None
        total: Tensor | None = None
        for name in self._carrier.targets:
            triplets = self._triplets(name)
            if triplets is None:
                continue
            values, p, q = triplets
            one = torch.eye(len(values), dtype=p.dtype, device=p.device)
            term = (p.t() @ p - one).square().sum() + (q @ q.t() - one).square().sum()
            total = term if total is None else total + term
        return None if total is None else self.config.orthogonality * total

    def budget(self) -> int:
        """The sum of ranks that is never exceeded once finished."""
        return int(self.config.budget * len(self._carrier.targets))

    def allowed(self, tick: int) -> int:
        """How many triplets are alive after `tick` updates: a cubic fall from all of them to the budget (eq. 12)."""
        start = sum(len(triplets[0]) for name in self._carrier.targets if (triplets := self._triplets(name)))
        end = min(self.budget(), start)
        begin, stop = self.config.warmup * self.config.steps, (1 - self.config.cooldown) * self.config.steps
        left = min(max(1 - (tick - begin) / (stop - begin), 0.0), 1.0)
        return int(end + (start - end) * left**3)

    @torch.no_grad()
    def after_step(self, update: int) -> None:
        """Renew the importances from this update's gradients and silence the triplets over the budget.

        `update` is not used: the schedule follows the delta's own count, which its state carries.
        """
        if self._finished:
            raise DeltaError(
                "this AdaLoRA delta is finished, its ranks are fixed.",
                where=f"after_step({update})",
                mend="train a new delta on top of it",
            )
        for key, parameter in self._carrier.parameters.items():
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            now = (parameter * gradient).abs()
            smooth = self._sensitivity.setdefault(key, torch.zeros_like(now))
            smooth.lerp_(now, 1 - self.config.beta1)
            spread = self._uncertainty.setdefault(key, torch.zeros_like(now))
            spread.lerp_((now - smooth).abs(), 1 - self.config.beta2)
        self._ticks += 1
        for name, alive in self._alive(self.allowed(self._ticks)).items():
            self._carrier.parameters[join(name, "Lambda")].mul_(alive)

    def importance(self) -> dict[str, Tensor]:
        """Of each triplet (r,): its Lambda's score plus the mean scores of its column of P and row of Q (eq. 8-11)."""
        scores = {}
        for name in self._carrier.targets:
            keys = [join(name, letter) for letter in LETTERS]
            if all(key in self._sensitivity for key in keys):
                values, p, q = (self._sensitivity[key] * self._uncertainty[key] for key in keys)
                scores[name] = values + p.mean(0) + q.mean(1)
        return scores

    def _alive(self, allowed: int) -> dict[str, Tensor]:
        """A mask (r,) for each target; ties go to the earlier triplet, so that a run repeats."""
        scores = self.importance()
        if not scores:
            return {}
        joint = torch.cat(list(scores.values()))
        mask = torch.zeros_like(joint)
        mask[torch.argsort(joint, descending=True, stable=True)[:allowed]] = 1
        parts = torch.split(mask, [len(score) for score in scores.values()])
        return dict(zip(scores, parts, strict=True))

    @torch.no_grad()
    def finish(self) -> None:
        """Drop the triplets over the final budget for good.

        Raises:
            DeltaError: `after_step` was never called, so nothing is known of the triplets' importance.
        """
        if self._finished:
            return
        if self._ticks == 0:
            raise DeltaError(
                "this AdaLoRA delta was never ticked, so its ranks were never shared out.",
                where="finish()",
                mend="call after_step(update) after every optimiser step (give the delta to the loop as a part)",
            )
        for name, alive in self._alive(self.budget()).items():
            keep = alive.bool()
            for letter in LETTERS:
                old = self._carrier.parameters.pop(join(name, letter))
                if keep.any():
                    kept = old[:, keep] if letter == "P" else old[keep]
                    self._carrier.parameters[join(name, letter)] = nn.Parameter(kept.clone())
        self._sensitivity, self._uncertainty, self._finished = {}, {}, True

    def attach(self, network: nn.Module) -> None:
        self._carrier.attach(network)

    def detach(self) -> None:
        self._carrier.detach()

    def parameters(self) -> dict[str, nn.Parameter]:
        return dict(self._carrier.parameters)

    def get_state(self) -> dict[str, Any]:
        return {
            **self._carrier.get_state(),
            "ticks": self._ticks,
            "finished": self._finished,
            "sensitivity": {key: tensor.clone() for key, tensor in self._sensitivity.items()},
            "uncertainty": {key: tensor.clone() for key, tensor in self._uncertainty.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._carrier.set_state(state)
        self._ticks, self._finished = state["ticks"], state["finished"]
        self._sensitivity = {key: tensor.clone() for key, tensor in state["sensitivity"].items()}
        self._uncertainty = {key: tensor.clone() for key, tensor in state["uncertainty"].items()}

    def manifest(self) -> dict[str, Any]:
        """Raises DeltaError before `finish()`: what is over the budget must not be saved."""
        if not self._finished:
            raise DeltaError(
                f"this AdaLoRA delta is not finished ({self._ticks} of {self.config.steps} updates seen).",
                where="manifest()",
                mend="call finish() when training ends, also when it ends early",
            )
        return self._carrier.manifest(self.budget(), "Lambda")

    def count(self) -> int:
        return self._carrier.count()

    def merged(self, network: nn.Module) -> nn.Module:
        return self._carrier.merged(network)
