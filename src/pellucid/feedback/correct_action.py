"""Correct actions: what a person's "there you should have done that" becomes (the correction of DAgger, as a delta).

The shown action of every shown state is learned by the loss of imitation. In other states that the base visits, its own
action is learned by the same loss, with less weight, and its value is kept: so the few do not outweigh what was right.
(Anchoring the outputs themselves was tried: a policy that is unsure everywhere then cannot become sure anywhere.) The
base's normaliser stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.core.task import Task
from pellucid.nn.network import Network
from pellucid.nn.outputs import choices, trained_space
from pellucid.rl.distributions import act
from pellucid.rl.imitation import action_scores, imitation_loss
from pellucid.train.learner import Loss, State

Blocks = dict[str, Tensor]


@dataclass(frozen=True)
class CorrectActionConfig:
    """Settings of the correction.

    Args:
        show: False gives the control: the same delta and budget without the shown actions.
        anchor: weight of the base's own actions and value in the states that it visits, against the shown actions.
        batch: shown states, and as many others, per update.
    """

    show: bool = True
    anchor: float = 0.1
    batch: int = 128


class CorrectActionBatch(NamedTuple):
    shown: Blocks  # n rows
    action: Tensor  # (n,) or (n, k)
    others: Blocks  # m rows
    kept: Tensor  # (m,) or (m, k): what the base does there
    value: Tensor  # (m, 1): what the base thinks they are worth, in the training space


class CorrectAction:
    """The Learner of corrected actions.

    Args:
        task: a control task.
        network: the base, *before* the delta is attached: the anchor is computed here.
        shown: blocks of the shown states, each (n, columns).
        action: (n,) or (n, k): what should have been done there.
        others: blocks of states that the base visits.
    """

    rowwise = True

    def __init__(
        self,
        task: Task,
        network: Network,
        shown: Blocks,
        action: Tensor,
        others: Blocks,
        config: CorrectActionConfig,
        *,
        seed: int,
    ) -> None:
        if not len(action):
            raise DataError(f"task '{task.name}' has no shown action.", where="CorrectAction", mend="show at least one")
        self.task, self.config, self.seed = task, config, seed
        self._shown, self._action = {name: shown[name] for name in task.inputs}, action
        self._others = {name: others[name] for name in task.inputs}
        with torch.no_grad():
            scores = action_scores(task, network, self._others)
            self._kept = scores if task.options["space"] == "box" else act({"policy": scores}, None, choices(task))
            self._value = trained_space(task, network, self._others)[:, -1:]
        self._scale = self._value.std(unbiased=False).clamp(min=1e-6)
        self._drawn = 0

    def next_batch(self, network: nn.Module) -> CorrectActionBatch:
        draw = stream(self.seed, f"correct-action/{self.task.name}", self._drawn)
        n, m = len(self._action), len(self._kept)
        some, rest = (
            torch.from_numpy(draw.choice(size, size=min(self.config.batch, size), replace=False)) for size in (n, m)
        )
        self._drawn += 1
        return CorrectActionBatch(
            {name: block[some] for name, block in self._shown.items()},
            self._action[some],
            {name: block[rest] for name, block in self._others.items()},
            self._kept[rest],
            self._value[rest],
        )

    def loss(self, network: nn.Module, batch: CorrectActionBatch) -> Loss:
        scores = action_scores(self.task, network, batch.others)
        value = trained_space(self.task, network, batch.others)[:, -1:]
        kept = imitation_loss(self.task, scores, batch.kept).mean()
        kept = kept + ((value - batch.value) / self._scale).square().mean()
        if not self.config.show:
            return Loss(kept, {"anchor": kept.detach()})
        said = imitation_loss(self.task, action_scores(self.task, network, batch.shown), batch.action).mean()
        return Loss(said + self.config.anchor * kept, {"anchor": kept.detach(), "shown": said.detach()})

    def after_step(self, network: nn.Module, metrics: dict[str, float]) -> None:
        return None

    def get_state(self) -> State:
        return {"drawn": self._drawn}

    def set_state(self, state: State) -> None:
        self._drawn = int(state["drawn"])
