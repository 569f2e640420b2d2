"""What a spec says of images: how they are read, seen and moved."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from pellucid.spec.section import Count, Positive, Section


class ImageSpec(Section):
    """How a field becomes an image."""

    shape: list[int] = Field(
        default=[32, 32, 3],
        min_length=2,
        max_length=3,
        description="height, width and channels (1 grey, 3 colour); without channels, 1",
    )
    fit: Literal["crop", "pad", "stretch"] = Field(
        default="crop", description="a picture of another aspect: cut in the middle, black margins, or distorted"
    )
    most_mpixels: Positive = Field(default=64.0, description="million pixels above which a file is set aside")
    columns: list[str] = Field(
        default=[], description="names or patterns of columns of numbers that are its values, row by row; no files"
    )
    high: Positive = Field(default=255.0, description="what the brightest pixel is in these columns; the darkest is 0")

    @field_validator("shape")
    @classmethod
    def _sides(cls, value: list[int]) -> list[int]:
        if any(not 4 <= side <= 1024 for side in value[:2]) or value[2:] not in ([], [1], [3]):
            raise PydanticCustomError("shape", "[height, width, channels]: sides from 4 to 1024, channels 1 or 3")
        return value

    @property
    def whole_shape(self) -> tuple[int, int, int]:
        """With channels."""
        return self.shape[0], self.shape[1], self.shape[2] if len(self.shape) == 3 else 1


class VisionSpec(Section):
    """How a network sees image fields."""

    width: Count | None = Field(
        default=None, le=4096, description="channels of the first stage (default 32), or of a patch (64)"
    )
    depth: Count | None = Field(
        default=None, le=64, description="blocks of a stage (default 1), or layers of attention (4)"
    )
    heads: Count = Field(default=4, le=256, description="of attention; the width is a multiple")
    patch: int = Field(default=0, ge=0, le=512, description="side of a patch, pixels; 0: an eighth of the shorter side")


class AugmentSpec(Section):
    """Pictures of training batches, moved a little; never those that a program is judged or asked on."""

    shift: float = Field(default=0.0, ge=0, le=0.5, description="largest share of a side, along each")
    crop: float = Field(default=0.0, ge=0, le=0.9, description="largest share of the sides that is cut away")
    rotate: float = Field(default=0.0, ge=0, le=180, description="largest angle, degrees")
    flip: bool = Field(default=False, description="left and right change places in half of the pictures")
