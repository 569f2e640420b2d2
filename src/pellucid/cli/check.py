"""`pellucid check`: a spec, an environment, a data file or the store, before it is needed.

Exit code 1 when something is wrong with an environment, a table or the store.
"""

from __future__ import annotations

import argparse
import json
import shlex

EXAMPLE = """\
example:
  pellucid check spec examples/stocks.yaml --set train.lr=3e-4
  pellucid check spec --schema > spec.schema.json        for an editor's completion
  pellucid check env CartPole-v1
  pellucid check data my.csv --target y --group patient --time day
  pellucid check labels my.csv --target y
  pellucid check store"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="{spec,env,data,labels,store}")
    spec = kinds.add_parser("spec", help="every problem of a spec file at once", allow_abbrev=False)
    spec.add_argument("file", nargs="?", help="the YAML file")
    spec.add_argument("--set", action="append", default=[], metavar="a.b=v", help="override a value (repeatable)")
    spec.add_argument("--schema", action="store_true", help="print the JSON Schema of a spec and nothing else")
    env = kinds.add_parser("env", help="an environment obeys the conventions that training relies on")
    env.add_argument("id", help="Gymnasium id, e.g. CartPole-v1")
    env.add_argument("--steps", type=int, default=1000, metavar="N", help="random steps (default: 1000)")
    data = kinds.add_parser("data", help="what a table holds; its problems; fields that leak")
    data.add_argument("file", help="a file, pattern or URL, a table of scikit-learn, or a spec (.yaml)")
    data.add_argument("--target", help="the column to predict")
    data.add_argument("--query", help="of a database: a table's name, or a SELECT")
    data.add_argument("--id", help="the column that identifies a row")
    data.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="leave a column out (repeatable)")
    data.add_argument("--time", metavar="COLUMN", help="the column of a row's moment: rows are split by it")
    data.add_argument("--group", metavar="COLUMN", help="the column of what rows belong to: a group is never divided")
    data.add_argument("--set", action="append", default=[], metavar="a.b=v", help="override a value of the spec")
    data.add_argument("--json", action="store_true", help="everything that was found, as JSON")
    labels = kinds.add_parser("labels", help="rows of a table whose class is likely wrong, the most suspicious first")
    labels.add_argument("file", help="as for data")
    labels.add_argument("--target", required=True, help="the column of the classes")
    labels.add_argument("--id", help="the column that identifies a row")
    labels.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="leave a column out (repeatable)")
    labels.add_argument("--top", type=int, default=20, metavar="N", help="rows to print (default: 20)")
    store = kinds.add_parser("store", help="every blob is what was saved, every version complete")
    store.add_argument("--store", default=".pellucid", metavar="FOLDER", help="the folder (default: .pellucid)")


def run(args: argparse.Namespace) -> int:
    if args.what == "spec":
        return _schema() if args.schema else _spec(args.file, args.set)
    if args.what == "env":
        return _env(args.id, args.steps)
    if args.what == "data":
        from pellucid.cli.checked_data import check_data

        return check_data(args)
    if args.what == "labels":
        return _labels(args.file, args.target, args.id, args.drop, args.top)
    return _store(args.store)


def _schema() -> int:
    from pellucid.spec.model import Spec

    print(json.dumps(Spec.model_json_schema(), indent=2))
    return 0


def _spec(file: str | None, overrides: list[str]) -> int:
    from pellucid.core.errors import SpecError
    from pellucid.spec.loader import load_spec

    if file is None:
        raise SpecError("no spec file was given.", where="pellucid check spec", mend="give a YAML file, or --schema")
    spec = load_spec(file, overrides)
    tasks = ", ".join(f"{name} ({task.kind})" for name, task in spec.tasks.items()) or "the one its target asks for"
    print(f"{file}: a valid spec.")
    print(f"  program {spec.name}, data {spec.source or 'none'}, tasks {tasks}")
    print(f"  sha256  {spec.sha()}")
    print(f"Next: pellucid fit {file}" + "".join(f" --set {shlex.quote(value)}" for value in overrides))
    return 0


def _env(env: str, steps: int) -> int:
    from pellucid.core.errors import SpecError
    from pellucid.envs.check import inspect_env

    if steps < 1:
        raise SpecError(f"{steps} steps show nothing.", where="check env --steps", mend="--steps 1000")
    report = inspect_env(env, steps)
    width = max(map(len, report.facts), default=0)
    for name, text in report.facts.items():
        print(f"{name:<{width}}  {text}")
    for note in report.notes:
        print(f"note: {note}")
    for problem in report.problems:
        print(f"{env}: {problem}")
    if report.problems:
        count = len(report.problems)
        print(f"{env}: {count} problem{'s' if count > 1 else ''}.")
        return 1
    print(f"{env}: obeys the conventions.\nNext: pellucid fit --env {env}")
    return 0


def _labels(file: str, target: str, key: str | None, drop: list[str], top: int) -> int:
    from pellucid.data.tables import read_table
    from pellucid.runs.labels import suspects

    expected, rows = suspects(read_table(file, target=target, id=key, drop=drop))
    for row in rows[: min(top, expected)]:
        print(f"  {row.key}  says {row.label}, perhaps {row.suggested}  (its label has {100 * row.probability:.2g} %)")
    print(f"{file}: of {len(rows)} labels about {expected} are likely wrong (confident learning, 5 folds).")
    return 0


def _store(folder: str) -> int:
    from pellucid.store.store import Store

    report = Store(folder, create=False).verify()
    for problem in report.problems:
        print(f"needed by {', '.join(problem.needed_by)}: {problem.error}")
    unused = f", {len(report.unused)} of no further use" if report.unused else ""
    state = "is whole" if report.ok else f"has {len(report.problems)} problems"
    print(f"The store {folder} {state}: {report.checked} blobs read and compared with their hashes{unused}.")
    return 0 if report.ok else 1
