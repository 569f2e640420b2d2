"""Task: what is to be learned, declared.

A task names its metric and baselines as strings that `pellucid.evidence` resolves, so that a task can be
written down, compared and stored without any code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pellucid.core.errors import SchemaError, nearest

TaskKind = Literal["classify", "multilabel", "ordinal", "regress", "forecast", "volatility", "horizons", "control"]
TABLE_KINDS = ("classify", "multilabel", "ordinal", "regress")  # tasks on the target of a table


@dataclass(frozen=True)
class Task:
    """A declared task.

    Args:
        name: unique within the program; the heads of the network and the outputs of the schema bear it.
        kind: `classify`, `multilabel` (any number of labels a row), `ordinal` (classes in an order), `regress`;
            `forecast` (quantiles of the next log-return); `volatility` (log-variance of the next `horizon` days);
            `horizons` (quantiles of a series' next steps); `control` (a policy for an environment).
        inputs: names of the schema's fields that this task reads.
        outputs: names of the columns that the program returns for this task, in order.
        unit: unit of the outputs, printed wherever they are ("logit", "log return", ...).
        metric: name in `pellucid.evidence.metrics.ALL`; every metric is a per-row loss, lower is better.
        baselines: names in `pellucid.evidence.baselines.ALL`.
        options: what the kind needs besides (quantiles, horizon, environment id, classes, ...). JSON only.
    """

    name: str
    kind: TaskKind
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    unit: str
    metric: str
    baselines: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def form(self) -> str:
        """The kind; of a regression that gives more than a number what it gives: `quantiles` or `distribution`."""
        more = [form for form in ("quantiles", "distribution") if form in self.options]
        return more[0] if self.kind == "regress" and more else self.kind

    @property
    def answer(self) -> int:
        """The position of the output that answers the question: of quantiles the one nearest to the median (of the
        first step ahead), else the first."""
        levels = self.options.get("quantiles") or [0.5]
        return min(range(len(levels)), key=lambda i: abs(levels[i] - 0.5))

    def output(self, name: str | None, *, where: str) -> int:
        """The position of the output of that name; None: of the answer."""
        return self.answer if name is None else output_named(name, self.outputs, self.name, where=where)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Task:
        lists = {key: tuple(raw[key]) for key in ("inputs", "outputs", "baselines")}
        return cls(**{**raw, **lists})


def output_named(name: str | int, outputs: tuple[str, ...], task: str, *, where: str) -> int:
    """The position of a task's output, by name or position.

    Raises:
        SchemaError: there is none.
    """
    if isinstance(name, int) and -len(outputs) <= name < len(outputs):
        return name % len(outputs)
    if name in outputs:
        return outputs.index(str(name))
    raise SchemaError(
        f"no output {name!r}; task '{task}' returns {', '.join(outputs)}.",
        where=where,
        mend=nearest(str(name), outputs) or "use one of the names above",
    )
