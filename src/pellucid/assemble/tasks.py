"""The tasks of a problem, and the schema of a program that does them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gymnasium import spaces

from pellucid.assemble.problem import Problem
from pellucid.assemble.targets import on_target
from pellucid.core.errors import DataError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task
from pellucid.envs.names import PRICE, TRADING
from pellucid.envs.vectorise import VectorAdapter
from pellucid.spec.model import ControlTask
from pellucid.spec.series import FUTURE, HorizonsTask, SeriesData

POSITIONS = ("short", "flat", "long")  # actions 0, 1, 2 of the trading environment


def declare(prob: Problem, train: Rows | None, envs: Mapping[str, VectorAdapter]) -> dict[str, Task]:
    """The tasks of a problem; what a target's scale needs comes from the training part only."""
    names = tuple(f.name for f in prob.fields if f.name != "position")
    tasks: dict[str, Task] = {}
    texts = ("tfidf",) if any(f.kind == "text" for f in prob.fields) else ()
    for name, spec in prob.spec.tasks.items():
        if spec.kind == "forecast":
            quantiles = list(spec.quantiles)
            outputs = tuple(f"q{round(100 * q):02d}" for q in quantiles)
            options: dict[str, Any] = {"quantiles": quantiles, "horizon": 1, "target": "forecast"}
            tasks[name] = Task(
                name,
                "forecast",
                names,
                outputs,
                "log return",
                "pinball",
                ("mean", "persistence", "ar1", "garch"),
                options,
            )
        elif spec.kind == "volatility":
            options = {"horizon": spec.horizon, "target": "risk"}
            tasks[name] = Task(
                name,
                "volatility",
                names,
                ("log_variance",),
                "log variance",
                "qlike",
                ("mean", "persistence", "garch"),
                options,
            )
        elif isinstance(spec, HorizonsTask):
            tasks[name] = _horizons(name, spec, prob, names)
        elif isinstance(spec, ControlTask):
            tasks[name] = _control(name, spec, prob, names, envs[name])
        else:
            assert train is not None
            task = on_target(name, spec, prob.classes, names, train)
            if texts and task.form in ("classify", "regress"):
                task = replace(task, baselines=(task.baselines[0], *texts, *task.baselines[1:]))
            tasks[name] = task
    return tasks


def _horizons(name: str, spec: HorizonsTask, prob: Problem, names: tuple[str, ...]) -> Task:
    data = prob.spec.data
    assert isinstance(data, SeriesData)
    options: dict[str, Any] = {
        "quantiles": list(spec.quantiles),
        "horizon": data.horizon,
        "window": data.window,
        "season": prob.season,
        "target": FUTURE,
        "level": f"{data.target}.level",
        "scale": f"{data.target}.scale",
        "lags": data.target,
        "mean": f"{data.target}.mean",
        "group": data.group,
        "transform": data.transform,
        "start": spec.start,
    }
    outputs = tuple(f"h{h}_q{100 * q:02g}" for h in range(1, data.horizon + 1) for q in spec.quantiles)
    baselines = ("persistence", *(("seasonal_naive",) if prob.season > 1 else ()), "autoregression", "ets")
    metric = {"pinball": "scaled_pinball", "mase": "mase"}[spec.metric]
    return Task(name, "horizons", names, outputs, f"units of {data.target}", metric, baselines, options)


def _control(name: str, spec: ControlTask, prob: Problem, names: tuple[str, ...], env: VectorAdapter) -> Task:
    options: dict[str, Any] = {"env": spec.env, "discount": spec.settings.discount, "algorithm": spec.algorithm}
    scores = spec.algorithm == "dqn"  # its outputs are returns, not log-odds
    if scores:
        options["duelling"] = spec.dqn.duelling
    if prob.rows is not None and spec.env == TRADING:
        options |= {"space": "discrete", "actions": 3, "action_names": list(POSITIONS), "cost_bps": spec.cost_bps}
        baselines: tuple[str, ...] = ("cash", "buy_and_hold", "momentum")
        unit = "return" if scores else "logit"
        outputs = (*POSITIONS, "value")
        return Task(name, "control", (*names, "position"), outputs, unit, "negative_reward", baselines, options)
    space, count = action_count(env)
    actions = [f"action_{i}" for i in range(count)]
    options |= {"space": space, "actions": count}
    if space == "multi_discrete":
        options["nvec"] = nvec = choices_of(env.action_space)
        actions = [f"action_{i}={choice}" for i, n in enumerate(nvec) for choice in range(n)]
    options["action_names"] = actions
    if space == "box":
        box: Any = env.action_space
        options |= {"low": box.low.tolist(), "high": box.high.tolist()}
    if spec.env_options:
        options["env_options"] = dict(spec.env_options)
    inputs = tuple(f.name for f in env.fields)
    if prob.rows is not None and spec.env in PRICE:
        options["target"] = "forecast"
        baselines = ("mean", "persistence", "ar1", "garch")
        return Task(name, "control", inputs, ("next_return", "value"), "percent", "squared_error", baselines, options)
    return Task(
        name,
        "control",
        inputs,
        (*actions, "value"),
        "return" if scores else "action" if space == "box" else "logit",
        "negative_reward",
        ("random", "best_constant_action"),
        options,
    )


def action_count(env: VectorAdapter) -> tuple[str, int]:
    """(kind of action, number of scores or dimensions) of an environment that PPO can act in.

    The kinds: `discrete`; `multi_discrete`, several choices at once, whose scores lie side by side; `box`.
    """
    space: Any = env.action_space
    if isinstance(space, spaces.Discrete):
        return "discrete", int(space.n)
    if isinstance(space, (spaces.MultiDiscrete, spaces.MultiBinary)) and len(space.shape) == 1:
        return "multi_discrete", sum(choices_of(space))
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return "box", int(space.shape[0])
    raise DataError(
        f"the action space {space} is not supported.",
        where=f"environment '{env.env_id}'",
        mend="use an environment with Discrete, MultiDiscrete, MultiBinary or Box actions of one dimension",
    )


def choices_of(space: spaces.Space[Any]) -> list[int]:
    """Choices of each component of a MultiDiscrete action; a MultiBinary one is the case of two each."""
    if isinstance(space, spaces.MultiDiscrete):
        return [int(n) for n in space.nvec]
    assert isinstance(space, spaces.MultiBinary)
    return [2] * int(space.shape[0])


def make_schema(fields: tuple[Field, ...], tasks: dict[str, Task]) -> Schema:
    """Inputs and outputs of a program."""
    outputs = {t.name: tuple(Field(o, "numeric", 1, t.unit) for o in t.outputs) for t in tasks.values()}
    return Schema(fields, outputs)
