"""What single values cannot tell: checks across the parts of a spec.

They run on raw values, which may be wrong in any way, so that they are reported together with everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Found = tuple[tuple[str, ...], str, str]  # path, got, allowed

TABULAR = ("value_iteration", "policy_iteration", "q_learning", "sarsa")
NEEDS = {
    **dict.fromkeys(("forecast", "volatility"), "prices"),
    **dict.fromkeys(("classify", "multilabel", "ordinal", "regress"), "table"),
    "horizons": "series",
}
DATA = ("prices", "table", "series")


def cross_problems(raw: Mapping[str, Any]) -> list[Found]:
    """(path, got, allowed) of everything that does not fit together."""
    data, tasks = _mapping(raw.get("data")), _mapping(raw.get("tasks"))
    found = list(_sources(raw, data, tasks))
    found += _days(data)
    found += _table(data, tasks)
    found += _series(raw, data, tasks)
    found += _asks(data, tasks)
    found += _training(_mapping(raw.get("train")), tasks)
    found += _split(data, _mapping(raw.get("evidence")))
    found += _summaries(data, _mapping(raw.get("explain")))
    found += _text(_mapping(_mapping(raw.get("network")).get("text")))
    for name, task in tasks.items():
        found += _ppo(str(name), _mapping(task))
        found += _bc(str(name), _mapping(task))
        found += _table_alone(raw, str(name), _mapping(task))
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sources(raw: Mapping[str, Any], data: Mapping[str, Any], tasks: Mapping[str, Any]) -> Iterator[Found]:
    kind = data.get("kind")
    absent = raw.get("data") is None
    if absent and raw.get("tasks") in (None, {}):
        yield ("tasks",), "neither data nor tasks", "a `data` section, or a control task with an `env`"
    if kind == "prices" and raw.get("tasks") in (None, {}):
        yield ("tasks",), "no task", "at least one of kind forecast, volatility, control"
    for name, task in tasks.items():
        task_kind = _mapping(task).get("kind")
        need = NEEDS.get(task_kind) if isinstance(task_kind, str) else None
        if need and (absent or (kind in DATA and kind != need)):
            got = f"kind {task_kind} with {'no data' if absent else f'data of kind {kind}'}"
            yield ("tasks", str(name), "kind"), got, f"data.kind: {need} beside it"


def _days(data: Mapping[str, Any]) -> Iterator[Found]:
    start, end = data.get("start"), data.get("end")
    if start is not None and end is not None and str(end) <= str(start):
        yield ("data", "end"), str(end), f"a day after data.start, {start}"


def _table(data: Mapping[str, Any], tasks: Mapping[str, Any]) -> Iterator[Found]:
    if data.get("kind") != "table":
        return
    targets, drop = _targets(data), data.get("drop")
    for target in targets:
        if data.get("id") == target:
            yield ("data", "id"), f"the target '{target}'", "another column than the target"
        if isinstance(drop, list | tuple) and target in drop:
            yield ("data", "drop"), f"the target '{target}'", "columns other than the target"
    for name, said in _mapping(data.get("fields")).items():
        field = _mapping(said)
        order = field.get("order")
        words = order if isinstance(order, list | tuple) else []
        path = ("data", "fields", str(name))
        if name in targets and (field.get("drop") or field.get("kind") or words):
            yield path, f"the target '{name}'", "unit and description of the target"
        if field.get("kind") == "ordinal" and len(words) < 2:
            yield (*path, "order"), "no order", "the words of an ordinal, lowest first"
        if words and field.get("kind") not in (None, "ordinal"):
            yield (*path, "kind"), f"{field.get('kind')} with an order", "ordinal"
        if len({str(word) for word in words}) < len(words):
            yield (*path, "order"), "a word twice", "each word once"
    supervised = [name for name, task in tasks.items() if NEEDS.get(str(_mapping(task).get("kind"))) == "table"]
    for name in supervised[1:]:
        yield (
            ("tasks", str(name)),
            "a second task for data.target",
            f"one task of it (here '{supervised[0]}')",
        )


def _series(raw: Mapping[str, Any], data: Mapping[str, Any], tasks: Mapping[str, Any]) -> Iterator[Found]:
    kind = _mapping(raw.get("network")).get("kind")
    if data.get("kind") != "series":
        if kind in ("tcn", "transformer"):
            yield ("network", "kind"), str(kind), "mlp, ensemble (tcn and transformer read data.kind: series)"
        return
    if kind == "ensemble":
        yield ("network", "kind"), "ensemble", "tcn, transformer or mlp for series"
    taken: dict[str, str] = {}
    roles = [(role, data.get(role)) for role in ("target", "time", "group")]
    roles += [(role, name) for role in ("known", "past") for name in _listed(data.get(role))]
    for role, column in roles:
        if isinstance(column, str) and column in taken:
            yield ("data", role), f"'{column}', the {taken[column]} too", "a column of its own"
        elif isinstance(column, str):
            taken[column] = role
    for name in list(tasks)[1:]:
        yield ("tasks", str(name)), "a second task", f"one task for a series (here '{next(iter(tasks))}')"


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _targets(data: Mapping[str, Any]) -> list[str]:
    target = data.get("target")
    return [name for name in (target if isinstance(target, list | tuple) else [target]) if isinstance(name, str)]


def _training(train: Mapping[str, Any], tasks: Mapping[str, Any]) -> Iterator[Found]:
    average, stop = _mapping(train.get("average")), _mapping(train.get("early_stop"))
    kind = average.get("kind", "none")
    if kind != "none" and train.get("optimiser") == "schedule_free":
        yield ("train", "average", "kind"), f"{kind} beside schedule_free", "none: schedule_free keeps averages itself"
    if kind == "swa" and stop.get("held_out") is not None:
        yield ("train", "average", "kind"), "swa beside early_stop.held_out", "ema, or early_stop.held_out: null"
    acting = [name for name, task in tasks.items() if _mapping(task).get("kind") == "control"]
    if not acting:
        return
    if _mapping(train.get("compute")).get("precision") == "bfloat16":
        yield ("train", "compute", "precision"), f"bfloat16 beside the policy '{acting[0]}'", "float32"
    if _mapping(train.get("budget")).get("epochs") is not None and len(acting) == len(tasks):
        yield ("train", "budget", "epochs"), "passes over rows, of which there are none", "train.updates"


def _asks(data: Mapping[str, Any], tasks: Mapping[str, Any]) -> Iterator[Found]:
    """What a task asks of its target."""
    for name, raw in tasks.items():
        task, path = _mapping(raw), ("tasks", str(name))
        kind, order = task.get("kind"), task.get("order")
        if kind in ("classify", "ordinal", "regress") and len(_targets(data)) > 1:
            yield (
                (*path, "kind"),
                f"{kind} with {len(_targets(data))} targets",
                "multilabel, or one column as data.target",
            )
        if kind == "regress" and task.get("quantiles") is not None and task.get("distribution") is not None:
            yield (*path, "distribution"), "a distribution beside quantiles", "one of the two"
        if kind == "ordinal" and isinstance(order, list | tuple) and order:
            if len(order) < 2:
                yield (*path, "order"), "one class", "two or more, lowest first"
            if len({str(word) for word in order}) < len(order):
                yield (*path, "order"), "a word twice", "each word once"


def _text(text: Mapping[str, Any]) -> Iterator[Found]:
    pretrained = text.get("encoder") == "pretrained"
    if pretrained and text.get("folder") is None:
        yield ("network", "text", "folder"), "no folder", "the folder of the pretrained encoder"
    if not pretrained and text.get("folder") is not None:
        yield ("network", "text", "encoder"), f"{text.get('encoder', 'ngrams')} with a folder", "pretrained"
    if pretrained and text.get("tokens", "auto") != "auto":
        yield ("network", "text", "tokens"), str(text["tokens"]), "auto: a pretrained encoder brings its own"


SPLITS = {"grouped": "group", "column": "split_column", "walk_forward": "time"}


def _summaries(data: Mapping[str, Any], explain: Mapping[str, Any]) -> Iterator[Found]:
    each = explain.get("summarise", 0)
    if each and data.get("kind") != "table":
        yield ("explain", "summarise"), str(each), "a table (data.kind: table); other rows have no mean"
    elif each == 1:
        yield ("explain", "summarise"), "1", "0 (real rows), or at least 2 rows a mean"


def _split(data: Mapping[str, Any], evidence: Mapping[str, Any]) -> Iterator[Found]:
    how = evidence.get("split", "auto")
    if data.get("kind") != "table":
        for key, default in (("split", "auto"), ("purge", 0), ("embargo", 0), ("learning_curve", False)):
            if evidence.get(key, default) != default:
                yield ("evidence", key), str(evidence[key]), "a table (data.kind: table)"
        return
    need = SPLITS.get(how) if isinstance(how, str) else None
    if need and data.get(need) is None:
        yield ("evidence", "split"), f"{how} without data.{need}", f"data.{need}: a column's name"
    auto = how == "auto" and data.get("split_column") is None and data.get("group") is None
    timed = how == "walk_forward" or (auto and data.get("time") is not None)
    for key in ("purge", "embargo"):
        if evidence.get(key) and not timed:
            yield ("evidence", key), str(evidence[key]), "0 unless the split is walk_forward (data.time)"
    taken: dict[str, str] = dict.fromkeys(_targets(data), "target")
    for role in ("id", "group", "time", "split_column"):
        column = data.get(role)
        if isinstance(column, str) and column in taken and {role, taken[column]} != {"target", "id"}:
            yield ("data", role), f"'{column}', the {taken[column]} too", "a column of its own"
        elif isinstance(column, str):
            taken[column] = role


def _ppo(name: str, task: Mapping[str, Any]) -> Iterator[Found]:
    ppo = _mapping(task.get("ppo"))
    sizes = [ppo.get(key, default) for key, default in (("num_envs", 64), ("steps", 32), ("minibatch", 256))]
    if all(type(size) is int for size in sizes) and sizes[2] > sizes[0] * sizes[1] > 0:
        yield ("tasks", name, "ppo", "minibatch"), str(sizes[2]), f"at most num_envs * steps = {sizes[0] * sizes[1]}"


def _bc(name: str, task: Mapping[str, Any]) -> Iterator[Found]:
    if task.get("algorithm") == "bc" and _mapping(task.get("bc")).get("demonstrations") in (None, ""):
        yield ("tasks", name, "bc", "demonstrations"), "no file", "a file of shown states and actions"


def _table_alone(raw: Mapping[str, Any], name: str, task: Mapping[str, Any]) -> Iterator[Found]:
    """A table of action values shares nothing with a network."""
    algorithm = task.get("algorithm")
    if task.get("kind") != "control" or algorithm not in TABULAR:
        return
    if raw.get("data") is not None or len(_mapping(raw.get("tasks"))) > 1:
        yield ("tasks", name, "algorithm"), f"{algorithm} beside other tasks or data", "this task alone, without data"
