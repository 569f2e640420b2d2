"""Estimators of scikit-learn that learn a program: in pipelines, searches and cross-validation, as any other.

    model = PellucidClassifier().fit(X, y)
    model.predict_proba(X)
    model.program_.explain(X.head(1))

A fit trains on the rows that it is given and judges nothing: whoever calls it splits them. `program_` is the first
version of a store of its own, made when it is first asked for.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, validate_data

from pellucid.assemble.problem import task_name
from pellucid.core.errors import CorruptBlob, DataError, StoreError
from pellucid.core.rows import Rows
from pellucid.data.cells import column
from pellucid.data.frames import dtypes_say, read_fields
from pellucid.data.sources.memory import WHERE, as_frame
from pellucid.evidence.metrics import probabilities
from pellucid.handle import LearnedProgram
from pellucid.nn.program import NetworkProgram
from pellucid.report.progress import Progress
from pellucid.runs.plain import Plain, learn
from pellucid.runs.shelved import Shelved
from pellucid.spec.loader import spec_from
from pellucid.spec.model import IN_MEMORY, Spec
from pellucid.store.canonical import encode_json
from pellucid.store.files import make_folder, write_atomic
from pellucid.store.store import Store

NAME = "table"  # of the program in its store
FILE = "estimator.json"
FORMAT = 1
CHUNK = 4096  # rows that are answered at a time
PICKLED = (
    "a pickled {name} opens only where its pickle is trusted, since a pickle can run code; "
    "save(folder) and {name}.load(folder) need none"
)


class _Tabular(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share; see `PellucidClassifier` for the arguments."""

    _task = ""

    def __init__(
        self,
        *,
        kind: str = "mlp",
        width: int = 128,
        depth: int = 3,
        activation: str = "silu",
        members: int = 16,
        pieces: int = 16,
        updates: int = 300,
        batch: int = 256,
        lr: float = 1e-3,
        optimiser: str = "adamw",
        weight_decay: float = 0.3,
        noise: float = 0.5,
        schedule: str = "cosine",
        warmup: float = 0.05,
        held_out: float | None = None,
        patience: int = 16,
        review: float = 0.0,
        random_state: Any = 0,
        verbose: int = 0,
    ) -> None:
        self.kind = kind
        self.width = width
        self.depth = depth
        self.activation = activation
        self.members = members
        self.pieces = pieces
        self.updates = updates
        self.batch = batch
        self.lr = lr
        self.optimiser = optimiser
        self.weight_decay = weight_decay
        self.noise = noise
        self.schedule = schedule
        self.warmup = warmup
        self.held_out = held_out
        self.patience = patience
        self.review = review
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.sparse = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_shelved")

    # -- learning ------------------------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any) -> Self:
        name = type(self).__name__
        if y is None:
            raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None.")
        frame = self._frame(X, reset=True)
        target = _target_name(y, frame)
        categorical = isinstance(getattr(y, "dtype", None), pd.CategoricalDtype)
        y = column_or_1d(np.asarray(y) if categorical else y, warn=True)
        assert_all_finite(y, input_name="y")
        check_consistent_length(frame, y)
        cells, classes = self._targets(y)
        table = frame.assign(**{target: cells})
        spec = self._spec(target, dtypes_say(frame))
        bar = Progress() if self.verbose else None
        if bar is None:
            plain = learn(spec, table, classes, review=self.review)
        else:
            with bar:
                plain = learn(spec, table, classes, review=self.review, reporter=bar)
        for note in plain.notes:
            if "different values" in note:  # a column of words that tells nothing yet: silence would hide a loss
                warnings.warn(note, UserWarning, stacklevel=3)
        self._shelved = Shelved(plain)
        self.notes_ = list(plain.notes)
        return self

    def _targets(self, y: npt.NDArray[Any]) -> tuple[Any, tuple[str, ...]]:
        raise NotImplementedError

    def _spec(self, target: str, fields: dict[str, Any]) -> Spec:
        seed = self.random_state
        if seed is None or isinstance(seed, np.random.RandomState):
            seed = check_random_state(seed).randint(2**31 - 1)
        if not 0 <= self.review < 1:
            raise DataError(f"review is {self.review!r}.", where=type(self).__name__, mend="a share from 0 to below 1")
        network = {name: _plain(getattr(self, name)) for name in ("kind", "width", "depth", "activation", "members")}
        train = {n: _plain(getattr(self, n)) for n in ("updates", "batch", "noise", "optimiser", "lr", "weight_decay")}
        train |= {"schedule": self.schedule, "warmup": _plain(self.warmup)}
        raw: dict[str, Any] = {
            "name": NAME,
            "seed": int(seed),
            "data": {"kind": "table", "source": IN_MEMORY, "target": target, "fields": fields},
            "tasks": {task_name(target)[:64]: {"kind": self._task, **self._about_task()}},
            "network": {**network, "pieces": _plain(self.pieces)},
            "train": {
                **train,
                "early_stop": {"held_out": _plain(self.held_out), "patience": _plain(self.patience)},
            },
        }
        return spec_from(raw, where=f"{type(self).__name__}(...)")

    def _about_task(self) -> dict[str, Any]:
        """Settings of the task."""
        return {}

    # -- answering -----------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> npt.NDArray[np.float64]:
        """The program's outputs, shape (n, k), in double precision."""
        check_is_fitted(self)
        frame = self._frame(X, reset=False)
        program = self._shelved.exact
        task = next(iter(program.tasks))
        rows = Rows(np.arange(len(frame)).astype(np.str_), read_fields(frame, program.schema.inputs, WHERE))
        found = []
        for start in range(0, len(frame), CHUNK):
            blocks = program.encode(rows.take(slice(start, start + CHUNK)))
            found.append(program({name: block.double() for name, block in blocks.items()}, task).numpy())
        outputs: npt.NDArray[np.float64] = np.concatenate(found)
        return outputs

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """The inputs as a frame with the names of the fit, checked as scikit-learn does."""
        if _is_frame(X):
            X = as_frame(X)
            _unique(X)
            validate_data(self, X, reset=reset, skip_check_array=True)
            frame = X.reset_index(drop=True)
            if not frame.shape[0] or not frame.shape[1]:
                what = "sample" if not frame.shape[0] else "feature"
                raise DataError(
                    f"Found array with 0 {what}(s) (shape={frame.shape}) while a minimum of 1 is required.",
                    where=WHERE,
                    mend="give at least one row and one column",
                )
        else:
            words = not hasattr(X, "toarray") and np.asarray(X).dtype.kind in "OUS"
            kind = None if words else np.float64
            checked = validate_data(self, X, reset=reset, dtype=kind, ensure_all_finite="allow-nan")
            frame = pd.DataFrame(checked)
        known = getattr(self, "feature_names_in_", ())
        numbered = [f"x{i + 1}" for i in range(frame.shape[1])]  # as of `data.sources.memory`
        found: pd.DataFrame = frame.set_axis([str(name) for name in known] if len(known) else numbered, axis=1)
        return found

    # -- what scikit-learn does not have -------------------------------------------------------------------------

    @property
    def program_(self) -> LearnedProgram:
        """The learned program: explain, feedback, revise, diff.

        It lies in a store of its own, which ends with the estimator unless it is saved. A correction is compared with
        it on review rows: for that, fit with `review=0.2`.
        """
        check_is_fitted(self)
        store = self._shelved.store()
        return LearnedProgram(store, str(self._shelved.ref))

    def use(self, version: LearnedProgram) -> Self:
        """Predict with another version of `program_` from now on: one that was revised and accepted."""
        check_is_fitted(self)
        mine = self._shelved.store()
        if version.store.root.resolve() != mine.root.resolve() or not isinstance(version.program, NetworkProgram):
            raise DataError(
                f"'{version.ref}' is no version of this estimator's program.",
                where=f"{type(self).__name__}.use",
                mend="give a version that began with its program_",
            )
        self._shelved.use(version.program, version.ref)
        return self

    def save(self, path: str | Path) -> Path:
        """Write arrays and JSON to a new folder, a store that the command line reads too; no pickle.

        Raises:
            StoreError: the folder is not empty.
        """
        check_is_fitted(self)
        root = Path(path)
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise StoreError(f"'{root}' is not empty.", where="save", mend="give a new folder")
        make_folder(root)
        self._shelved.moved(root)
        write_atomic(root / FILE, encode_json(self._described()))
        return root

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The estimator of a folder that `save` wrote.

        Raises:
            StoreError: there is none, or it is another estimator's.
            CorruptBlob: it is damaged.
        """
        root = Path(path)
        found = _described_in(root, cls.__name__)
        model = cls(**found["params"])
        handle = LearnedProgram(Store(root, create=False), found["ref"])
        program = handle.program
        assert isinstance(program, NetworkProgram)
        spec = spec_from(handle.store.blobs.get_json(handle.entry.manifest["blobs"]["spec"]), where=str(root))
        names = [str(c) for c in next(iter(program.tasks.values())).options.get("classes", ())]
        model._shelved = Shelved(Plain(spec, program, tuple(names), tuple(found["notes"])), handle.store, found["ref"])
        model.n_features_in_, model.notes_ = int(found["features"]), list(found["notes"])
        if found["names"] is not None:
            model.feature_names_in_ = np.asarray(found["names"], dtype=object)
        if found["classes"] is not None:
            model.classes_ = np.asarray(found["classes"]["values"]).astype(found["classes"]["dtype"])
        return model

    def _described(self) -> dict[str, Any]:
        params = {name: _plain(value) for name, value in self.get_params(deep=False).items()}
        if isinstance(params["random_state"], np.random.RandomState):
            params["random_state"] = self._shelved.plain.spec.seed
        names, classes = getattr(self, "feature_names_in_", None), getattr(self, "classes_", None)
        kind = None if classes is None else "O" if classes.dtype.kind == "O" else classes.dtype.str
        return {
            "format": FORMAT,
            "estimator": type(self).__name__,
            "params": params,
            "ref": self._shelved.ref,
            "features": self.n_features_in_,
            "names": None if names is None else [str(name) for name in names],
            "classes": None if classes is None else {"values": classes.tolist(), "dtype": kind},
            "notes": self.notes_,
        }

    def __getstate__(self) -> dict[str, Any]:
        if not hasattr(self, "_shelved"):
            return dict(super().__getstate__())
        warnings.warn(PICKLED.format(name=type(self).__name__), UserWarning, stacklevel=2)
        return self._state()

    def _state(self) -> dict[str, Any]:
        return {**super().__getstate__(), **({"_shelved": self._shelved.state()} if hasattr(self, "_shelved") else {})}

    def __setstate__(self, state: dict[str, Any]) -> None:
        shelved = state.get("_shelved")
        self.__dict__.update({**state, "_shelved": Shelved.from_state(shelved)} if shelved is not None else state)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy within this process is no pickle."""
        copy = type(self).__new__(type(self))
        memo[id(self)] = copy
        copy.__setstate__(self._state())
        return copy


class PellucidClassifier(ClassifierMixin, _Tabular):  # type: ignore[misc]  # scikit-learn has no types
    """A program that predicts a class, as an estimator of scikit-learn. The defaults are those of `fit(data, target)`.

    X may be an array, or a frame of pandas, polars or Arrow: numbers, truth values, words and categories, with empty
    cells. Weights of rows are not learned from, so `fit` takes none.

    Args:
        kind: "mlp", or "ensemble": members that share nearly all weights.
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
        random_state: a seed, the same weights every time; a RandomState or None draws one.
        verbose: 1 shows progress.
    """

    _task = "classify"

    def __init__(
        self,
        *,
        kind: str = "mlp",
        width: int = 128,
        depth: int = 3,
        activation: str = "silu",
        members: int = 16,
        pieces: int = 16,
        updates: int = 300,
        batch: int = 256,
        lr: float = 1e-3,
        optimiser: str = "adamw",
        weight_decay: float = 0.3,
        noise: float = 0.5,
        schedule: str = "cosine",
        warmup: float = 0.05,
        held_out: float | None = None,
        patience: int = 16,
        review: float = 0.0,
        class_weights: str = "equal",
        label_smoothing: float = 0.0,
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

    def _about_task(self) -> dict[str, Any]:
        return {"class_weights": self.class_weights, "label_smoothing": _plain(self.label_smoothing)}

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from rows X, (n, columns), and their classes y, (n,): text, numbers or truth values.

        Raises:
            ValueError: as scikit-learn does; a `DataError` where a cell cannot be read or there is one class only.
        """
        return self._fit(X, y)

    def _targets(self, y: npt.NDArray[Any]) -> tuple[Any, tuple[str, ...]]:
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise DataError(
                f"{type(self).__name__} needs two classes or more; y holds one class, {classes.tolist()[0]!r}.",
                where="y",
                mend="give rows of another class",
            )
        self.classes_ = classes
        names = [str(text) for text in column("y", pd.Series(classes), "y").texts]
        if len({*names}) < len(names):
            names = [str(value) for value in classes.tolist()]
        return np.asarray(names, dtype=object)[codes], tuple(names)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Probability of every class, shape (n, classes), in the order of `classes_`."""
        outputs = self._outputs(X)
        return probabilities(outputs, next(iter(self._shelved.exact.tasks.values())))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The likeliest class of every row, shape (n,)."""
        likeliest = self.predict_proba(X).argmax(1)
        chosen: npt.NDArray[Any] = self.classes_[likeliest]
        return chosen


class PellucidRegressor(RegressorMixin, _Tabular):  # type: ignore[misc]  # scikit-learn has no types
    """A program that predicts a number, as an estimator of scikit-learn; the arguments of `PellucidClassifier`,
    but for those of classes.
    """

    _task = "regress"

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from rows X, (n, columns), and their numbers y, (n,).

        Raises:
            ValueError: as scikit-learn does; a `DataError` where a cell cannot be read.
        """
        return self._fit(X, y)

    def _targets(self, y: npt.NDArray[Any]) -> tuple[Any, tuple[str, ...]]:
        return np.asarray(y, dtype=np.float64), ()

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """The expected number of every row, shape (n,)."""
        return self._outputs(X)[:, 0]


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") or hasattr(X, "__dataframe__") or hasattr(X, "__arrow_c_stream__")


def _unique(frame: pd.DataFrame) -> None:
    if not frame.columns.is_unique:
        twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise DataError(f"column names repeat: {', '.join(twice)}.", where=WHERE, mend="give each its own name")


def _target_name(y: Any, frame: pd.DataFrame) -> str:
    """A name for the target that no input has."""
    given = getattr(y, "name", None)
    name = given if isinstance(given, str) and given else "target"
    while name in frame.columns:
        name += "_"
    return name


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _described_in(root: Path, name: str) -> dict[str, Any]:
    file = root / FILE
    if not file.is_file():
        raise StoreError(f"no estimator is saved in '{root}'.", where=f"{name}.load", mend="give a folder of save()")
    try:
        found = dict(json.loads(file.read_bytes()))
    except (ValueError, TypeError) as error:
        raise CorruptBlob(f"the file is damaged: {error}.", where=str(file), mend="save the estimator again") from None
    if found.get("estimator") != name or found.get("format") != FORMAT:
        raise StoreError(
            f"'{root}' holds a {found.get('estimator')} of format {found.get('format')}.",
            where=f"{name}.load",
            mend=f"load it as {found.get('estimator')}, with the version of Pellucid that wrote it",
        )
    return found
