"""PretrainedText: a Transformers encoder from a local folder, mean-pooled, as the encoder of a text field.

Frozen, its weights lie outside the network: they are no parameters, enter no checkpoint, are stored once for all
versions and identified by their SHA-256; what it says of a text is computed once a process. Trained, they are
parameters of the network like all others.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.core.errors import DataError, require
from pellucid.nn.delta import tensors_sha
from pellucid.nn.text import TextEncoder, masked_mean, trimmed

PIECE = 32  # texts at a time
KEPT = 200_000  # texts whose features a process remembers
WIDTHS = ("hidden_size", "d_model", "dim", "n_embd")  # what configurations call the width of a token
COUNTS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
OWN = ("_name_or_path", "transformers_version", "auto_map", "torch_dtype", "dtype")  # not of the network


def first_of(config: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """The first of these numbers that a configuration has."""
    for name in names:
        if isinstance(config.get(name), int):
            return int(config[name])
    raise DataError(
        f"the configuration of '{config.get('model_type', '?')}' has none of {', '.join(names)}.",
        where="config.json",
        mend="give a text encoder such as BERT, RoBERTa, DistilBERT or MiniLM",
    )


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights of a folder that Transformers' `save_pretrained` wrote; nothing is downloaded or run.

    Raises:
        DataError: there is no such folder, or it holds no encoder whose weights are safetensors.
        MissingExtra: `transformers` is not installed.
    """
    require("transformers", extra="text", purpose="a pretrained text encoder")
    if not (folder / "config.json").is_file():
        raise DataError(
            "this is no folder of a pretrained encoder: it has no config.json.",
            where=str(folder),
            mend="give the folder that Transformers' save_pretrained wrote",
        )
    from transformers import AutoModel
    from transformers.utils import logging

    quiet: Any = logging.disable_progress_bar
    quiet()
    try:
        found: Any = AutoModel.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"the encoder cannot be read: {said[0][:200].rstrip('.')}.",
            where=str(folder),
            mend="it needs model.safetensors (not a pickle) of a model that Transformers knows",
        ) from None
    if hasattr(found, "pooler"):
        found.pooler = None
    config = {k: v for k, v in json.loads((folder / "config.json").read_text("utf-8")).items() if k not in OWN}
    return config, {name: tensor.detach().clone() for name, tensor in found.state_dict().items()}


def empty_encoder(config: Mapping[str, Any]) -> nn.Module:
    """An encoder of this configuration whose weights are yet to be loaded."""
    require("transformers", extra="text", purpose="a pretrained text encoder")
    from transformers import AutoConfig, AutoModel

    arguments = dict(config)
    described = AutoConfig.for_model(str(arguments.pop("model_type")), **arguments)
    build: Any = AutoModel.from_config
    with torch.random.fork_rng(devices=[]):  # nobody else's numbers are drawn
        made: Any = build(described)
    if hasattr(made, "pooler"):
        made.pooler = None
    module: nn.Module = made.float().eval()
    return module


class Frozen:
    """Weights that nothing changes, shared by all networks of a process, and what they said of each text."""

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.module = empty_encoder(config).requires_grad_(False)
        self.module.load_state_dict(dict(tensors))
        self._said: dict[bytes, Tensor] = {}

    def tensors(self) -> dict[str, Tensor]:
        """The weights, by name."""
        return dict(self.module.state_dict())

    @torch.no_grad()
    def __call__(self, block: Tensor) -> Tensor:
        """Features (n, width) of tokens (n, L), each text once."""
        rows = block.detach().cpu().numpy().astype(np.int32)
        ends = rows.shape[1] - np.argmax((rows != 0)[:, ::-1], axis=1)
        keys = [row[:end].tobytes() for row, end in zip(rows, ends.tolist(), strict=True)]
        new = {key: i for i, key in enumerate(keys) if key not in self._said}
        order = sorted(new.values(), key=lambda i: int(ends[i]))  # texts of one length together: little padding
        if len(self._said) + len(order) > KEPT:
            self._said = {key: self._said[key] for key in set(keys) if key in self._said}
        for start in range(0, len(order), PIECE):
            part = order[start : start + PIECE]
            for i, row in zip(part, pooled(self.module, torch.from_numpy(rows[part])), strict=True):
                self._said[keys[i]] = row.clone()
        return torch.stack([self._said[key] for key in keys]).to(block.device)


FROZEN: weakref.WeakValueDictionary[str, Frozen] = weakref.WeakValueDictionary()  # by SHA-256


def freeze(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> tuple[str, Frozen]:
    """(SHA-256, the shared weights); keep them: they are forgotten with the last network that reads them."""
    sha = tensors_sha(tensors.items())
    found = FROZEN.get(sha)
    if found is None:
        found = FROZEN[sha] = Frozen(config, tensors)
    return sha, found


def pooled(module: nn.Module, block: Tensor) -> Tensor:
    """The mean over the tokens that are there, shape (n, width)."""
    tokens = trimmed(block).long()
    there = tokens != 0
    seen = there.clone()
    seen[:, 0] |= ~there.any(1)  # an empty text looks at its first place: no softmax over nothing
    found = module(input_ids=(tokens - 1).clamp_min(0), attention_mask=seen.long())
    return masked_mean(found.last_hidden_state, there)


class PretrainedText(TextEncoder):
    """A Transformers encoder with a linear map behind it.

    Args:
        config: as of config.json.
        out: of the network's first layer.
        sha256: of the weights that it began with.
        frozen: the weights stay, outside the network.
    """

    def __init__(self, config: Mapping[str, Any], out: int, *, sha256: str, frozen: bool) -> None:
        super().__init__(first_of(config, WIDTHS), out)
        self.config, self.sha256, self.frozen = dict(config), sha256, frozen
        self.layers = first_of(config, COUNTS)
        if frozen:
            self.weights: Frozen | None = FROZEN.get(sha256)
        else:
            self.backbone = empty_encoder(config)

    def begin(self, seed: int) -> None:
        """Nothing is drawn: the weights come from the folder or the store."""

    def train(self, mode: bool = True) -> PretrainedText:
        """The encoder's own dropout stays off: the same batch and weights, the same loss."""
        super().train(mode)
        if not self.frozen:
            self.backbone.eval()
        return self

    def features(self, block: Tensor) -> Tensor:
        if not self.frozen:
            return pooled(self.backbone, block)
        if self.weights is None:
            raise DataError(
                f"the weights of the frozen encoder {self.sha256[:12]} are not loaded.",
                where="PretrainedText",
                mend="load the program from its store, or give the encoder's folder",
            )
        return self.weights(block).to(self.project.weight.dtype)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the weights from a folder or a store.

        Raises:
            DataError: they are not those that the program was fitted with.
        """
        found = tensors_sha(tensors.items())
        if found != self.sha256:
            raise DataError(
                f"the encoder's weights have the SHA-256 {found[:12]}, the program was fitted with {self.sha256[:12]}.",
                where="PretrainedText",
                mend="give the encoder that the program was fitted with",
            )
        if self.frozen:
            _, self.weights = freeze(self.config, tensors)
        else:
            self.backbone.load_state_dict(dict(tensors))

    def __deepcopy__(self, memo: dict[int, Any]) -> PretrainedText:
        """A copy that shares frozen weights."""
        from copy import deepcopy

        if self.frozen and self.weights is not None:
            memo[id(self.weights)] = self.weights
        copy = type(self).__new__(type(self))
        memo[id(self)] = copy
        copy.__dict__ = {name: deepcopy(value, memo) for name, value in self.__dict__.items()}
        return copy

    def depth(self, name: str) -> int:
        """How far below the top a parameter lies: 0 in the last layer and behind it, `layers` in the embeddings."""
        stacks = [n for n, m in self.named_modules() if isinstance(m, nn.ModuleList) and len(m) == self.layers]
        stack = f"{stacks[0]}." if stacks else "\0"
        if name.startswith(stack):
            return self.layers - 1 - int(name[len(stack) :].split(".")[0])
        return self.layers if "embed" in name else 0


def build_pretrained(how: Mapping[str, Any], columns: int, out: int) -> nn.Module:
    """{"kind": "pretrained", "config", "sha256", "frozen"}."""
    return PretrainedText(how["config"], out, sha256=how["sha256"], frozen=how["frozen"])
