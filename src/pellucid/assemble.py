"""Assemble: a spec and its data become tasks, a network, learners and a trainer; trained, they become a program.

`problem(spec)` reads the data once; `assemble(problem, train)` builds everything on a training part only, so a fold
of the evidence and the final fit go through the same lines.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.core.errors import DataError, SpecError
from pellucid.core.random import derive
from pellucid.core.rows import Index, Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task
from pellucid.data.encoding import RAW, Encoding, Scale, identity
from pellucid.data.prices import PriceTable, load_prices, schema_fields, stale_open_share, windows
from pellucid.data.tables import read_table
from pellucid.envs.vectorise import VectorAdapter
from pellucid.envs.vectorise import make as make_env
from pellucid.multitask import ALL as COMBINES
from pellucid.nn.network import Network
from pellucid.nn.outputs import ALL as OUTPUTS
from pellucid.nn.program import NetworkProgram
from pellucid.optim import ELEMENTWISE, Flat
from pellucid.optim import build as build_optimiser
from pellucid.optim.schedule_free import ScheduleFree
from pellucid.optim.schedules import Schedule
from pellucid.rl import build as build_learner
from pellucid.spec.model import IN_MEMORY, ControlTask, PricesData, Spec, TableData
from pellucid.supervised.learner import Supervised
from pellucid.train.learner import Learner
from pellucid.train.loop import LoopConfig, Trainer

STALE = 0.05  # share of days of a year whose open repeats the last close
TRADING = "pellucid/StockTrading-v0"
PRICE = ("pellucid/StockPrice-v0", "StockPrice-v0")
POSITIONS = ("short", "flat", "long")  # actions 0, 1, 2 of the trading environment


@dataclass(frozen=True)
class Problem:
    """A spec with its data read: what every fit of it starts from.

    Args:
        rows: all rows in raw units, or None when there is only an environment.
        fields: inputs of the schema.
        purge: rows left out between training and test, so that no label of one reaches into the other.
        classes: of a classification target, in code order.
        notes: what was dropped or changed while reading, for the evidence.
        data_sha: SHA-256 over keys, fields and targets.
    """

    spec: Spec
    rows: Rows | None
    fields: tuple[Field, ...]
    purge: int = 0
    classes: tuple[str, ...] = ()
    target_kind: str = ""
    notes: tuple[str, ...] = ()
    data_sha: str = ""

    @property
    def trades(self) -> bool:
        """One of the tasks trades these very prices."""
        return self.rows is not None and any(
            isinstance(t, ControlTask) and t.env == TRADING for t in self.spec.tasks.values()
        )


def problem(spec: Spec, source: Any = None) -> Problem:
    """Read the data of a spec.

    Args:
        spec: what is to be learned.
        source: a DataFrame or path that replaces the spec's own source.
    """
    data = spec.data
    if source is None and data is not None and data.source == IN_MEMORY:
        raise DataError(
            f"'{spec.name}' was fitted on a table in memory, which is not kept.",
            where="data.source",
            mend="give it again: source=frame in Python, --data FILE on the command line",
        )
    if isinstance(data, PricesData):
        horizon = max((getattr(t, "horizon", 1) for t in spec.tasks.values()), default=1)
        where = source if source is not None else spec.source or ""
        table = load_prices(where, start=_text(data.start), end=_text(data.end))
        rows = windows(table, data.window, data.scale_days, horizon)
        following = np.append(rows.extra["simple_return"][1:], np.nan)
        rows = replace(rows, extra={**rows.extra, "next_return": following})
        trades = any(isinstance(t, ControlTask) and t.env == TRADING for t in spec.tasks.values())
        fields = schema_fields(data.window, position=trades)
        # A position decided at t earns t+1 -> t+2, so two days at least.
        return Problem(spec, rows, fields, max(horizon, 2), notes=_stale(table), data_sha=_fingerprint(rows))
    if isinstance(data, TableData):
        declared = next((t.kind for t in spec.tasks.values() if t.kind in ("classify", "regress")), None)
        where = source if source is not None else spec.source or ""
        read = read_table(where, data.target, data.id, data.drop, kind=declared)
        if not spec.tasks:
            spec = spec.replace({f"tasks.{task_name(data.target)}": {"kind": read.kind}})
        return Problem(
            spec,
            read.rows,
            read.fields,
            classes=read.classes,
            target_kind=read.kind,
            notes=tuple(read.notes),
            data_sha=_fingerprint(read.rows),
        )
    if source is not None:
        raise SpecError(
            f"'{spec.name}' learns from an environment and reads no rows.",
            where=str(source)[:80],
            mend="leave the data out, or give a spec with a `data` section",
        )
    return Problem(spec, None, (), data_sha=_shown_sha(spec))


def _shown_sha(spec: Spec) -> str:
    """SHA-256 of the files of shown actions; empty without any."""
    declared = [t for t in spec.tasks.values() if isinstance(t, ControlTask) and t.algorithm == "bc"]
    files = [path for t in declared if (path := Path(spec.located(t.bc.demonstrations))).is_file()]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest() if files else ""


def _stale(table: PriceTable) -> tuple[str, ...]:
    """A warning when the opens are no prices that one could have traded at."""
    worst = {year: share for year, share in stale_open_share(table).items() if share > STALE}
    if not worst:
        return ()
    years = f"{min(worst)}-{max(worst)}" if len(worst) > 1 else f"{next(iter(worst))}"
    return (
        f"open repeats the last close on up to {max(worst.values()):.0%} of the days in {years}: "
        "a fill at the open would trade at a price already seen; trades are filled at the next close",
    )


def task_name(target: str) -> str:
    """A task name from a column's name."""
    name = re.sub(r"[^a-z0-9_]+", "_", target.lower()).strip("_")
    return name if name[:1].isalpha() else f"target_{name}".rstrip("_")


def _text(day: Any) -> str | None:
    return None if day is None else str(day)


def _fingerprint(rows: Rows) -> str:
    digest = hashlib.sha256("\n".join(rows.keys).encode())
    for group in (rows.fields, rows.targets):
        for name in sorted(group):
            values = group[name]
            digest.update(name.encode())
            digest.update(
                "\x1f".join(map(str, values)).encode()
                if values.dtype.kind in "OUS"
                else np.ascontiguousarray(values).tobytes()
            )
    return digest.hexdigest()


# Tasks


def declare(prob: Problem, train: Rows | None, envs: Mapping[str, VectorAdapter]) -> dict[str, Task]:
    """The tasks of a problem; what a target's scale needs comes from the training part only."""
    names = tuple(f.name for f in prob.fields if f.name != "position")
    tasks: dict[str, Task] = {}
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
        elif isinstance(spec, ControlTask):
            tasks[name] = _control(name, spec, prob, names, envs[name])
        elif spec.kind == "classify":
            classes = list(prob.classes)
            outputs = (classes[1],) if len(classes) == 2 else tuple(classes)
            unit = "logit"
            baselines = ("majority", "linear", "hist_gradient_boosting")
            tasks[name] = Task(
                name, "classify", names, outputs, unit, "log_loss", baselines, {"classes": classes, "target": "target"}
            )
        else:
            assert train is not None
            y = np.asarray(train.targets["target"], dtype=np.float64)
            options = {"mean": float(y.mean()), "sd": float(y.std()) or 1.0, "target": "target"}
            baselines = ("mean", "linear", "hist_gradient_boosting")
            tasks[name] = Task(
                name, "regress", names, ("prediction",), "target units", "squared_error", baselines, options
            )
    return tasks


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
    discrete, count = action_count(env)
    actions = [f"action_{i}" for i in range(count)]
    options |= {"space": "discrete" if discrete else "box", "actions": count, "action_names": actions}
    if not discrete:
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
        "return" if scores else "logit" if discrete else "action",
        "negative_reward",
        ("random", "best_constant_action"),
        options,
    )


def action_count(env: VectorAdapter) -> tuple[bool, int]:
    """(discrete?, number of actions or dimensions) of an environment that PPO can act in."""
    space: Any = env.action_space
    if hasattr(space, "n"):
        return True, int(space.n)
    if getattr(space, "shape", None) is not None and len(space.shape) == 1 and hasattr(space, "low"):
        return False, int(space.shape[0])
    raise DataError(
        f"the action space {space} is not supported.",
        where=f"environment '{env.env_id}'",
        mend="use an environment with Discrete or one-dimensional Box actions",
    )


def make_schema(fields: tuple[Field, ...], tasks: dict[str, Task]) -> Schema:
    """Inputs and outputs of a program."""
    outputs = {t.name: tuple(Field(o, "numeric", 1, t.unit) for o in t.outputs) for t in tasks.values()}
    return Schema(fields, outputs)


# Building


@dataclass
class Assembly:
    """Everything that one fit needs, and the program that it will become."""

    program: NetworkProgram
    trainer: Trainer
    config: LoopConfig
    schedule: Schedule
    learners: list[Learner]

    @property
    def resumable(self) -> bool:
        """Resuming is bit-identical: every environment can give its state, or every batch begins its episodes anew."""
        envs = [learner.env for learner in self.learners if hasattr(learner, "env") and not hasattr(learner, "anew")]
        return all(env.resumable for env in envs)

    def finish(self) -> NetworkProgram:
        """The trained program; a value head's unit is known only now."""
        program = self.program
        network = averaged(program.network, self.trainer.optimiser)
        network.cpu()  # evidence, explanation and storage are on the CPU
        tasks = dict(program.tasks)
        for learner in self.learners:
            scale = getattr(learner, "value_scale", None)
            if scale is not None:
                task = learner.task
                tasks[task.name] = replace(task, options={**task.options, "value_scale": scale})
        return NetworkProgram(network, program.schema, tasks, program.encoding)


def averaged(network: Network, optimiser: torch.optim.Optimizer) -> Network:
    """The network, or a copy with the averages that the optimiser keeps: the trained one is never switched in place."""
    if not isinstance(optimiser, ScheduleFree):
        return network
    with torch.no_grad():
        mine = {id(p): p.detach().clone() for p, _ in optimiser.averages()}
        for p, x in optimiser.averages():
            p.copy_(x)
        copy = deepcopy(network)
        for p, _ in optimiser.averages():
            p.copy_(mine[id(p)])  # the very bits: nothing is computed
    return copy


def environments(prob: Problem, train: Rows | None, seed: int) -> dict[str, VectorAdapter]:
    """One vectorised environment per control task, over the training part when it trades these prices."""
    envs = {}
    for name, spec in prob.spec.tasks.items():
        if not isinstance(spec, ControlTask):
            continue
        options = dict(spec.env_options)
        if train is not None and spec.env in (TRADING, *PRICE):
            options |= {"rows": train, "random_start": True, "episode_days": spec.episode_days}
            if spec.env == TRADING:
                options["cost_bps"] = spec.cost_bps
        envs[name] = make_env(spec.env, spec.settings.num_envs, derive(seed, f"env/{name}"), options)
    return envs


def assemble(prob: Problem, train: Index | None, *, seed: int) -> Assembly:
    """Build network, learners and trainer on a training part.

    Args:
        prob: from `problem`.
        train: positions of the training rows; None when there are no rows.
        seed: of initial weights, shuffles, actions and environments.
    """
    spec = prob.spec
    if spec.train.device == "cuda" and not torch.cuda.is_available():
        raise SpecError(
            "train.device is 'cuda', but torch sees no CUDA device.",
            where="train.device",
            mend="use --set train.device=cpu, or install a CUDA build of torch (see CONTRIBUTING.md)",
        )
    rows = None if prob.rows is None or train is None else prob.rows.take(train)
    envs = environments(prob, rows, seed)
    _require_fields(prob, envs)
    env_fields = [e.fields for e in envs.values()] if rows is None else []
    fields = prob.fields or tuple({f.name: f for group in env_fields for f in group}.values())
    tasks = declare(prob, rows, envs)
    if rows is None:
        encoding = Encoding(identity(fields))
    else:
        encoding = Encoding.fit((f for f in fields if f.name in rows.fields), rows)
        if any(f.name == "position" for f in fields):
            encoding = Encoding({**encoding.scales, "position": Scale(RAW, 1)})
    normalise = tuple(f.name for f in fields) if rows is None and _normalises(spec) else ()
    network = Network(
        {f.name: encoding.scales[f.name].columns for f in fields},
        {t.name: t.inputs for t in tasks.values()},
        {t.name: OUTPUTS[t.kind].head_widths(t) for t in tasks.values()},
        width=spec.network.width,
        depth=spec.network.depth,
        activation=spec.network.activation,
        normalise=normalise,
        critics={t.name: t.options["actions"] for t in tasks.values() if t.options.get("algorithm") == "sac"},
        seed=seed,
    ).to(spec.train.device)
    program = NetworkProgram(network, make_schema(fields, tasks), tasks, encoding)
    blocks = encoding.encode(rows) if rows is not None else {}
    learners = [_learner(spec, task, rows, blocks, encoding, envs, seed) for task in tasks.values()]
    return Assembly(program, *_trainer(spec, network, learners, seed), learners)


def _require_fields(prob: Problem, envs: dict[str, VectorAdapter]) -> None:
    """Beside data, an environment must observe what the data have: one network reads both."""
    known = {field.name for field in prob.fields}
    for name, env in envs.items():
        strange = [field.name for field in env.fields if field.name not in known]
        if prob.fields and strange:
            raise SpecError(
                f"'{env.env_id}' observes {', '.join(strange[:4])}, which the data beside it do not have.",
                where=f"tasks.{name}.env",
                mend="learn it in a spec without data, or use pellucid/StockTrading-v0 on prices",
            )


def _normalises(spec: Spec) -> bool:
    return any(isinstance(t, ControlTask) and t.settings.normalise_observations for t in spec.tasks.values())


def _learner(
    spec: Spec,
    task: Task,
    rows: Rows | None,
    blocks: dict[str, Tensor],
    encoding: Encoding,
    envs: dict[str, VectorAdapter],
    seed: int,
) -> Learner:
    declared = spec.tasks[task.name]
    if isinstance(declared, ControlTask):
        shown = declared.bc.model_copy(update={"demonstrations": spec.located(declared.bc.demonstrations)})
        declared = declared.model_copy(update={"bc": shown})
        return build_learner(declared, task, envs[task.name], encoding.encode_fields, seed)
    assert rows is not None
    target, keep = training_target(task, rows)
    index = torch.from_numpy(np.flatnonzero(keep))
    kept = {name: blocks[name][index] for name in task.inputs}
    settings = spec.train
    return Supervised(task, kept, target[index], batch=settings.batch, seed=seed, noise=settings.noise)


def training_target(task: Task, rows: Rows) -> tuple[Tensor, np.ndarray[Any, np.dtype[np.bool_]]]:
    """The target in the training space of `nn.outputs`, and which rows have one."""
    y = rows.targets[task.options["target"]]
    if task.kind == "classify":
        codes = {c: i for i, c in enumerate(task.options["classes"])}
        coded = np.asarray([codes.get(str(v), -1) for v in y], dtype=np.int64)
        return torch.from_numpy(coded), coded >= 0
    y = np.asarray(y, dtype=np.float64)
    if task.kind == "forecast":
        y = y / rows.extra["sigma"]
    elif task.kind == "volatility":
        y = y - 2.0 * np.log(rows.extra["sigma"])
    else:
        y = (y - task.options["mean"]) / task.options["sd"]
    return torch.from_numpy(y.astype(np.float32)), np.isfinite(y)


def _trainer(
    spec: Spec, network: Network, learners: Sequence[Learner], seed: int
) -> tuple[Trainer, LoopConfig, Schedule]:
    train = spec.train
    parameters = dict(network.named_parameters())
    # Several learners may sit updates out one by one; then every tensor needs a gradient of its own, or none.
    flat = Flat(parameters) if train.optimiser in ELEMENTWISE and len(learners) == 1 else None
    trained = parameters if flat is None else flat.halves
    optimiser = build_optimiser(train.optimiser, trained, lr=train.lr, weight_decay=train.weight_decay)
    trainer = Trainer(
        network, learners, optimiser, parameters, shared=network.shared(), combine=COMBINES[train.combine], flat=flat
    )
    weights = tuple(spec.tasks[learner.task.name].weight for learner in learners)
    config = LoopConfig(train.updates, train.clip, weights, train.checkpoint_every, seed)
    return trainer, config, Schedule(train.schedule, train.updates, train.warmup)
