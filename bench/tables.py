"""Learners of tables side by side: ten tables, five seeds, Pellucid against the best of five others.

A seed is a split: a quarter of the rows is the test part (at most 20,000), everybody gets the other three quarters
and may take a validation part out of them. Of a table below 1,000 rows every quarter is the test part in turn, and the
losses of all rows make the seed's score: one quarter of so few rows says little. That is done with as many partitions
into quarters as it takes to test 400 rows in a seed (three of wine). Nobody is tuned per table: each runs
with one configuration for all, the published defaults of its package. Budget: 40 CPU seconds a fit (learners that pass
over the rows again and again stop then and keep their best; the others need less).

Score: the share of a constant answer's loss that the model removes on the test part (1 - loss / loss of the constant;
log loss for classes, squared error for numbers; R² in the latter case). Probabilities are kept above 1e-6 for all.

Bar, per table: mean paired difference over 5 seeds against the best other model (by mean score), lower end of its 95 %
t-interval > -0.01. Control: the constant answer, judged alike, must fail on every table.

    python bench/tables.py [--tables wine digits] [--models pellucid lightgbm] [--seeds 0 1 2 3 4] [--jobs 2]
    resumes from bench/results/tables.json; configurations of Pellucid were chosen on seeds from 100 on
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import pandas as pd
import table_data
from table_data import TableData

OUT = Path(__file__).resolve().parent / "results" / "tables.json"
MOST_TESTED, LEAST_PROBABILITY, MARGIN = 20_000, 1e-6, 0.01
FEW = 1000  # rows: below, every quarter is tested in turn
LEAST_TESTED = 400  # of a seed, then
BUDGET_S = 40.0  # CPU seconds of a fit
Array = npt.NDArray[Any]


def numeric_and_text(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Names of the columns of numbers and of text."""
    text = [c for c in frame if not pd.api.types.is_numeric_dtype(frame[c])]
    return [c for c in frame if c not in text], text


def preprocessed(data: TableData) -> Any:
    """What linear models and scikit-learn's MLP need: filled, indicated, scaled, one-hot."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers, text = numeric_and_text(data.inputs)
    scaled = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    return make_column_transformer(
        (scaled, numbers), (OneHotEncoder(handle_unknown="ignore", sparse_output=False), text)
    )


def fitted(model: Any, train: TableData, test: pd.DataFrame) -> Array:
    """Probabilities in the order of the sorted classes, or predictions."""
    model.fit(train.inputs, train.target)
    found: Array = model.predict_proba(test) if train.kind == "classify" else model.predict(test)
    return found


def constant(train: TableData, test: pd.DataFrame, seed: int) -> Array:
    if train.kind == "regress":
        return np.full(len(test), train.target.mean())
    share = np.unique(train.target, return_counts=True)[1] / len(train.target)
    return np.tile(share, (len(test), 1))


def linear(train: TableData, test: pd.DataFrame, seed: int) -> Array:
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline

    model = LogisticRegression(max_iter=1000) if train.kind == "classify" else RidgeCV(np.logspace(-2, 3, 11))
    return fitted(make_pipeline(preprocessed(train), model), train, test)


def mlp(train: TableData, test: pd.DataFrame, seed: int) -> Array:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if train.kind == "classify":
        return fitted(
            make_pipeline(preprocessed(train), MLPClassifier(early_stopping=True, random_state=seed)), train, test
        )
    inner = make_pipeline(preprocessed(train), MLPRegressor(early_stopping=True, random_state=seed))
    return fitted(TransformedTargetRegressor(inner, transformer=StandardScaler()), train, test)


def boosting(train: TableData, test: pd.DataFrame, seed: int) -> Array:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    numbers, text = numeric_and_text(train.inputs)
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=254)
    kind = HistGradientBoostingClassifier if train.kind == "classify" else HistGradientBoostingRegressor
    model = kind(categorical_features=list(range(len(text))), random_state=seed)
    return fitted(make_pipeline(make_column_transformer((codes, text), ("passthrough", numbers)), model), train, test)


def lightgbm(train: TableData, test: pd.DataFrame, seed: int) -> Array:
    import lightgbm

    _, text = numeric_and_text(train.inputs)
    levels = {c: pd.CategoricalDtype(sorted(train.inputs[c].unique())) for c in text}
    kind = lightgbm.LGBMClassifier if train.kind == "classify" else lightgbm.LGBMRegressor
    model = kind(random_state=seed, verbose=-1, n_jobs=1)
    plain = [f"f{i}" for i in range(train.inputs.shape[1])]  # it refuses some characters in names
    renamed = [f.astype(levels).set_axis(plain, axis=1) for f in (train.inputs, test)]
    return fitted(model, train._replace(inputs=renamed[0]), renamed[1])


def tabm(train: TableData, test: pd.DataFrame, seed: int) -> Array:
    """TabM of its own package with piecewise-linear embeddings, trained as its README does (patience 16)."""
    import rtdl_num_embeddings
    import torch
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import OrdinalEncoder, QuantileTransformer
    from tabm import TabM

    torch.manual_seed(seed)
    numbers, text = numeric_and_text(train.inputs)
    inner, held = train_test_split(
        np.arange(len(train.target)),
        test_size=0.2,
        random_state=seed,
        stratify=train.target if train.kind == "classify" else None,
    )
    lacking = [c for c in numbers if train.inputs[c].isna().any()]
    middle = train.inputs[numbers].iloc[inner].median()
    quantiles = QuantileTransformer(
        n_quantiles=max(min(len(inner) // 30, 1000), 10),
        output_distribution="normal",
        subsample=10**9,
        random_state=seed,
    )

    def raw(frame: pd.DataFrame) -> Array:
        return np.hstack([frame[numbers].fillna(middle).to_numpy(float), frame[lacking].isna().to_numpy(float)])

    # Its bins refuse a column that does not vary.
    numbers = [c for c in numbers if train.inputs[c].iloc[inner].nunique() > 1]
    lacking = [c for c in lacking if train.inputs[c].iloc[inner].isna().any()]
    noise = np.random.default_rng(seed).normal(0, 1e-5, (len(inner), len(numbers) + len(lacking)))
    quantiles.fit(raw(train.inputs.iloc[inner]) + noise)
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(train.inputs[text].iloc[inner])

    def tensors(frame: pd.DataFrame) -> tuple[torch.Tensor, torch.Tensor]:
        return (
            torch.tensor(quantiles.transform(raw(frame)), dtype=torch.float32),
            torch.tensor(codes.transform(frame[text]) + 1, dtype=torch.int64),
        )

    classify = train.kind == "classify"
    if classify:
        classes, y_all = np.unique(train.target, return_inverse=True)
        y, d_out = torch.tensor(y_all), len(classes)
    else:
        mean, sd = train.target[inner].mean(), train.target[inner].std()
        y, d_out = torch.tensor((train.target - mean) / sd, dtype=torch.float32), 1
    xn, xc = tensors(train.inputs)
    bins = rtdl_num_embeddings.compute_bins(xn[inner], n_bins=max(2, min(48, len(inner) // 2 - 1)))
    model = TabM.make(
        n_num_features=xn.shape[1],
        cat_cardinalities=[len(c) + 1 for c in codes.categories_],
        d_out=d_out,
        num_embeddings=rtdl_num_embeddings.PiecewiseLinearEmbeddings(
            bins, d_embedding=16, activation=False, version="B"
        ),
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=3e-4)
    criterion = torch.nn.functional.cross_entropy if classify else torch.nn.functional.mse_loss

    def forward(index: Array) -> torch.Tensor:
        out = model(xn[index], xc[index] if xc.shape[1] else None)
        return out.float() if classify else out.squeeze(-1).float()

    @torch.inference_mode()
    def predict(n: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        model.eval()
        parts = []
        for start in range(0, len(n), 4096):
            out = model(n[start : start + 4096], c[start : start + 4096] if c.shape[1] else None).float()
            parts.append(out.softmax(-1).mean(1) if classify else out.squeeze(-1).mean(1))
        return torch.cat(parts)

    def loss(predicted: torch.Tensor, index: Array) -> float:
        if classify:
            return float(-predicted.clamp_min(1e-12)[torch.arange(len(index)), y[index]].log().mean())
        return float((predicted - y[index]).square().mean())

    best, state, patience, start = np.inf, None, 16, time.process_time()
    generator = np.random.default_rng(seed)
    for _ in range(1000):
        model.train()
        for index in np.array_split(generator.permutation(inner), max(1, len(inner) // 256)):
            optimiser.zero_grad()
            out, wanted = forward(index), y[index].repeat_interleave(model.k)
            criterion(out.flatten(0, 1), wanted).backward()
            optimiser.step()
            if time.process_time() - start > BUDGET_S:
                break
        now = loss(predict(xn[held], xc[held]), held)
        patience = 16 if now < best else patience - 1
        if now < best:
            best, state = now, {k: v.clone() for k, v in model.state_dict().items()}
        if patience < 0 or time.process_time() - start > BUDGET_S:
            break
    assert state is not None
    model.load_state_dict(state)
    found = predict(*tensors(test)).numpy()
    return found if classify else found * sd + mean


def pellucid(train: TableData, test: pd.DataFrame, seed: int, **settings: Any) -> Array:
    """The default for tables (`pellucid fit --data F --target y`)."""
    from pellucid.assemble import assemble, problem
    from pellucid.data.tables import rows_from_frame
    from pellucid.spec.presets import table_spec
    from pellucid.train.loop import Hooks

    frame = train.inputs.assign(target=train.target)
    overrides = tuple(f"{name.replace('__', '.')}={value}" for name, value in settings.items())
    spec = table_spec("memory.csv", "target", name="bench", overrides=(f"seed={seed}", *overrides))
    found = problem(spec, frame)
    made = assemble(found, np.arange(len(frame)), seed=seed)
    made.trainer.run(made.config, Hooks(made.schedule))
    program = made.finish()
    (name, task), *_ = program.tasks.items()
    out = program(program.encode(rows_from_frame(test, found.fields)), name).double().numpy()
    if train.kind == "regress":
        return out[:, 0]
    if out.shape[1] == 1:
        yes = 1.0 / (1.0 + np.exp(-out[:, 0]))
        return np.stack([1.0 - yes, yes], axis=1)
    order = np.argsort(task.options["classes"])
    p = np.exp(out - out.max(1, keepdims=True))
    return (p / p.sum(1, keepdims=True))[:, order]


MODELS: dict[str, Callable[[TableData, pd.DataFrame, int], Array]] = {
    "pellucid": pellucid,
    "constant": constant,
    "linear": linear,
    "mlp": mlp,
    "boosting": boosting,
    "lightgbm": lightgbm,
    "tabm": tabm,
}


def loss_of(predicted: Array, target: Array, classes: Array, kind: str) -> float:
    if kind == "regress":
        return float(np.mean((predicted - target) ** 2))
    p = np.clip(predicted, LEAST_PROBABILITY, 1.0)
    p = p / p.sum(1, keepdims=True)
    return float(-np.log(p[np.arange(len(target)), np.searchsorted(classes, target)]).mean())


def quarters(n: int, seed: int) -> list[tuple[Array, Array]]:
    """Test part and the rest of a seed: one pair, or the four of every partition of a small table."""
    pairs = []
    for partition in range(-(-LEAST_TESTED // n) if n < FEW else 1):
        order = np.random.default_rng([seed, 7, partition] if partition else [seed, 7]).permutation(n)
        tested = np.array_split(order, 4) if n < FEW else [order[: min(n // 4, MOST_TESTED)]]
        pairs += [(test, order[~np.isin(order, test)]) for test in tested]
    return pairs


def one(table: str, model: str, seed: int) -> dict[str, float]:
    """Score and seconds of a seed's fits with prediction, on one thread."""
    import torch

    torch.set_num_threads(1)
    data = table_data.ALL[table]()
    n, lost, tested, seconds = len(data.target), [0.0, 0.0], 0, 0.0
    for test, rest in quarters(n, seed):
        train = TableData(data.inputs.iloc[rest].reset_index(drop=True), data.target[rest], data.kind)
        shown = data.inputs.iloc[test].reset_index(drop=True)
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predicted = MODELS[model](train, shown, seed)
        seconds += time.process_time() - start
        classes = np.unique(train.target) if data.kind == "classify" else np.empty(0)
        for i, p in enumerate((predicted, constant(train, shown, seed))):
            lost[i] += len(test) * loss_of(p, data.target[test], classes, data.kind)
        tested += len(test)
    return {"score": 1.0 - lost[0] / lost[1], "cpu_seconds": seconds, "loss": lost[0] / tested}


def report(results: dict[str, Any], tables: list[str], seeds: list[int]) -> bool:
    """The table, and whether every bar is met (and the constant fails everywhere)."""
    from scipy.stats import t as student

    def scores(table: str, model: str) -> Array:
        keys = [f"{table} {model} {seed}" for seed in seeds]
        return np.array([results[k]["score"] for k in keys]) if all(k in results for k in keys) else np.empty(0)

    print(f"\n{'table':14}" + "".join(f"{m:>10}" for m in MODELS) + "   against the best other: difference (95 %)")
    every = True
    for table in tables:
        found = {m: s for m in MODELS if len(s := scores(table, m))}
        line = f"{table:14}" + "".join(f"{found[m].mean():10.4f}" if m in found else f"{'-':>10}" for m in MODELS)
        others = {m: s for m, s in found.items() if m not in ("pellucid", "constant")}
        for ours in ("pellucid", "constant"):
            if ours not in found or not others or len(seeds) < 2:
                continue
            best = max(others, key=lambda m: others[m].mean())
            gap = found[ours] - others[best]
            half = student.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap))
            met = gap.mean() - half > -MARGIN
            every &= met if ours == "pellucid" else not met
            if ours == "pellucid":
                interval = f"({gap.mean() - half:+.4f} to {gap.mean() + half:+.4f})"
                line += f"   {best}: {gap.mean():+.4f} {interval} {'met' if met else 'NOT MET'}"
        print(line)
    return every


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=list(table_data.ALL), choices=list(table_data.ALL))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    args = parser.parse_args()
    from pellucid.store.files import write_atomic

    OUT.parent.mkdir(exist_ok=True)
    results: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {}
    every = [(t, m, s) for t in args.tables for s in args.seeds for m in args.models]
    missing = [job for job in every if " ".join(map(str, job)) not in results]
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(one, *job): " ".join(map(str, job)) for job in missing}
        for done in as_completed(running):
            key = running[done]
            results[key] = r = done.result()
            write_atomic(OUT, json.dumps(results, indent=1).encode())
            print(f"{key:34} score {r['score']:8.4f}  {r['cpu_seconds']:7.1f} s", flush=True)
    report(results, args.tables, args.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
