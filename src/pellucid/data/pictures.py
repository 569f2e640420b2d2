"""A picture file as pixels of a fixed shape. Files are not trusted: few formats, size caps, any failure is a reason."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import require

if TYPE_CHECKING:  # the extra `image`
    from PIL.Image import Image as Picture

Pixels = npt.NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # Pillow knows others, some of which run programs
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
MOST_BYTES = 128 << 20  # of a file
LONGEST = 100  # characters of a decoder's message


class BadPicture(Exception):
    """Why a picture cannot be used, in words without the path."""


def read_picture(path: Path, shape: tuple[int, ...], *, fit: str = "crop", most_mpixels: float = 64.0) -> Pixels:
    """A picture's first frame, upright, as `shape`.

    EXIF orientation is applied; transparency lies on white; 16-bit greyscale keeps its range; colour becomes luminance
    where one channel is asked for. Scaling averages over the pixels that it drops (triangle filter).

    Args:
        path: of a file.
        shape: (height, width, channels); 1 or 3 channels.
        fit: "crop" cuts the longer side in the middle, "pad" adds black margins, "stretch" changes the aspect.
        most_mpixels: a picture with more million pixels is refused before it is decoded.
    Returns:
        (height, width, channels).
    Raises:
        BadPicture: it is missing, too large, broken or of another format.
    """
    require("PIL", extra="image", purpose="reading pictures")
    from PIL import Image, UnidentifiedImageError

    _require_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as file:
                _require_size(file.size, most_mpixels)
                return _decoded(file, shape, fit)
    except BadPicture:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadPicture(f"it has more than {most_mpixels:g} million pixels") from None
    except UnidentifiedImageError:
        raise BadPicture(f"it is no picture that can be read ({', '.join(FORMATS)})") from None
    except Exception as error:  # decoders raise whatever they like on a broken file: struct.error, SyntaxError, ...
        said = str(error).splitlines()[0][:LONGEST].rstrip(".") if str(error) else type(error).__name__
        raise BadPicture(f"it is broken: {said}") from None


def _require_file(path: Path) -> None:
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        raise BadPicture("there is no such file" if missing else f"it cannot be opened: {error}") from None
    if not path.is_file():
        raise BadPicture("it is no file")
    if size == 0:
        raise BadPicture("it is empty")
    if size > MOST_BYTES:
        raise BadPicture(f"it has {size / 2**20:.0f} MB, more than {MOST_BYTES >> 20}")


def _require_size(size: tuple[int, int], most_mpixels: float) -> None:
    if min(size) < 1:
        raise BadPicture(f"it is {size[0]} x {size[1]} pixels")
    if size[0] * size[1] > most_mpixels * 1e6:
        raise BadPicture(f"it is {size[0]} x {size[1]} pixels, more than {most_mpixels:g} million")


def _decoded(file: Picture, shape: tuple[int, ...], fit: str) -> Pixels:
    from PIL import ImageOps

    height, width, channels = shape
    if getattr(file, "format", "") == "JPEG":  # decodes a large photo at a half, quarter or eighth of its size
        file.draft(None, (2 * max(height, width), 2 * max(height, width)))
    upright = ImageOps.exif_transpose(file)
    plain = _plain(upright, channels)
    box, size = _placed(plain.size, (width, height), fit)
    scaled = plain if plain.size == size and box is None else plain.resize(size, 2, box=box, reducing_gap=3.0)
    pixels: Pixels = np.asarray(scaled, dtype=np.uint8).reshape(size[1], size[0], channels)
    if fit != "pad" or size == (width, height):
        return pixels
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    room = np.zeros((height, width, channels), dtype=np.uint8)
    room[top : top + size[1], left : left + size[0]] = pixels
    return room


def _placed(
    size: tuple[int, int], wanted: tuple[int, int], fit: str
) -> tuple[tuple[float, float, float, float] | None, tuple[int, int]]:
    """(the part of the picture that is used, the size that it becomes), both width first."""
    w, h = size
    if fit == "stretch" or w * wanted[1] == h * wanted[0]:
        return None, wanted
    if fit == "pad":
        scale = min(wanted[0] / w, wanted[1] / h)
        return None, (max(1, round(w * scale)), max(1, round(h * scale)))
    scale = max(wanted[0] / w, wanted[1] / h)
    kept = wanted[0] / scale, wanted[1] / scale
    left, top = (w - kept[0]) / 2, (h - kept[1]) / 2
    return (left, top, left + kept[0], top + kept[1]), wanted


def _plain(picture: Picture, channels: int) -> Picture:
    """In "L" or "RGB"."""
    from PIL import Image

    mode = "L" if channels == 1 else "RGB"
    if picture.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):
        deep: Any = np.asarray(picture).astype(np.float64) / 257.0  # 65535 becomes 255
        picture = Image.fromarray(np.clip(np.round(deep), 0, 255).astype(np.uint8))
    elif picture.mode == "F":
        raise BadPicture("its pixels are floating-point numbers, whose range nobody knows")
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(ground, picture.convert("RGBA"))
    return picture if picture.mode == mode else picture.convert(mode)
