"""Nested state to arrays + JSON and back: what a checkpoint is made of, without pickle.

A state is a nested dict or list of tensors, numpy arrays and JSON values (integers of any size, so that the
state of a bit generator fits). `flatten` puts the arrays aside under their path; `restore` puts them back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

MARK = "__array__"


def flatten(state: Any) -> tuple[dict[str, Tensor], Any]:
    """(arrays by path, JSON tree with marks where the arrays were).

    Raises:
        TypeError: something else is in it; its path is named.
    """
    arrays: dict[str, Tensor] = {}

    def put(array: Tensor, path: str, kind: str) -> dict[str, str]:
        while path in arrays:  # a name may have slashes of its own
            path += "'"
        arrays[path] = array
        return {MARK: path, "as": kind}

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            return put(value.detach().cpu().contiguous().clone(), path, "torch")
        if isinstance(value, np.ndarray):
            if value.dtype.kind not in "fiubc":  # safetensors knows no dates and no strings
                raise TypeError(f"a state holds arrays of numbers only; '{path}' is of {value.dtype}")
            return put(torch.from_numpy(np.array(value, order="C")), path, "numpy")
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, Mapping):
            if MARK in value:
                raise TypeError(f"the name '{MARK}' in '{path}' is taken: it marks the place of an array")
            return {str(k): walk(v, f"{path}/{k}") for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(v, f"{path}/{i}") for i, v in enumerate(value)]
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise TypeError(f"a state holds arrays and JSON values only; '{path}' is a {type(value).__name__}")

    tree = walk(state, "")
    return arrays, tree


def restore(arrays: dict[str, Tensor], tree: Any) -> Any:
    """The inverse of `flatten` (tuples come back as lists)."""
    if isinstance(tree, dict):
        if MARK in tree:
            tensor = arrays[tree[MARK]]
            return tensor.numpy().copy() if tree["as"] == "numpy" else tensor.clone()
        return {k: restore(arrays, v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [restore(arrays, v) for v in tree]
    return tree
