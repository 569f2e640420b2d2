"""Counterfactuals beside dice-ml: validity, changes, distance, what must not change, time.

The same model, rows, immutable fields and ranges for all, in one process and in turn: an MLP of scikit-learn on
breast_cancer (30 numbers; `mean radius` is kept) and on titanic (numbers and categories; `sex` is kept). Validity is
asked of the model itself. Distance: |change| in median absolute deviations of the training part (its deviation where
that is 0), 1 for another category, summed over the fields. Changes: fields that differ by more than a hundredth of a
deviation, so that rounding is none. Lonely: distance to the nearest training row. Verbatim: answers that are such rows.

    python bench/counterfactuals.py --titanic titanic.csv

dice-ml is to be installed; the file is seaborn's titanic.csv. Resumable: results/counterfactuals.json.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pellucid.explain import Limits, counterfactuals
from pellucid.nn.foreign import wrap

RESULTS = Path(__file__).with_name("results") / "counterfactuals.json"
ROWS = 40
ANSWERS = 4
PEERS = ("random", "genetic", "kdtree")
KEPT = {"breast_cancer": "mean radius", "titanic": "sex"}


def table(name: str, titanic: str) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Inputs and labels."""
    if name == "breast_cancer":
        data = load_breast_cancer(as_frame=True)
        return data.data, data.target.to_numpy()
    frame = pd.read_csv(titanic)[["survived", "pclass", "sex", "age", "sibsp", "parch", "fare", "embarked"]].dropna()
    words = {"pclass": frame["pclass"].astype(str)} | {c: frame[c].astype(object) for c in ("sex", "embarked")}
    return frame.drop(columns="survived").assign(**words).reset_index(drop=True), frame["survived"].to_numpy()


def fitted(train: pd.DataFrame, y: Any, seed: int) -> Any:
    words = [c for c in train if train[c].dtype == object or isinstance(train[c].iloc[0], str)]
    numbers = [c for c in train if c not in words]
    parts = [(StandardScaler(), numbers)] + ([(OneHotEncoder(handle_unknown="ignore"), words)] if words else [])
    mlp = MLPClassifier((64, 64), alpha=1e-2, max_iter=300, random_state=seed)
    return make_pipeline(make_column_transformer(*parts), mlp).fit(train, y)


class Ruler:
    """Changes and distances, by no code of the package."""

    def __init__(self, train: pd.DataFrame) -> None:
        self.scale: dict[str, float] = {}
        self.train = train
        for c in train.select_dtypes("number"):
            deviation = float((train[c] - train[c].median()).abs().median())
            self.scale[c] = deviation or float(train[c].std()) or 1.0

    def __call__(self, row: pd.Series[Any], answer: pd.Series[Any]) -> tuple[int, float]:
        changes, distance = 0, 0.0
        for c in row.index:
            if c in self.scale:
                apart = abs(float(answer[c]) - float(row[c]))
                changes += apart > 0.01 * self.scale[c]
                distance += apart / self.scale[c]
            else:
                changes += str(answer[c]) != str(row[c])
                distance += str(answer[c]) != str(row[c])
        return changes, distance

    def nearest(self, answer: pd.Series[Any]) -> float:
        """Distance to the nearest training row."""
        total = np.zeros(len(self.train))
        for c in self.train:
            if c in self.scale:
                total += (self.train[c] - float(answer[c])).abs().to_numpy() / self.scale[c]
            else:
                total += (self.train[c].astype(str) != str(answer[c])).to_numpy()
        return float(total.min())


def judged(model: Any, ruler: Ruler, row: pd.DataFrame, answers: pd.DataFrame, kept: str) -> list[dict[str, Any]]:
    """Each answer: is it of the other class, how many changes, how far, was the kept field touched."""
    if not len(answers):
        return []
    answers = answers[list(row.columns)].astype({c: row[c].dtype for c in row})
    other = model.predict(answers) != model.predict(row)[0]
    told = []
    for i in range(len(answers)):
        changes, distance = ruler(row.iloc[0], answers.iloc[i])
        touched = str(answers[kept].iloc[i]) != str(row[kept].iloc[0])
        if isinstance(row[kept].iloc[0], float):
            touched = abs(float(answers[kept].iloc[i]) - float(row[kept].iloc[0])) > 1e-6
        lonely = ruler.nearest(answers.iloc[i])
        told.append(
            {
                "valid": bool(other[i]),
                "changes": int(changes),
                "distance": distance,
                "touched": bool(touched),
                "lonely": lonely,
            }
        )
    return told


def ours(model: Any, train: pd.DataFrame, rows: pd.DataFrame, kept: str, seed: int) -> Any:
    program = wrap(model, inputs=train)
    reference, limits = program.rows(train), Limits(keep=(kept,))

    def answer(i: int, n: int) -> pd.DataFrame:
        given = program.rows(rows.iloc[i : i + 1])
        found = counterfactuals(program, given, "predict", reference=reference, n=n, limits=limits, seed=seed)[0]
        return pd.DataFrame(found.rows.fields)

    return answer


def dice(method: str, model: Any, train: pd.DataFrame, y: Any, rows: pd.DataFrame, kept: str, seed: int) -> Any:
    import dice_ml

    numbers = list(train.select_dtypes("number"))
    data = dice_ml.Data(dataframe=train.assign(outcome=y), continuous_features=numbers, outcome_name="outcome")
    explainer = dice_ml.Dice(data, dice_ml.Model(model=model, backend="sklearn"), method=method)
    vary = [c for c in train if c != kept]

    def answer(i: int, n: int) -> pd.DataFrame:
        seeded = {"random_seed": seed} if method == "random" else {}
        np.random.seed(seed)
        try:
            found = explainer.generate_counterfactuals(
                rows.iloc[i : i + 1], total_CFs=n, desired_class="opposite", features_to_vary=vary, **seeded
            )
        except Exception as error:  # it raises when it finds none
            if "No counterfactuals found" not in str(error):
                print(f"dice {method}, row {i}: {type(error).__name__}: {str(error)[:100]}", flush=True)
            return pd.DataFrame(columns=rows.columns)
        frame = found.cf_examples_list[0].final_cfs_df
        return pd.DataFrame(columns=rows.columns) if frame is None else frame.drop(columns="outcome")

    return answer


def run(name: str, seed: int, method: str, n: int, rows_n: int, titanic: str) -> dict[str, Any]:
    """One cell: a table, a seed (of the split, the fit and the search), a method, answers a row."""
    x, y = table(name, titanic)
    train, test, y_train, _ = train_test_split(x, y, test_size=max(150, rows_n), random_state=seed)
    model, kept = fitted(train, y_train, seed), KEPT[name]
    rows, ruler = test.iloc[:rows_n], Ruler(train)
    if method == "pellucid":
        answer = ours(model, train, rows, kept, seed)
    else:
        answer = dice(method, model, train, y_train, rows, kept, seed)
    found, start = [], time.process_time()
    for i in range(rows_n):
        found.append(answer(i, n))
    seconds = (time.process_time() - start) / rows_n
    told = [judged(model, ruler, rows.iloc[i : i + 1], found[i], kept) for i in range(rows_n)]
    accuracy = float((model.predict(x.loc[test.index]) == y[test.index]).mean())
    return {"seconds": seconds, "accuracy": accuracy, "rows": told}


def summary(cells: dict[str, Any], name: str, seeds: range, method: str, n: int) -> list[Any] | None:
    """Rows of the table: medians over all answers, with the range of the seeds' medians."""
    mine = [cells.get(f"{name}/{seed}/{method}/{n}") for seed in seeds]
    if any(cell is None for cell in mine):
        return None
    rows = [row for cell in mine for row in cell["rows"]]
    answers = [a for row in rows for a in row]
    valid = [a for a in answers if a["valid"]]
    share = sum(sum(a["valid"] for a in row) for row in rows) / (n * len(rows))
    one = sum(any(a["valid"] for a in row) for row in rows) / len(rows)
    by_seed = [[a for row in cell["rows"] for a in row if a["valid"]] for cell in mine]
    spans = []
    for what in ("changes", "distance", "lonely"):
        medians = [float(np.median([a[what] for a in cell])) for cell in by_seed if cell]
        whole = float(np.median([a[what] for a in valid])) if valid else float("nan")
        spans.append(f"{whole:.3g} ({min(medians):.3g} to {max(medians):.3g})" if medians else "none")
    touched = sum(a["touched"] for a in answers)
    seconds = np.median([cell["seconds"] for cell in mine])
    return [
        name,
        n,
        method,
        f"{one:.1%}",
        f"{share:.1%}",
        *spans,
        touched,
        sum(a["lonely"] < 1e-9 for a in valid),
        f"{seconds:.2f}",
        len(rows),
    ]


def paired(cells: dict[str, Any], name: str, seeds: range, peer: str, n: int) -> str | None:
    """On the rows that both have answered validly: the medians of the rows' mean changes and distances."""
    pairs: dict[str, list[tuple[float, float]]] = {"changes": [], "distance": []}
    for seed in seeds:
        a, b = (cells.get(f"{name}/{seed}/{method}/{n}") for method in ("pellucid", peer))
        if a is None or b is None:
            return None
        for mine, theirs in zip(a["rows"], b["rows"], strict=True):
            mine, theirs = ([answer for answer in row if answer["valid"]] for row in (mine, theirs))
            if mine and theirs:
                for what, kept in pairs.items():
                    kept.append(tuple(float(np.mean([r[what] for r in row])) for row in (mine, theirs)))  # type: ignore[arg-type]
    told = []
    for what, kept in pairs.items():
        ours_, theirs_ = np.median(np.asarray(kept), axis=0)
        nearer = np.mean([a <= b for a, b in kept])
        told.append(f"{what} {ours_:.3g} against {theirs_:.3g} (no worse on {nearer:.0%})")
    return f"{name}, {n} answers, against {peer}, {len(pairs['changes'])} rows both answered: " + "; ".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--titanic", default="titanic.csv", help="seaborn's titanic.csv")
    parser.add_argument("--tables", nargs="*", default=list(KEPT))
    parser.add_argument("--methods", nargs="*", default=["pellucid", *PEERS])
    parser.add_argument("--answers", nargs="*", type=int, default=[1, ANSWERS])
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    cells = json.loads(args.results.read_text()) if args.results.exists() else {}
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    for seed in seeds:
        for name in args.tables:
            for n in args.answers:
                for method in args.methods:
                    key = f"{name}/{seed}/{method}/{n}"
                    if key not in cells:
                        cells[key] = run(name, seed, method, n, args.rows, args.titanic)
                        args.results.parent.mkdir(exist_ok=True)
                        args.results.write_text(json.dumps(cells))
                        print(f"{key}: {cells[key]['seconds']:.2f} s a row", flush=True)
    head = [
        "table",
        "answers",
        "method",
        "rows answered",
        "valid",
        "changes",
        "distance",
        "lonely",
        "touched",
        "verbatim",
    ]
    head += ["CPU s a row", "rows"]
    lines = [summary(cells, name, seeds, m, n) for name in args.tables for n in args.answers for m in args.methods]
    print(pd.DataFrame([line for line in lines if line], columns=head).to_string(index=False))
    for name in args.tables:
        for n in args.answers:
            for peer in args.methods:
                told = paired(cells, name, seeds, peer, n) if peer != "pellucid" else None
                print(told or "", end="\n" if told else "")


if __name__ == "__main__":
    main()
