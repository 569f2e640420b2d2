"""A program as blobs and back: JSON and safetensors by SHA-256, nothing that could run."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pellucid.adapt import restore
from pellucid.core.errors import DataError
from pellucid.core.rows import Rows
from pellucid.core.schema import Schema
from pellucid.core.task import Task
from pellucid.core.version import __version__
from pellucid.data.encoding import Encoding
from pellucid.nn.ensemble import network_from
from pellucid.nn.network import Network
from pellucid.nn.pretrained_text import PretrainedText
from pellucid.nn.program import NetworkProgram
from pellucid.rl.tabular import TabularProgram
from pellucid.spec.loader import spec_from
from pellucid.spec.model import Spec
from pellucid.store.records import Entry
from pellucid.store.store import Store

FORMAT = 1
Learned = NetworkProgram | TabularProgram  # what a fit makes and a version holds


def save_program(store: Store, program: Learned) -> dict[str, str]:
    """The blobs of a program, by role; deltas are saved beside the base, whose blobs stay as they are."""
    if isinstance(program, TabularProgram):
        table = {
            "table": {"timed": program.timed},
            "schema": program.schema.to_json(),
            "tasks": [task.to_json() for task in program.tasks.values()],
            "deltas": [],
        }
        return {"program": store.blobs.put_json(table), "weights": store.blobs.put_tensors({"Q": program.Q})}
    blobs = {
        "program": store.blobs.put_json(described(program)),
        "weights": store.blobs.put_tensors(dict(program.network.state_dict())),
    }
    for encoder in frozen_encoders(program.network):
        assert encoder.weights is not None
        blobs[f"encoder/{encoder.sha256}"] = store.blobs.put_tensors(encoder.weights.tensors())
    for i, delta in enumerate(program.deltas):
        blobs[f"delta/{i}"] = store.blobs.put_tensors(dict(delta.parameters()))
    return blobs


def described(program: NetworkProgram) -> dict[str, Any]:
    """All of a program but its numbers, as JSON."""
    return {
        "architecture": program.network.architecture,
        "schema": program.schema.to_json(),
        "tasks": [task.to_json() for task in program.tasks.values()],
        "encoding": program.encoding.to_json(),
        "deltas": [delta.manifest() for delta in program.deltas],
    }


def frozen_encoders(network: Network) -> list[PretrainedText]:
    """The encoders whose weights lie outside the network."""
    return [e for e in network.encoders.values() if isinstance(e, PretrainedText) and e.frozen]


def rebuilt(
    raw: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    deltas: Sequence[Mapping[str, torch.Tensor]],
    frozen: Callable[[str], Mapping[str, torch.Tensor]] | None = None,
) -> NetworkProgram:
    """The inverse of `described`, with the base's weights and those of each delta, in order.

    Args:
        frozen: gives the weights of a frozen encoder by their SHA-256; asked when this process does not hold them.
    """
    network = network_from(raw["architecture"])
    for encoder in frozen_encoders(network):
        if encoder.weights is None and frozen is not None:
            encoder.load(frozen(encoder.sha256))
    network.load_state_dict(dict(weights))
    network.eval()
    attached = []
    for manifest, tensors in zip(raw["deltas"], deltas, strict=True):
        delta = restore(manifest, dict(tensors))
        delta.attach(network)
        attached.append(delta)
    tasks = {t["name"]: Task.from_json(t) for t in raw["tasks"]}
    return NetworkProgram(
        network, Schema.from_json(raw["schema"]), tasks, Encoding.from_json(raw["encoding"]), tuple(attached)
    )


def load_program(store: Store, entry: Entry) -> Learned:
    """The program of a version: the base with its deltas attached in order.

    Raises:
        CorruptBlob: a blob is damaged or missing.
        DeltaError: a delta does not fit the base.
    """
    blobs: Mapping[str, str] = entry.manifest["blobs"]
    raw = store.blobs.get_json(blobs["program"])
    if "table" in raw:
        return _table(store.blobs.get_tensors(blobs["weights"])["Q"], Task.from_json(raw["tasks"][0]))
    weights = store.blobs.get_tensors(blobs["weights"])
    deltas = [store.blobs.get_tensors(blobs[f"delta/{i}"]) for i in range(len(raw["deltas"]))]
    return rebuilt(raw, weights, deltas, lambda sha: store.blobs.get_tensors(blobs[f"encoder/{sha}"]))


def _table(Q: torch.Tensor, task: Task) -> TabularProgram:
    options = task.options
    return TabularProgram(
        Q.numpy(),
        env=options["env"],
        discount=options["discount"],
        actions=tuple(options["action_names"]),
        task=task.name,
        options=options,
    )


def load_network(store: Store, entry: Entry, *, what: str) -> NetworkProgram:
    """The program of a version that must be a network.

    Args:
        what: that is to be done with it, for the error: "revise".
    Raises:
        DataError: it is a table.
    """
    program = load_program(store, entry)
    if isinstance(program, TabularProgram):
        raise DataError(
            f"'{entry.ref}' is a table of action values, without a network that a small change could correct.",
            where=f"{what} '{entry.ref}'",
            mend="fit it again with other settings, or with --algorithm dqn",
        )
    return program


def load_spec(store: Store, entry: Entry) -> Spec:
    """The spec of a version; relative sources start where the spec's file was, seen from the store."""
    spec = spec_from(store.blobs.get_json(entry.manifest["blobs"]["spec"]), where=f"the spec of '{entry.ref}'")
    folder = entry.manifest.get("folder")
    return spec if folder is None else spec.within(store.root.parent / folder)


def id_column(store: Store, entry: Entry) -> str | None:
    """The column of its table that identifies a row; None when the content does."""
    return getattr(load_spec(store, entry).data, "id", None)


def save_rows(store: Store, rows: Rows) -> str:
    """A few rows (a background, states to look at) as one blob of arrays; texts go into the metadata."""
    import json

    arrays = {
        f"{group}/{name}": np.ascontiguousarray(values)
        for group, columns in (("fields", rows.fields), ("extra", rows.extra))
        for name, values in columns.items()
        if values.dtype.kind not in "OUS"
    }
    texts = {name: [str(v) for v in values] for name, values in rows.fields.items() if values.dtype.kind in "OUS"}
    return store.blobs.put_tensors(
        arrays, {"keys": json.dumps([str(k) for k in rows.keys]), "texts": json.dumps(texts)}
    )


def load_rows(store: Store, sha: str) -> Rows:
    """The inverse of `save_rows` (targets and times are not kept)."""
    import json

    arrays = {name: tensor.numpy() for name, tensor in store.blobs.get_tensors(sha).items()}
    metadata = store.blobs.get_metadata(sha)
    fields = {k.removeprefix("fields/"): v for k, v in arrays.items() if k.startswith("fields/")}
    texts = {k: np.asarray(v, dtype=object) for k, v in json.loads(metadata["texts"]).items()}
    extra = {k.removeprefix("extra/"): v for k, v in arrays.items() if k.startswith("extra/")}
    return Rows(np.asarray(json.loads(metadata["keys"]), dtype=np.str_), {**fields, **texts}, extra=extra)


def provenance(*, seed: int, data_sha: str, spec_sha: str) -> dict[str, Any]:
    """What made a version. No clock: when it was proposed stands in the history."""
    return {
        "seed": seed,
        "data_sha": data_sha,
        "spec_sha": spec_sha,
        "pellucid": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
