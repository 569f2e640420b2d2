"""The network of a fit: of the kind that the spec names, sized by the fields and the tasks' heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pellucid.assemble.encoders import describe, sized
from pellucid.assemble.transfer import Start
from pellucid.core.errors import SpecError
from pellucid.core.schema import Field
from pellucid.core.task import Task
from pellucid.data.encoding import Scale
from pellucid.nn.ensemble import EnsembleNetwork
from pellucid.nn.network import Network
from pellucid.nn.outputs import ALL as OUTPUTS
from pellucid.nn.outputs import network_inputs
from pellucid.nn.series import SeriesNetwork
from pellucid.nn.tokens import TokensNetwork
from pellucid.spec.model import Spec
from pellucid.spec.series import SeriesData

MIX = {"classify": "probability", "multilabel": "each"}  # of which an ensemble's members give the mean


@dataclass(frozen=True)
class Plan:
    """What a network is made of.

    Args:
        fields: inputs of the schema, by name.
        tasks: by name.
        blocks: the encoded training part, by whose quantiles numbers are cut; empty without rows.
        widths: field -> columns of its block, of those that some task reads.
        inputs, heads, encoders: see `Network`.
        normalise: fields that get a running normaliser.
    """

    fields: Mapping[str, Field]
    tasks: Mapping[str, Task]
    blocks: Mapping[str, Tensor]
    widths: dict[str, int]
    inputs: dict[str, tuple[str, ...]]
    heads: dict[str, dict[str, int]]
    encoders: dict[str, dict[str, Any]]
    normalise: tuple[str, ...]

    @property
    def numbers(self) -> list[str]:
        """The fields that can be cut into pieces."""
        kinds = ("numeric", "series")
        return [name for name in self.widths if name not in self.encoders and self.fields[name].kind in kinds]


def make_network(
    spec: Spec,
    fields: tuple[Field, ...],
    tasks: Mapping[str, Task],
    blocks: Mapping[str, Tensor],
    scales: Mapping[str, Scale],
    *,
    normalise: tuple[str, ...],
    seed: int,
    start: Start | None = None,
) -> Network:
    """A network with its first weights; with the encoders of the version that a fit begins with."""
    inputs = {t.name: network_inputs(t) for t in tasks.values()}
    widths = {f.name: scales[f.name].columns for f in fields if any(f.name in r for r in inputs.values())}
    heads = {t.name: OUTPUTS[t.form].head_widths(t) for t in tasks.values()}
    named = {f.name: f for f in fields}
    encoders = sized(describe(spec, {name: named[name] for name in widths}, scales), blocks)
    if start is not None:
        encoders = start.described(encoders)
    plan = Plan(named, tasks, blocks, widths, inputs, heads, encoders, normalise)
    kind = spec.network.kind
    return (_series if isinstance(spec.data, SeriesData) and kind != "ensemble" else ALL[kind])(spec, plan, seed)


def _mlp(spec: Spec, plan: Plan, seed: int) -> Network:
    tasks = plan.tasks.values()
    return Network(
        plan.widths,
        plan.inputs,
        plan.heads,
        width=spec.network.width,
        depth=spec.network.depth,
        activation=spec.network.activation,
        normalise=plan.normalise,
        critics={t.name: t.options["actions"] for t in tasks if t.options.get("algorithm") == "sac"},
        images={n: f.shape for n, f in plan.fields.items() if f.kind == "image" and n not in plan.encoders},
        encoders=plan.encoders,
        seed=seed,
    )


def _ensemble(spec: Spec, plan: Plan, seed: int) -> Network:
    network = EnsembleNetwork(
        plan.widths,
        plan.inputs,
        plan.heads,
        width=spec.network.width,
        depth=spec.network.depth,
        members=spec.network.members,
        pieces=spec.network.pieces,
        numbers=plan.numbers,
        mix={t.name: MIX.get(t.kind, "mean") for t in plan.tasks.values()},
        encoders=plan.encoders,
        # What a trained encoder says of a text or an image changes under an expert that stays.
        expert=spec.network.expert and not plan.encoders and spec.train.early_stop.held_out is not None,
        scaled=True,
        seed=seed,
    )
    network.cut(plan.blocks)
    return network


def _tokens(spec: Spec, plan: Plan, seed: int) -> Network:
    if not plan.blocks:
        raise SpecError(
            "tokens are for rows; this program only meets an environment.", where="network.kind", mend="use mlp"
        )
    width, attention = spec.network.width, spec.network.attention
    if width % attention:
        raise SpecError(
            f"a width of {width} cannot be shared by {attention} heads of attention.",
            where="network",
            mend="make network.width a multiple of network.attention",
        )
    network = TokensNetwork(
        plan.widths,
        plan.inputs,
        plan.heads,
        width=width,
        depth=spec.network.depth,
        attention=attention,
        pieces=spec.network.pieces,
        numbers=plan.numbers,
        encoders=plan.encoders,
        seed=seed,
    )
    network.cut(plan.blocks)
    return network


def _series(spec: Spec, plan: Plan, seed: int) -> Network:
    """Its steps are read by the encoders that `describe` chose by the kind."""
    (task,) = plan.tasks.values()
    group = task.options["group"]
    read = [task.options["lags"], task.options["mean"]]
    return SeriesNetwork(
        plan.widths,
        plan.inputs,
        plan.heads,
        width=spec.network.width,
        depth=spec.network.depth,
        activation=spec.network.activation,
        encoders=plan.encoders,
        starts={task.name: {"fields": read, "group": group, "entries": plan.widths[group] if group else 1}},
        seed=seed,
    )


ALL: dict[str, Callable[[Spec, Plan, int], Network]] = {
    "mlp": _mlp,
    "ensemble": _ensemble,
    "tokens": _tokens,
    "tcn": _mlp,
    "transformer": _mlp,
}
