"""Foreign models as programs: a fitted scikit-learn estimator, an SB3-like policy, a bare callable.

Wrapped, they are explained, evaluated and compared like anything learned here. Blocks stay float64 and in raw
units, so that a wrapped model answers exactly what it answers unwrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pellucid.core.errors import DataError, SchemaError, nearest
from pellucid.core.rows import Rows, content_keys
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task, TaskKind
from pellucid.data.cells import number_text
from pellucid.nn.columns import block, infer_fields, raw

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["classify", "regress", "control"]
Columns = dict[str, npt.NDArray[Any]]  # field -> (n,) or (n, width), raw
Call = Callable[[Columns], Any]

METRICS = {"classify": "log_loss", "regress": "squared_error", "control": "negative_reward"}


@dataclass(frozen=True)
class _Adapter:
    """How one kind of model is called, and what it returns."""

    call: Call
    kind: Kind
    outputs: tuple[str, ...]
    unit: str
    options: dict[str, Any]


def wrap(
    model: Any,
    *,
    inputs: Sequence[str] | pd.DataFrame | Schema,
    task: str = "predict",
    kind: Kind | None = None,
    outputs: Sequence[str] | None = None,
    unit: str = "",
    name: str = "foreign",
) -> ForeignProgram:
    """A program from a model that was learned elsewhere.

    Args:
        model: a fitted scikit-learn estimator (`predict_proba` if it has one, else `predict`); an SB3-like algorithm
            or policy with `get_distribution(obs)` and `predict_values(obs)` (outputs: centred logits of discrete
            actions or means of continuous ones, then the value); or a callable, array (n, d) -> (n,) or (n, k).
        inputs: names of numeric columns; or a table, whose columns also give kinds and categories; or a schema.
        task: name of the only task.
        kind: known of an estimator or a policy; of a callable, `regress` when left out. `classify`: the outputs are
            probabilities (or logits: unit="logit") of the classes; `control`: scores of the
            actions, then the state's value when the last output is named `value`.
        outputs: names of the k outputs; guessed from the model when left out, one for a callable.
        unit: of the outputs.
    Raises:
        SchemaError: the inputs are not those that the model was fitted on.
        DataError: the model cannot be called, or is a policy of an action space that is not supported.
    """
    fields = inputs.inputs if isinstance(inputs, Schema) else infer_fields(inputs)
    adapter = _adapt(model, fields, name)
    names = tuple(outputs) if outputs is not None else adapter.outputs
    if adapter.kind == "control" and outputs is not None and len(names) == len(adapter.outputs) - 1:
        names = (*names, "value")
    if adapter.kind in ("classify", "control") and len(names) != len(adapter.outputs):
        raise SchemaError(
            f"{len(names)} outputs are named, the model returns {len(adapter.outputs)}: {', '.join(adapter.outputs)}.",
            where=f"wrap(outputs=...), '{name}'",
            mend="name each of them, or leave `outputs` out",
        )
    chosen = _kind(adapter, kind, name)
    options = adapter.options or _callable_options(chosen, names)
    declared = Task(
        name=task,
        kind=cast(TaskKind, chosen),
        inputs=tuple(field.name for field in fields),
        outputs=names,
        unit=unit or adapter.unit or ("probability" if chosen == "classify" else ""),
        metric=METRICS[chosen],
        options=options,
    )
    schema = Schema(fields, {task: tuple(Field(output, unit=declared.unit) for output in names)})
    return ForeignProgram(adapter.call, schema, declared, name, model)


class ForeignProgram:
    """A wrapped model. Implements `core.program.Program`; made by `wrap`."""

    def __init__(self, call: Call, schema: Schema, task: Task, name: str, model: Any = None) -> None:
        self._call, self._schema, self._task, self.name, self.model = call, schema, task, name, model

    @property
    def schema(self) -> Schema:
        return self._schema

    @property
    def tasks(self) -> Mapping[str, Task]:
        return {self._task.name: self._task}

    def rows(self, frame: pd.DataFrame) -> Rows:
        """The program's columns of a table as rows; keys are the columns' content."""
        missing = [field for field in self._schema.names if field not in frame.columns]
        if missing:
            raise SchemaError(
                f"the table lacks {len(missing)} of {len(self._schema.names)} inputs: {', '.join(missing)}.",
                where=f"program '{self.name}'",
                mend=nearest(missing[0], map(str, frame.columns)) or "give those columns",
            )
        fields = {field: frame[field].to_numpy() for field in self._schema.names}
        return Rows(content_keys(fields), fields)

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        """Raw values as float64 blocks (n, width); a category as its code, (n, 1), missing = number of categories.

        A text as its letters, see `nn.columns.block`.
        """
        return {field.name: block(field, rows.column(field.name)) for field in self._schema.inputs}

    def __call__(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        """The model's outputs, shape (n, k), float64.

        Raises:
            SchemaError: no such task, or the model returns another number of outputs.
            DataError: the model raises, or returns NaN or another number of rows.
        """
        if task != self._task.name:
            raise SchemaError(
                f"no task '{task}'; '{self.name}' has '{self._task.name}'.", where="program(...)", mend="use that name"
            )
        columns = {field.name: raw(field, blocks[field.name]) for field in self._schema.inputs}
        n = len(next(iter(columns.values())))
        if n == 0:  # many libraries refuse an empty array
            return torch.empty(0, len(self._task.outputs), dtype=torch.float64)
        return torch.from_numpy(self._checked(self._answer(columns), n))

    def predict(self, rows: Rows | pd.DataFrame) -> pd.DataFrame:
        """Outputs as a table: one column per output, indexed by the rows' keys (a table keeps its own index)."""
        import pandas as pd

        given = rows if isinstance(rows, Rows) else self.rows(rows)
        out = self(self.encode(given), self._task.name).numpy()
        index = given.keys if isinstance(rows, Rows) else rows.index
        return pd.DataFrame(out, columns=list(self._task.outputs), index=index)

    def _answer(self, columns: Columns) -> Any:
        try:
            with torch.no_grad():
                return self._call(columns)
        except Exception as error:  # whatever a foreign model may raise
            raise DataError(
                f"the wrapped model '{self.name}' raised {type(error).__name__}: {error}",
                where=f"task '{self._task.name}'",
                mend="call the model on the same rows outside Pellucid",
            ) from error

    def _checked(self, answer: Any, n: int) -> npt.NDArray[np.float64]:
        where = f"task '{self._task.name}' of the wrapped model '{self.name}'"
        if isinstance(answer, Tensor):
            answer = answer.detach().cpu().numpy()
        try:
            out = np.array(answer, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                "the model's answer is not an array of numbers.",
                where=where,
                mend="wrap a function that returns numbers, e.g. scores instead of labels",
            ) from error
        out = out[:, None] if out.ndim == 1 else out
        if out.ndim != 2 or len(out) != n:
            raise DataError(
                f"the model returned shape {out.shape} for {n} rows; ({n},) or ({n}, k) is needed.",
                where=where,
                mend="return one answer per row, in order",
            )
        if out.shape[1] != len(self._task.outputs):
            raise SchemaError(
                f"the model returned {out.shape[1]} outputs, {len(self._task.outputs)} are declared: "
                f"{', '.join(self._task.outputs)}.",
                where=where,
                mend="name them all: wrap(..., outputs=[...])",
            )
        bad = int((~np.isfinite(out)).any(axis=1).sum())
        if bad:
            raise DataError(
                f"the model returned NaN or infinite values in {bad} of {n} rows.",
                where=where,
                mend="look for missing or extreme inputs in those rows",
            )
        return out


def _kind(adapter: _Adapter, kind: Kind | None, name: str) -> Kind:
    """The model's own kind; a bare callable may be declared to be any."""
    if kind is not None and adapter.options and kind != adapter.kind:
        raise SchemaError(
            f"kind='{kind}' was given, the model is of kind '{adapter.kind}'.",
            where=f"wrap(kind=...), '{name}'",
            mend="leave `kind` out, or wrap a function of the model",
        )
    return kind or adapter.kind


def _callable_options(kind: Kind, names: tuple[str, ...]) -> dict[str, Any]:
    if kind == "classify":
        return {"classes": list(names) if len(names) > 1 else ["0", "1"]}
    actions = len(names) - (names[-1] == "value")
    return {"actions": actions, "space": "discrete"} if kind == "control" else {}


def _adapt(model: Any, fields: tuple[Field, ...], name: str) -> _Adapter:
    policy = model if hasattr(model, "get_distribution") else getattr(model, "policy", None)
    if hasattr(policy, "get_distribution"):
        return _adapt_policy(policy, fields)
    if hasattr(model, "predict"):
        return _adapt_estimator(model, fields, name)
    if callable(model):
        return _Adapter(lambda columns: model(_matrix(columns, fields)), "regress", ("output",), "", {})
    raise DataError(
        f"a {type(model).__name__} cannot be wrapped: it has no predict, no policy, and cannot be called.",
        where=f"wrap(...), '{name}'",
        mend="give a fitted estimator, a policy, or a function of an array (n, d)",
    )


def _matrix(columns: Columns, fields: tuple[Field, ...]) -> npt.NDArray[Any]:
    """The columns side by side, shape (n, d): float64, or objects when a category or a text is among them."""
    wide = [columns[field.name].reshape(-1, field.width) for field in fields]
    if any(field.kind in ("category", "text") for field in fields):
        return np.concatenate([column.astype(object) for column in wide], axis=1)
    return np.concatenate([column.astype(np.float64) for column in wide], axis=1)


def _adapt_estimator(model: Any, fields: tuple[Field, ...], name: str) -> _Adapter:
    call = _estimator_input(model, fields, name)
    if hasattr(model, "predict_proba") and hasattr(model, "classes_"):
        classes = tuple(
            number_text(float(label)) if isinstance(label, float | np.floating) else str(label)
            for label in model.classes_
        )
        options = {"classes": list(classes)}
        return _Adapter(lambda columns: model.predict_proba(call(columns)), "classify", classes, "probability", options)
    if hasattr(model, "classes_"):
        raise DataError(
            f"{type(model).__name__} gives labels but no probabilities.",
            where=f"wrap(...), '{name}'",
            mend="calibrate it (sklearn.calibration.CalibratedClassifierCV), or wrap its decision_function",
        )
    count = int(getattr(model, "n_outputs_", 1))
    outputs = ("prediction",) if count == 1 else tuple(f"prediction_{i}" for i in range(count))
    return _Adapter(lambda columns: model.predict(call(columns)), "regress", outputs, "", {})


def _estimator_input(model: Any, fields: tuple[Field, ...], name: str) -> Call:
    """A table with the fitted names in the fitted order, or an array when the model was fitted on one."""
    fitted = getattr(model, "feature_names_in_", None)
    width = sum(field.width for field in fields)
    expected = getattr(model, "n_features_in_", width)
    if fitted is None:
        if expected != width:
            raise SchemaError(
                f"the inputs have {width} columns, the model was fitted on {expected}.",
                where=f"wrap(inputs=...), '{name}'",
                mend="name the columns that it was fitted on, in that order",
            )
        return lambda columns: _matrix(columns, fields)
    names, order = {field.name for field in fields}, [str(column) for column in fitted]
    missing, unknown = [c for c in order if c not in names], sorted(names - set(order))
    if missing or unknown:
        shown = f"lack {', '.join(missing)}" if missing else f"have {', '.join(unknown)}, which it never saw"
        raise SchemaError(
            f"the inputs {shown}; the model was fitted on {len(order)} columns.",
            where=f"wrap(inputs=...), '{name}'",
            mend=(nearest(missing[0], names) if missing else nearest(unknown[0], order)) or "use the fitted names",
        )

    def table(columns: Columns) -> Any:
        import pandas as pd

        return pd.DataFrame({column: columns[column] for column in order})

    return table


def _adapt_policy(policy: Any, fields: tuple[Field, ...]) -> _Adapter:
    space = policy.action_space
    discrete = hasattr(space, "n") and np.ndim(space.n) == 0
    if not discrete and type(space).__name__ != "Box":
        raise DataError(
            f"policies with a {type(space).__name__} action space cannot be wrapped.",
            where="wrap(...)",
            mend="wrap a function from observations to scores",
        )
    count = int(space.n) if discrete else int(np.prod(space.shape))
    spaces = getattr(policy.observation_space, "spaces", None)

    def call(columns: Columns) -> Tensor:
        device = getattr(policy, "device", "cpu")
        if spaces is None:
            obs: Any = torch.as_tensor(_matrix(columns, fields), dtype=torch.float32, device=device)
        else:
            obs = {
                key: torch.as_tensor(columns[key].astype(np.float32), device=device).reshape(-1, *spaces[key].shape)
                for key in spaces
            }
        distribution = policy.get_distribution(obs).distribution
        value = policy.predict_values(obs).reshape(-1, 1)
        if discrete:
            logits = distribution.logits
            return torch.cat([logits - logits.mean(1, keepdim=True), value], dim=1)
        return torch.cat([distribution.mean.reshape(-1, count), value], dim=1)

    actions = [f"action_{i}" for i in range(count)]
    options: dict[str, Any] = {"actions": count, "space": "discrete" if discrete else "box"}
    if not discrete:
        options |= {"low": np.ravel(space.low).tolist(), "high": np.ravel(space.high).tolist()}
    unit = "logit; value: return" if discrete else "action; value: return"
    return _Adapter(call, "control", (*actions, "value"), unit, options)
