"""Tasks, network, learners and trainer of one fit; trained, they become a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pellucid.assemble.encoders import load_pretrained, text_rate, texts_of
from pellucid.assemble.halves import Divided, divide
from pellucid.assemble.networks import make_network
from pellucid.assemble.problem import Problem
from pellucid.assemble.tasks import declare, make_schema
from pellucid.assemble.transfer import groups, stays, trained, unfreezing
from pellucid.core.errors import SpecError
from pellucid.core.random import derive
from pellucid.core.rows import Index, Rows
from pellucid.core.schema import Field
from pellucid.core.task import Task
from pellucid.data.blocks import beside, taken
from pellucid.data.encoding import RAW, Encoding, Scale, identity
from pellucid.envs.making import Stepping
from pellucid.envs.names import PRICE, TRADING
from pellucid.envs.vectorise import VectorAdapter
from pellucid.envs.vectorise import make as make_env
from pellucid.multitask import ALL as COMBINES
from pellucid.nn.ensemble import EnsembleNetwork
from pellucid.nn.network import Network, safe
from pellucid.nn.program import NetworkProgram
from pellucid.nn.series import SeriesNetwork
from pellucid.optim import ELEMENTWISE, Flat
from pellucid.optim import build as build_optimiser
from pellucid.optim import get_state as get_optimiser_state
from pellucid.optim import set_state as set_optimiser_state
from pellucid.optim.schedule_free import ScheduleFree
from pellucid.optim.schedules import Schedule
from pellucid.rl import build as build_learner
from pellucid.spec.model import ControlTask, Spec, TableData
from pellucid.spec.training import TrainSpec
from pellucid.supervised.additive import KINDS, Additive
from pellucid.supervised.augment import Augment
from pellucid.supervised.batch import auto_batch
from pellucid.supervised.expert import Expert
from pellucid.supervised.learner import Supervised, SupervisedBatch
from pellucid.supervised.starting import Starting
from pellucid.train.averages import Averages
from pellucid.train.held_out import Again, HeldOut
from pellucid.train.learner import Learner, Part
from pellucid.train.loop import LoopConfig, Trainer
from pellucid.train.phases import Phase, Phases


@dataclass
class Assembly:
    """Everything that one fit needs, and the program that it will become."""

    program: NetworkProgram
    trainer: Trainer
    config: LoopConfig
    schedule: Schedule
    learners: list[Learner]
    first_lr: float = 1e-3  # the spec's own

    @property
    def resumable(self) -> bool:
        """Resuming is bit-identical: every environment can give its state, or every batch begins its episodes anew."""
        envs = [learner.env for learner in self.learners if hasattr(learner, "env") and not hasattr(learner, "anew")]
        return all(env.resumable for env in envs)

    def close(self) -> None:
        """Release the environments: worker processes end."""
        for learner in self.learners:
            env = getattr(learner, "env", None)
            if env is not None:
                env.close()

    def finish(self) -> NetworkProgram:
        """The trained program; a value head's unit is known only now."""
        for part in self.trainer.parts:
            if isinstance(part, HeldOut):
                part.restore_best()
        network = self._judged()
        return self._program(network.cpu())  # evidence, explanation and storage are on the CPU

    def snapshot(self) -> NetworkProgram:
        """What `finish` would give now, as a copy: training goes on as if nobody had asked."""
        return self._program(deepcopy(self._judged()).cpu().eval())

    def _judged(self) -> Network:
        """The network as it is to be judged and kept: with its averages, where some are kept."""
        for part in self.trainer.parts:
            if isinstance(part, Averages):
                shadow: Network = part.shadow  # type: ignore[assignment]  # a copy of the network
                return shadow
        return averaged(self.program.network, self.trainer.optimiser)

    def _program(self, network: Network) -> NetworkProgram:
        program = self.program
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
        how = Stepping(spec.workers, spec.env_timeout)
        envs[name] = make_env(spec.env, spec.settings.num_envs, derive(seed, f"env/{name}"), options, stepping=how)
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
    rows = None if prob.rows is None or train is None else prob.rows.take(train, _read_directly(prob))
    envs = environments(prob, rows, seed)
    _require_fields(prob, envs)
    env_fields = [e.fields for e in envs.values()] if rows is None else []
    fields = prob.fields or tuple({f.name: f for group in env_fields for f in group}.values())
    tasks = declare(prob, rows, envs)
    if rows is None:
        encoding = Encoding(identity(fields))
    else:
        assert prob.rows is not None
        assert train is not None
        there = [f for f in fields if f.name in prob.rows.fields]
        encoding = Encoding.fit(there, prob.rows, texts_of(spec, there, rows), at=train)
        if prob.start is not None:
            encoding = prob.start.encoding(encoding, there)
        if any(f.name == "position" for f in fields):
            encoding = Encoding({**encoding.scales, "position": Scale(RAW, 1)})
        for t in tasks.values():
            if t.kind == "horizons":  # what places and stretches the outputs is never clipped
                raw = {t.options[name]: Scale(RAW, 1) for name in ("level", "scale")}
                encoding = Encoding({**encoding.scales, **raw})
    normalise = tuple(f.name for f in fields if f.kind != "image") if rows is None and _normalises(spec) else ()
    divided = (
        {} if rows is None else {t.name: divide(spec, t, rows, seed) for t in tasks.values() if t.kind != "control"}
    )
    blocks: Mapping[str, Tensor] = {}
    if prob.rows is not None and train is not None:
        # Of a single task the rows lie as they are learned, those held out last: nothing is copied again.
        single = next(iter(divided.values())) if len(tasks) == len(divided) == 1 else None
        blocks = encoding.encode_together(prob.rows, train if single is None else train[single.order])
    network = make_network(
        spec, fields, tasks, blocks, encoding.scales, normalise=normalise, seed=seed, start=prob.start
    )
    load_pretrained(spec, network)
    if prob.start is not None:
        prob.start.begin(network)
    stays(network, spec)
    network = network.to(spec.train.device)
    spec = _with_batch(spec, network, rows)
    _first_deviations(network, spec)
    program = NetworkProgram(network, make_schema(fields, tasks), tasks, encoding)
    learners = [
        _learner(spec, task, divided.get(task.name), blocks, encoding, envs, fields, seed) for task in tasks.values()
    ]
    del rows, blocks  # the learners have what they need: of many rows, nothing else is held while they train
    made = _trainer(spec, network, learners, seed, encoding, additive=prob.start is None)
    return Assembly(program, *made, learners, spec.train.lr)


def _read_directly(prob: Problem) -> list[str] | None:
    """The fields of the training rows that are needed beside the encoded ones; None: all."""
    if not isinstance(prob.spec.data, TableData) or any(isinstance(t, ControlTask) for t in prob.spec.tasks.values()):
        return None
    return [f.name for f in prob.fields if f.kind == "text"]


@torch.no_grad()
def _first_deviations(network: Network, spec: Spec) -> None:
    """Gaussian policies begin with the deviation that their section names."""
    for name, task in spec.tasks.items():
        heads = network.heads[safe(name)]
        assert isinstance(heads, torch.nn.ModuleDict)
        if isinstance(task, ControlTask) and task.algorithm == "ppo" and "log_std" in heads:
            head = heads["log_std"]
            assert isinstance(head, torch.nn.Linear)
            head.bias.fill_(task.ppo.log_std)


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
    divided: Divided | None,
    blocks: Mapping[str, Tensor],
    encoding: Encoding,
    envs: dict[str, VectorAdapter],
    fields: tuple[Field, ...],
    seed: int,
) -> Learner:
    declared = spec.tasks[task.name]
    if isinstance(declared, ControlTask):
        shown = declared.bc.model_copy(update={"demonstrations": spec.located(declared.bc.demonstrations)})
        declared = declared.model_copy(update={"bc": shown})
        return build_learner(declared, task, envs[task.name], encoding.encode_fields, seed)
    assert divided is not None
    settings, mine = spec.train, beside(blocks, task.inputs)
    kept, out = (taken(mine, index) for index in divided.places(alone=len(spec.tasks) == 1))
    held = SupervisedBatch(out, divided.target[divided.held]) if len(divided.held) else None
    shapes = {f.name: f.shape for f in fields if f.kind == "image"}
    return Supervised(
        task,
        kept,
        divided.target[divided.trained],
        batch=int(settings.batch),
        seed=seed,
        noise=settings.noise,
        held=held,
        balanced=getattr(declared, "class_weights", "equal") == "balanced",
        smoothing=float(getattr(declared, "label_smoothing", 0.0)),
        augment=Augment(shapes, **settings.augment.model_dump()),
    )


def _parts(
    spec: Spec,
    network: Network,
    learners: Sequence[Learner],
    optimiser: torch.optim.Optimizer,
    encoding: Encoding,
    *,
    additive: bool,
) -> list[Part]:
    """What takes part beside the learners: the rows held out, and the simpler model as which a network begins."""
    watched = [learner for learner in learners if isinstance(learner, Supervised)]
    begin: Callable[[], None] | None = None
    first = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    single = len(learners) == 1 and bool(watched) and watched[0].task.kind in KINDS
    if additive and isinstance(network, EnsembleNetwork) and single:
        begin = Additive(network, watched[0])
        begin()
    elif additive and isinstance(network, SeriesNetwork):
        begin = Starting(network, watched[0], encoding)
        begin()
    average = spec.train.average
    averages: list[Averages] = []
    if average.kind != "none":
        start = round(average.start * spec.train.updates)
        averages.append(Averages(network, average.kind, decay=average.decay, start=start))
    judged = averages[0].shadow if averages else network
    watched = [learner for learner in watched if learner.held is not None]
    if not watched:
        return list(averages)
    stop, blank = spec.train.early_stop, get_optimiser_state(optimiser)
    rows = [len(learner.target) for learner in watched]

    def release() -> None:
        for learner in watched:
            learner.take_all()

    settle: Expert | None = None
    if isinstance(begin, Additive) and begin.network.expert:
        assert isinstance(judged, EnsembleNetwork)
        settle = Expert(judged, begin.learner)

    def restart() -> None:
        kept = {} if settle is None else {"expert_share": settle.network.expert_share.clone()}
        with torch.no_grad():
            network.load_state_dict({**first, **kept})
        set_optimiser_state(optimiser, blank)
        if begin is not None:
            begin()
        for part in averages:
            part.restart()

    share = max((n + len(w.held.target)) / n for w, n in zip(watched, rows, strict=True) if w.held is not None)
    again = Again(release, restart, share, spec.train.updates, _schedule(spec.train).rising) if stop.refit else None
    every = max(1, max(len(learner.target) // learner.batch for learner in watched))
    part = HeldOut(
        judged,
        lambda: sum(w.held_out_loss(judged) for w in watched),
        every=every,
        patience=stop.patience,
        most=stop.passes,
        again=again,
        settle=settle,
    )
    part.begin()
    return [*averages, part]  # in this order: what is looked at are the averages after this update


def _with_batch(spec: Spec, network: Network, rows: Rows | None) -> Spec:
    """`train.batch: auto` as a number."""
    if spec.train.batch != "auto":
        return spec
    members = spec.network.members if isinstance(network, EnsembleNetwork) else 1
    cost = members * sum(p.numel() for p in network.trunk.parameters()) + sum(p.numel() for p in network.parameters())
    batch = auto_batch(0 if rows is None else len(rows), cost)
    return spec.model_copy(update={"train": spec.train.model_copy(update={"batch": batch})})


def _budgeted(train: TrainSpec, learners: Sequence[Learner]) -> TrainSpec:
    """With the updates of `budget.epochs` passes over the rows of the largest task."""
    passes = [max(1, len(w.target) // w.batch) for w in learners if isinstance(w, Supervised)]
    if train.budget.epochs is None or not passes:
        return train
    return train.model_copy(update={"updates": train.budget.epochs * max(passes)})


def _require_rowwise(train: TrainSpec, learners: Sequence[Learner]) -> None:
    """Parts of a batch give its gradient only where the loss is a mean over rows."""
    mixed = [learner.task.name for learner in learners if not learner.rowwise]
    if train.compute.accumulate > 1 and mixed:
        raise SpecError(
            f"the loss of task '{mixed[0]}' is no mean over rows: its batches cannot be worked through in parts.",
            where="train.compute.accumulate",
            mend="leave it at 1, and make the batch smaller",
        )


def _phases(train: TrainSpec) -> list[Phase]:
    """What a phase leaves open stays as it was before."""
    found, factor, decay = [], 1.0, None
    for phase in train.phased.phases:
        factor = factor if phase.lr is None else phase.lr / train.lr
        decay = decay if phase.weight_decay is None else phase.weight_decay
        found.append(Phase(round(phase.start * train.updates), factor, decay))
    return found


def _schedule(train: TrainSpec) -> Schedule:
    return Schedule(train.schedule, train.updates, train.warmup)


def _trainer(
    spec: Spec, network: Network, learners: Sequence[Learner], seed: int, encoding: Encoding, *, additive: bool
) -> tuple[Trainer, LoopConfig, Schedule]:
    train = _budgeted(spec.train, learners)
    spec = spec.model_copy(update={"train": train})
    _require_rowwise(train, learners)
    parameters = trained(network)
    rates = groups(network, spec, parameters)
    # Several learners may sit updates out one by one; then every tensor needs a gradient of its own, or none.
    together = train.optimiser in ELEMENTWISE and len(learners) == 1 and rates is None
    flat = Flat(parameters, decay=bool(train.weight_decay)) if together else None
    moved = rates or (parameters if flat is None else flat.halves)
    lr = train.lr * text_rate(spec.network.text, network)
    optimiser = build_optimiser(train.optimiser, moved, lr=lr, weight_decay=train.weight_decay)
    trainer = Trainer(
        network,
        learners,
        optimiser,
        parameters,
        shared=network.shared(),
        combine=COMBINES[train.combine],
        parts=[
            *_parts(spec, network, learners, optimiser, encoding, additive=additive),
            *unfreezing(network, spec),
        ],
        flat=flat,
    )
    if train.phased.phases:
        trainer.parts.append(Phases(trainer.set_rates, _phases(train)))
    weights = tuple(spec.tasks[learner.task.name].weight for learner in learners)
    compute = train.compute
    config = LoopConfig(
        train.updates,
        train.clip,
        weights,
        train.checkpoint_every,
        seed,
        compute.accumulate,
        compute.precision == "bfloat16",
    )
    return trainer, config, _schedule(train)
