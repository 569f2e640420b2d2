"""A program that predicts a class, a class of an order, or any number of labels, as an estimator of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from pellucid.core.errors import DataError
from pellucid.data.cells import column
from pellucid.estimators.saved import plain
from pellucid.estimators.tabular import Tabular, checked_target, target_name
from pellucid.evidence.metrics import median_rank, probabilities


class PellucidClassifier(ClassifierMixin, Tabular):  # type: ignore[misc]  # scikit-learn has no types
    """A program that predicts a class, as an estimator of scikit-learn. The defaults are those of `fit(data, target)`.

    X may be an array, or a frame of pandas, polars or Arrow: numbers, truth values, words and categories, with empty
    cells. y may be a table of 0 and 1, (n, labels): then any number of labels is predicted. Weights of rows are not
    learned from, so `fit` takes none.

    Args:
        kind: "ensemble": members that share nearly all weights; or "mlp".
        width, depth, activation: units per layer, layers, and what follows each (of the mlp).
        members, pieces: of an ensemble, and into how many intervals it cuts every number.
        updates, batch: optimiser updates, and rows of each.
        lr, optimiser, weight_decay, schedule, warmup: as in a spec's `train`.
        noise: standard deviation of noise on standardised inputs, in training only.
        held_out: share of the rows by which the best weights are chosen; None: the last weights.
        patience: passes over the rows without a better held-out loss after which training ends.
        review: share of the rows that are kept out of training, on which corrections of `program_` are judged.
        class_weights: "balanced": every class counts as much as any other, and odds are not the data's.
        label_smoothing: share of every target that is spread over all classes.
        order: the classes, lowest first: each prediction is then the median class of the order (`ordinal`).
        random_state: a seed, the same weights every time; a RandomState or None draws one.
        verbose: 1 shows progress.
    """

    def __init__(
        self,
        *,
        kind: str = "ensemble",
        width: int = 128,
        depth: int = 2,
        activation: str = "relu",
        members: int = 16,
        pieces: int = 32,
        updates: int = 2000,
        batch: int = 256,
        lr: float = 4e-3,
        optimiser: str = "adamw",
        weight_decay: float = 3e-4,
        noise: float = 0.0,
        schedule: str = "cosine",
        warmup: float = 0.05,
        held_out: float | None = 0.2,
        patience: int = 16,
        review: float = 0.0,
        class_weights: str = "equal",
        label_smoothing: float = 0.0,
        order: Sequence[Any] | None = None,
        random_state: Any = 0,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            kind=kind,
            width=width,
            depth=depth,
            activation=activation,
            members=members,
            pieces=pieces,
            updates=updates,
            batch=batch,
            lr=lr,
            optimiser=optimiser,
            weight_decay=weight_decay,
            noise=noise,
            schedule=schedule,
            warmup=warmup,
            held_out=held_out,
            patience=patience,
            review=review,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing
        self.order = order

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from rows X, (n, columns), and their classes y, (n,): text, numbers or truth values; or labels,
        (n, labels), of 0 and 1.

        Raises:
            ValueError: as scikit-learn does; a `DataError` where a cell cannot be read or there is one class only.
        """
        return self._fit(X, y)

    def _about_task(self) -> dict[str, Any]:
        if self._labels:
            self._refuse_for_labels()
            return {"kind": "multilabel"}
        if self.order is not None:
            return {"kind": "ordinal", "order": list(self._class_names(np.asarray(plain(self.order))))}
        smoothing = plain(self.label_smoothing)
        return {"kind": "classify", "class_weights": self.class_weights, "label_smoothing": smoothing}

    def _refuse_for_labels(self) -> None:
        given = {"order": self.order, "class_weights": self.class_weights, "label_smoothing": self.label_smoothing}
        usual = {"order": None, "class_weights": "equal", "label_smoothing": 0.0}
        if wrong := [name for name, value in given.items() if value != usual[name]]:
            raise DataError(
                f"{', '.join(wrong)}: of one class a row, y holds labels, {len(self.classes_)} a row.",
                where=type(self).__name__,
                mend="leave it out, or give y as one column",
            )

    def _targets(self, y: Any, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        cells = y.toarray() if hasattr(y, "toarray") else y
        self._labels = type_of_target(cells, input_name="y") == "multilabel-indicator"
        if self._labels:
            return self._label_columns(cells, frame)
        flat = checked_target(column_or_1d(_values(y), warn=True), frame)
        check_classification_targets(flat)
        classes, codes = np.unique(flat, return_inverse=True)
        if len(classes) < 2:
            raise DataError(
                f"{type(self).__name__} needs two classes or more; y holds one class, {classes.tolist()[0]!r}.",
                where="y",
                mend="give rows of another class",
            )
        if self.order is not None:
            classes, codes = self._ordered(classes, codes)
        self.classes_ = classes
        names = self._class_names(classes)
        return pd.DataFrame({target_name(y, frame): np.asarray(names, dtype=object)[codes]}), names

    def _label_columns(self, y: Any, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        on = np.asarray(y)
        named = hasattr(y, "columns")
        self.classes_ = np.asarray(list(y.columns), dtype=object) if named else np.arange(on.shape[1])
        self._label_type = on.dtype
        names = []
        for label in self.classes_:
            name = str(label) if named else f"y{label + 1}"
            while name in frame.columns or name in names:
                name += "_"
            names.append(name)
        return checked_target(pd.DataFrame(on.astype(bool), columns=names), frame), tuple(names)

    def _ordered(
        self, classes: npt.NDArray[Any], codes: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """The classes in their order, and the codes in it."""
        wanted = list(self.order or ())
        strange = [value for value in classes.tolist() if value not in wanted]
        if strange or len(set(wanted)) < len(wanted):
            raise DataError(
                f"y holds {strange[:5]}, which the order does not name." if strange else "the order repeats a class.",
                where="order",
                mend="name every class once, lowest first",
            )
        place = np.asarray([wanted.index(value) for value in classes.tolist()])
        return np.asarray(wanted, dtype=classes.dtype), place[codes]

    def _class_names(self, classes: npt.NDArray[Any]) -> tuple[str, ...]:
        names = [str(text) for text in column("y", pd.Series(classes), "y").texts]
        return tuple(names if len({*names}) == len(names) else map(str, classes.tolist()))

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Probability of every class in the order of `classes_`, shape (n, classes); of labels, that each is there."""
        outputs = self._outputs(X)
        return probabilities(outputs, self._learned_task)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The likeliest class of every row, shape (n,); the median class of an order; of labels, (n, labels), 1 where
        one is likelier there than not.
        """
        outputs, task = self._outputs(X), self._learned_task
        if task.kind == "multilabel":
            return (outputs > 0).astype(self._label_type)
        chosen = median_rank(outputs) if task.kind == "ordinal" else probabilities(outputs, task).argmax(1)
        return np.asarray(self.classes_[chosen])


def _values(y: Any) -> Any:
    """A pandas categorical as its values."""
    return np.asarray(y) if isinstance(getattr(y, "dtype", None), pd.CategoricalDtype) else y
