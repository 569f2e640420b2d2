"""Spec: everything that decides how a program is learned, as one pydantic model.

The same model stands behind a YAML file, keyword arguments and `--set a.b=v`; there is no second way to configure.
Units are part of the names or stand in the descriptions. No torch here: a spec is checked before anything heavy loads.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pellucid.spec.algorithms import (
    A2CSpec,
    BCSpec,
    DirectSpec,
    DQNSpec,
    ESSpec,
    PolicyIterationSpec,
    PPOSpec,
    SACSpec,
    SampledSpec,
    ValueIterationSpec,
)
from pellucid.spec.crosscheck import TABULAR, cross_problems
from pellucid.spec.images import ImageSpec, VisionSpec
from pellucid.spec.reading import ReadSpec as ReadSpec
from pellucid.spec.searching import SearchSpec
from pellucid.spec.section import Count, OpenShare, Positive, Section, Slug, TaskName
from pellucid.spec.series import HorizonsTask, SeriesData
from pellucid.spec.tasks import ClassifyTask, MultilabelTask, OrdinalTask, RegressTask, increasing
from pellucid.spec.text import TextSpec
from pellucid.spec.training import TrainSpec

SKLEARN_TABLES = ("breast_cancer", "iris", "wine", "digits", "diabetes")
IN_MEMORY = "dataframe"  # the source of a table that was given as an object
GIVEN = "given:"  # before the name of an environment that was given as an object
FILE_SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".arrow", ".feather", ".ipc"),
    *(".gz", ".zst", ".zstd", ".bz2"),
)
DATABASES = ("sqlite", "postgresql", "postgres", "mysql", "mariadb", "oracle", "mssql", "duckdb")
URL = re.compile(r"([a-z][a-z0-9_.-]*)(\+[a-z0-9_]+)?://")
SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)([^/:?][^?]*)")  # with a relative path
SourceKind = Literal["file", "url", "http", "sql"]


def _day(value: object) -> object:
    """Numbers are not dates: without this, 2018 would be the 2018th second of 1970."""
    if value is None or isinstance(value, str | date):
        return value
    raise PydanticCustomError("day", "a date as YYYY-MM-DD")


Day = Annotated[Annotated[date, Field(strict=False)] | None, BeforeValidator(_day)]


class PricesData(Section):
    """Daily prices of one asset."""

    kind: Literal["prices"]
    source: str = Field(
        min_length=1,
        description="sp500 | nasdaq (extra `finance`), planted | random_walk (simulated; planted:3: seed 3), or a file",
    )
    window: int = Field(default=20, ge=1, le=1000, description="days that the program sees, newest first")
    scale_days: int = Field(
        default=250, ge=20, le=5000, description="days of the past-only statistics that scale the inputs"
    )
    start: Day = Field(default=None, description="first day used, YYYY-MM-DD")
    end: Day = Field(default=None, description="last day used, YYYY-MM-DD")


def source_kind(source: str) -> SourceKind:
    """What a source is by its name: a file or pattern, a URL of a file system, of a web server or of a database."""
    found = URL.match(source)
    if found is None:
        return "file"
    scheme, driver = found.groups()
    if scheme in DATABASES or driver:
        return "sql"
    return "http" if scheme in ("http", "https") else "url"


def relocated(source: str, folder: Path) -> str:
    """A source given from the working directory as one that starts at `folder`."""
    if (found := SQLITE.fullmatch(source)) is not None:
        return found[1] + os.path.relpath(Path(found[2]).resolve(), folder)
    return os.path.relpath(Path(source).resolve(), folder) if source_kind(source) == "file" else source


class FieldSpec(Section):
    """What a column is, where that cannot be inferred."""

    kind: Literal["numeric", "category", "ordinal", "boolean", "date", "image", "text"] | None = Field(
        default=None,
        description="null: inferred; a date becomes year, month, weekday and days since 1970; an image is read from the"
        " paths in its cells",
    )
    image: ImageSpec = ImageSpec()
    unit: str = Field(default="", description="of its values, for reports and explanations")
    description: str = Field(default="", description="one line for a person")
    order: list[str] = Field(default=[], description="an ordinal's words, lowest first: they become 0, 1, 2, ...")
    drop: bool = Field(default=False, description="it is not used")
    rare: int = Field(default=0, ge=0, description="values in fewer rows than this become one, that of unseen values")
    scale: Literal["standard", "robust", "quantile"] = Field(
        default="standard", description="of a number: by mean and deviation; median and quartiles; normal scores"
    )


def _columns(value: object) -> object:
    """One problem, not one for each thing that a target may be."""
    several = isinstance(value, list) and len(value) > 1 and len({*map(str, value)}) == len(value)
    if all(isinstance(name, str) and name for name in (value if several and isinstance(value, list) else [value])):
        return value
    raise PydanticCustomError("target", "a column's name, or a list of two or more, each once")


Target = Annotated[str | list[str], BeforeValidator(_columns)]


class TableData(Section):
    """A table with one row per case."""

    kind: Literal["table"]
    source: str = Field(
        min_length=1,
        description="a file or pattern (CSV, TSV, JSON, JSON Lines, Parquet, Arrow), a URL (https, fsspec, database), "
        f"or {', '.join(SKLEARN_TABLES)}",
    )
    query: str | None = Field(default=None, min_length=1, description="of a database: a table's name, or a SELECT")
    read: ReadSpec = ReadSpec()
    target: Target = Field(description="the column to predict; several columns of 0 and 1 are labels")
    id: str | None = Field(
        default=None,
        min_length=1,
        description="the column that identifies a row; without it, a hash of the content does",
    )
    drop: list[str] = Field(default=[], description="columns that are not used")
    fields: dict[str, FieldSpec] = Field(default={}, description="what single columns are, by name")
    sensitive: list[str] = Field(
        default=[], description="inputs over which the evidence compares groups: fairness, and their own effect"
    )
    group: str | None = Field(
        default=None, min_length=1, description="the column of the person, machine, ... that rows belong to; no input"
    )
    time: str | None = Field(default=None, min_length=1, description="the column of a row's moment; no input")
    split_column: str | None = Field(
        default=None, min_length=1, description="a column that says train, validation or test; no input"
    )

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)

    @property
    def aside(self) -> dict[str, str]:
        """Columns that decide where a row goes, by role."""
        roles = {"group": self.group, "time": self.time, "split": self.split_column}
        return {role: name for role, name in roles.items() if name is not None}


class ForecastTask(Section):
    """Quantiles of the next day's log-return (pinball loss)."""

    kind: Literal["forecast"]
    quantiles: list[OpenShare] = Field(
        default=[0.05, 0.25, 0.5, 0.75, 0.95], min_length=1, description="increasing, within (0, 1)"
    )
    weight: Positive = Field(default=1.0, description="factor of this task's loss")

    @field_validator("quantiles")
    @classmethod
    def _increasing(cls, value: list[float]) -> list[float]:
        return increasing(value)


class VolatilityTask(Section):
    """Log-variance of the next `horizon` days."""

    kind: Literal["volatility"]
    horizon: int = Field(default=5, ge=1, le=250, description="days")
    weight: Positive = Field(default=1.0, description="factor of this task's loss")


class ControlTask(Section):
    """A policy for an environment."""

    kind: Literal["control"]
    env: str = Field(
        min_length=1,
        pattern=r"^\S+$",
        description="Gymnasium id, e.g. CartPole-v1 or pellucid/StockTrading-v0; given:NAME: an object given in Python",
    )
    cost_bps: float = Field(
        default=5.0,
        ge=0,
        le=1000,
        description="trading cost per unit of position changed, basis points (trading environments)",
    )
    episode_days: Count | None = Field(
        default=None, description="days per episode; none: to the end of the data (price environments)"
    )
    algorithm: Literal[
        "ppo", "a2c", "dqn", "sac", "es", "bc", "direct", "value_iteration", "policy_iteration", "q_learning", "sarsa"
    ] = "ppo"
    ppo: PPOSpec = PPOSpec()  # each algorithm has a section of its name
    a2c: A2CSpec = A2CSpec()
    dqn: DQNSpec = DQNSpec()
    sac: SACSpec = SACSpec()
    es: ESSpec = ESSpec()
    bc: BCSpec = BCSpec()
    direct: DirectSpec = DirectSpec()
    value_iteration: ValueIterationSpec = ValueIterationSpec()
    policy_iteration: PolicyIterationSpec = PolicyIterationSpec()
    q_learning: SampledSpec = SampledSpec()
    sarsa: SampledSpec = SampledSpec()
    env_options: dict[str, Any] = Field(default={}, description="keyword arguments of the environment")
    workers: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="processes that step the environments; 0: this one; the results are the same",
    )
    env_timeout: Positive = Field(default=60.0, description="seconds that one call of an environment may take")
    weight: Positive = Field(default=1.0, description="factor of this task's loss")

    @property
    def settings(self) -> PPOSpec | A2CSpec | DQNSpec | SACSpec | ESSpec | BCSpec | DirectSpec:
        """The section of the chosen algorithm, of those that train a network."""
        found: PPOSpec | A2CSpec | DQNSpec | SACSpec | ESSpec | BCSpec | DirectSpec = getattr(self, self.algorithm)
        return found

    @property
    def tabular(self) -> bool:
        """The algorithm fills a table instead of training a network."""
        return self.algorithm in TABULAR


class NetworkSpec(Section):
    """The shared trunk."""

    kind: Literal["mlp", "ensemble", "tokens", "tcn", "transformer"] = Field(
        default="mlp",
        description="ensemble: members that share nearly all weights, for tables (TabM); tokens: a transformer with a "
        "token per field, for mixed inputs; tcn, transformer: causal convolutions or attention over the steps of a "
        "series (data.kind: series)",
    )
    width: Count = Field(default=256, le=16384, description="units per layer")
    depth: Count = Field(default=2, le=64, description="layers")
    activation: Literal["relu", "tanh", "silu"] = "relu"
    members: Count = Field(default=16, le=1024, description="of an ensemble")
    images: Literal["convnet", "vit"] = Field(default="convnet", description="what reads the pictures of a table")
    vision: VisionSpec = VisionSpec()
    attention: Count = Field(default=4, le=256, description="heads of a layer of tokens; the width is a multiple")
    pieces: int = Field(default=16, ge=0, le=512, description="intervals that ensemble and tokens cut a number into")
    expert: bool = Field(
        default=True,
        description="an ensemble answers together with the additive model as which it begins; held-out rows choose "
        "its share",
    )
    text: TextSpec = TextSpec()


class EvidenceSpec(Section):
    """How the program is judged."""

    folds: Count = Field(default=3, le=50, description="walk-forward or cross-validation folds")
    split: Literal["auto", "random", "stratified", "grouped", "column", "walk_forward"] = Field(
        default="auto",
        description="of a table; auto: by split_column, group or time where data names one, else by class",
    )
    purge: int = Field(
        default=0, ge=0, description="moments before the test rows whose labels reach into them: not trained on"
    )
    embargo: int = Field(default=0, ge=0, description="further moments left out between training and test")
    block: Count = Field(default=20, description="mean length of the bootstrap's blocks, rows")
    margin: float = Field(default=0.01, ge=0, description="relative difference that does not matter (equivalence test)")
    controls: bool = Field(default=False, description="also fit a planted market and a random walk")
    episodes: Count = Field(default=100, description="greedy episodes by which a policy is judged")
    learning_curve: bool = Field(
        default=False, description="of a table: also fit on 1/8, 1/4 and 1/2 of the rows, three more fits a fold"
    )


class ReviewSpec(Section):
    """The frozen review set: rows that no fit, correction or search may train on."""

    rows: Count | None = Field(default=None, description="number of rows; null: by share")
    share: OpenShare = Field(default=0.2, description="share of the rows")


class ExplainSpec(Section):
    """Defaults of explanations."""

    background: Count = Field(default=128, description="reference rows")
    summarise: int = Field(
        default=0,
        ge=0,
        description="of a table: each reference row is the mean of so many training rows, at least 2; 0: real rows",
    )
    evaluations: int = Field(default=2000, ge=2, description="coalitions evaluated per explained row")
    grain: Literal["field", "group", "part", "superpixel"] = Field(
        default="group", description="players: whole fields, groups of lags, patches and segments, or superpixels"
    )
    parts: Count = Field(default=16, description="patches of a picture, segments of a series, about")


AnyData = Annotated[PricesData | TableData | SeriesData, Field(discriminator="kind")]
AnyTask = Annotated[
    ClassifyTask
    | MultilabelTask
    | OrdinalTask
    | RegressTask
    | ForecastTask
    | VolatilityTask
    | HorizonsTask
    | ControlTask,
    Field(discriminator="kind"),
]


class Spec(Section):
    """How a program is learned."""

    name: Slug = Field(
        description="small letters, digits, - and _, beginning with a letter; versions are name@1, name@2, ..."
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="the one seed")
    data: AnyData | None = Field(
        default=None, description="where rows come from; none for a program that only meets an environment"
    )
    tasks: dict[TaskName, AnyTask] = Field(
        default={}, description="what is to be learned, by name; a table without tasks gets the one its target asks for"
    )
    network: NetworkSpec = NetworkSpec()
    train: TrainSpec = TrainSpec()
    evidence: EvidenceSpec = EvidenceSpec()
    review: ReviewSpec = ReviewSpec()
    explain: ExplainSpec = ExplainSpec()
    search: SearchSpec | None = Field(default=None, description="settings to try: `pellucid search`")
    _folder: Path | None = PrivateAttr(None)  # where relative sources start; no part of the spec's identity

    @model_validator(mode="after")
    def _cross(self) -> Spec:
        for path, got, allowed in cross_problems(self.to_json()):
            raise PydanticCustomError(
                "cross",
                "{path}: got {got}; allowed: {allowed}",
                {"path": ".".join(path), "got": got, "allowed": allowed},
            )
        return self

    def to_json(self) -> dict[str, Any]:
        """Every value, defaults included, as JSON types; without a search there is no word of one."""
        found = self.model_dump(mode="json")
        if found["search"] is None:
            del found["search"]
        return found

    def canonical(self) -> str:
        """The same text for the same spec: keys sorted, no spaces."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def sha(self) -> str:
        """SHA-256 of the canonical text, in hexadecimal."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    @property
    def source(self) -> str | None:
        """`data.source`; a relative file starts at the folder of the spec's own file, as in `data/prices.csv`."""
        if self.data is None:
            return None
        return self.located(self.data.source)

    def located(self, source: str) -> str:
        """A relative file starts at the folder of the spec's own file; a name stays a name."""
        if source_kind(source) != "file":
            return self._located_database(source)
        is_file = source.lower().endswith(FILE_SUFFIXES) or "/" in source or self._is_folder(source)
        return str(self._folder / source) if is_file and self._folder else source

    def _is_folder(self, source: str) -> bool:
        """A folder of pictures beside the spec's file."""
        named = isinstance(self.data, TableData) and source not in (*SKLEARN_TABLES, IN_MEMORY)
        return named and self._folder is not None and (self._folder / source).is_dir()

    def _located_database(self, url: str) -> str:
        """A relative file of SQLite starts at the folder, too."""
        found = SQLITE.fullmatch(url)
        return f"{found[1]}{self._folder / found[2]}" if found and self._folder else url

    @property
    def folder(self) -> Path | None:
        """Where a relative source starts; None when the spec came from no file."""
        return self._folder

    def within(self, folder: Path | None) -> Spec:
        """This spec, read from a file in `folder`."""
        copy = self.model_copy()
        copy._folder = folder
        return copy

    def replace(self, changes: Mapping[str, Any] | None = None, overrides: Sequence[str] = ()) -> Spec:
        """A checked copy with dotted keys replaced, or `a.b=v` as after `--set`: `spec.replace({"train.lr": 0.1})`."""
        from pellucid.spec.loader import spec_from

        return spec_from(self.to_json(), where="spec", changes=changes, overrides=overrides).within(self._folder)
