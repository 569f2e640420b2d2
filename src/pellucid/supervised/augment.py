"""Pictures of a training batch, moved a little: shifted, cropped, turned, mirrored, all in one affine map.

The random numbers are drawn with the batch and are part of it: the loss of a batch stays a pure function.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


@dataclass(frozen=True)
class Augment:
    """What is done to the pictures of a batch.

    Args:
        shapes: image field -> (height, width, channels).
        shift: largest share of a side by which a picture is moved, along each of them.
        crop: largest share of the sides that is cut away; what is left fills the picture.
        rotate: largest angle, degrees, either way.
        flip: left and right change places in half of the pictures.

    What comes in at a border repeats the last row or column.
    """

    shapes: Mapping[str, tuple[int, ...]]
    shift: float = 0.0
    crop: float = 0.0
    rotate: float = 0.0
    flip: bool = False

    @property
    def idle(self) -> bool:
        return not self.shapes or not (self.shift or self.crop or self.rotate or self.flip)

    def __call__(self, blocks: Mapping[str, Tensor], generator: np.random.Generator) -> dict[str, Tensor]:
        """The blocks of a batch, pictures moved, everything else as it is."""
        moved = dict(blocks)
        for name, shape in self.shapes.items():
            if name in blocks:
                moved[name] = self._moved(blocks[name], shape, generator)
        return moved

    def _moved(self, block: Tensor, shape: tuple[int, ...], generator: np.random.Generator) -> Tensor:
        height, width, channels = shape
        values = height * width * channels
        pixels = block[:, :values].reshape(-1, height, width, channels).permute(0, 3, 1, 2)
        maps = self.maps(len(block), height / width, generator)
        grid = affine_grid(maps, list(pixels.shape), align_corners=False)
        found = grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return torch.cat([found.permute(0, 2, 3, 1).reshape(len(block), values), block[:, values:]], dim=1)

    def maps(self, n: int, aspect: float, generator: np.random.Generator) -> Tensor:
        """For each picture where its places are looked up, in coordinates from -1 to 1, shape (n, 2, 3).

        Args:
            aspect: height over width: a turn is one in pixels.
        """
        scale = 1.0 - self.crop * generator.random(n)
        angle = math.radians(self.rotate) * generator.uniform(-1.0, 1.0, n)
        mirror = np.where(generator.random(n) < 0.5, -1.0, 1.0) if self.flip else np.ones(n)
        # A part that is cut out lies anywhere in the picture; a shift moves it on.
        room = (1.0 - scale)[:, None] * generator.uniform(-1.0, 1.0, (n, 2))
        move = room + 2.0 * self.shift * generator.uniform(-1.0, 1.0, (n, 2))
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        first = np.stack([mirror * cos, -aspect * sin, move[:, 0]], axis=1)
        second = np.stack([mirror * sin / aspect, cos, move[:, 1]], axis=1)
        return torch.from_numpy(np.stack([first, second], axis=1).astype(np.float32))
