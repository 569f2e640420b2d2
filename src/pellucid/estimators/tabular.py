"""What both estimators share: arguments, checks, learning, answering, saving."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import assert_all_finite, check_is_fitted, validate_data

from pellucid.assemble.problem import task_name
from pellucid.core.errors import DataError
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.data.frames import dtypes_say, read_fields
from pellucid.data.sources.memory import WHERE, as_frame
from pellucid.estimators.saved import described_in, new_folder, plain, write_described
from pellucid.handle import LearnedProgram
from pellucid.nn.program import NetworkProgram
from pellucid.report.progress import Progress
from pellucid.runs.plain import Plain, learn
from pellucid.runs.shelved import Shelved
from pellucid.spec.loader import spec_from
from pellucid.spec.model import IN_MEMORY, Spec
from pellucid.spec.presets import TABLE
from pellucid.store.store import Store

NAME = "table"  # of the program in its store
NETWORK = ("kind", "width", "depth", "activation", "members", "pieces")  # arguments, as sections of a spec have them
TRAIN = ("updates", "batch", "lr", "optimiser", "weight_decay", "noise", "schedule", "warmup")
CHUNK = 4096  # rows that are answered at a time
PICKLED = (
    "a pickled {name} opens only where its pickle is trusted, since a pickle can run code; "
    "save(folder) and {name}.load(folder) need none"
)


class Tabular(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share; see `PellucidClassifier` for the arguments."""

    def __init__(
        self,
        *,
        kind: str,
        width: int,
        depth: int,
        activation: str,
        members: int,
        pieces: int,
        updates: int,
        batch: int,
        lr: float,
        optimiser: str,
        weight_decay: float,
        noise: float,
        schedule: str,
        warmup: float,
        held_out: float | None,
        patience: int,
        review: float,
        random_state: Any,
        verbose: int,
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

    _label_type: np.dtype[Any] | None = None  # of y, when it holds labels

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
        targets, classes = self._targets(y, frame)
        table = pd.concat([frame, targets], axis=1)
        spec = self._spec([str(name) for name in targets], dtypes_say(frame))
        bar = Progress() if self.verbose else None
        if bar is None:
            learned = learn(spec, table, classes, review=self.review)
        else:
            with bar:
                learned = learn(spec, table, classes, review=self.review, reporter=bar)
        for note in learned.notes:
            if "different values" in note:  # a column of words that tells nothing yet: silence would hide a loss
                warnings.warn(note, UserWarning, stacklevel=3)
        self._shelved = Shelved(learned)
        self.notes_ = list(learned.notes)
        return self

    def _targets(self, y: Any, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """The columns of the target, named as no input is, and the classes in code order (of a number none)."""
        raise NotImplementedError

    def _about_task(self) -> dict[str, Any]:
        """The task of the spec."""
        raise NotImplementedError

    def _spec(self, targets: list[str], fields: dict[str, Any]) -> Spec:
        seed = self.random_state
        if seed is None or isinstance(seed, np.random.RandomState):
            seed = check_random_state(seed).randint(2**31 - 1)
        if not 0 <= self.review < 1:
            raise DataError(f"review is {self.review!r}.", where=type(self).__name__, mend="a share from 0 to below 1")
        network = {name: plain(getattr(self, name)) for name in NETWORK}
        train = {name: plain(getattr(self, name)) for name in TRAIN}
        stop = {"held_out": plain(self.held_out), "patience": plain(self.patience)}
        target: str | list[str] = targets if len(targets) > 1 else targets[0]
        raw: dict[str, Any] = {
            "name": NAME,
            "seed": int(seed),
            "data": {"kind": "table", "source": IN_MEMORY, "target": target, "fields": fields},
            "tasks": {task_name(target)[:64]: self._about_task()},
            "network": {**TABLE["network"], **network},
            "train": {**TABLE["train"], **train, "early_stop": {**TABLE["train"]["early_stop"], **stop}},
        }
        return spec_from(raw, where=f"{type(self).__name__}(...)")

    # -- answering -----------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> npt.NDArray[np.float64]:
        """The program's outputs, shape (n, k), in double precision."""
        check_is_fitted(self)
        frame = self._frame(X, reset=False)
        program, task = self._shelved.exact, self._learned_task.name
        rows = Rows(np.arange(len(frame)).astype(np.str_), read_fields(frame, program.schema.inputs, WHERE))
        found = []
        for start in range(0, len(frame), CHUNK):
            blocks = program.encode(rows.take(slice(start, start + CHUNK)))
            found.append(program({name: block.double() for name, block in blocks.items()}, task).numpy())
        outputs: npt.NDArray[np.float64] = np.concatenate(found)
        return outputs

    @property
    def _learned_task(self) -> Task:
        return next(iter(self._shelved.exact.tasks.values()))

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
        root = new_folder(path)
        self._shelved.moved(root)
        write_described(root, self._described())
        return root

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The estimator of a folder that `save` wrote.

        Raises:
            StoreError: there is none, or it is another estimator's.
            CorruptBlob: it is damaged.
        """
        root = Path(path)
        found = described_in(root, cls.__name__)
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
        if found.get("labels") is not None:
            model._label_type = np.dtype(found["labels"])
        return model

    def _described(self) -> dict[str, Any]:
        params = {name: plain(value) for name, value in self.get_params(deep=False).items()}
        if isinstance(params["random_state"], np.random.RandomState):
            params["random_state"] = self._shelved.plain.spec.seed
        names, classes = getattr(self, "feature_names_in_", None), getattr(self, "classes_", None)
        kind = None if classes is None else "O" if classes.dtype.kind == "O" else classes.dtype.str
        return {
            "estimator": type(self).__name__,
            "params": params,
            "ref": self._shelved.ref,
            "features": self.n_features_in_,
            "names": None if names is None else [str(name) for name in names],
            "classes": None if classes is None else {"values": classes.tolist(), "dtype": kind},
            "labels": None if self._label_type is None else self._label_type.str,
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


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") or hasattr(X, "__dataframe__") or hasattr(X, "__arrow_c_stream__")


def _unique(frame: pd.DataFrame) -> None:
    if not frame.columns.is_unique:
        twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise DataError(f"column names repeat: {', '.join(twice)}.", where=WHERE, mend="give each its own name")


def checked_target(y: Any, frame: pd.DataFrame) -> Any:
    """The target, finite and as long as the inputs.

    Raises:
        ValueError: it is not.
    """
    assert_all_finite(y, input_name="y")
    check_consistent_length(frame, y)
    return y


def target_name(y: Any, frame: pd.DataFrame) -> str:
    """A name for the target that no input has."""
    given = getattr(y, "name", None)
    name = given if isinstance(given, str) and given else "target"
    while name in frame.columns:
        name += "_"
    return name
