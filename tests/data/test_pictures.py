"""Pictures from files: modes, orientation, aspect, transparency, size caps, broken ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pellucid.data.pictures import BadPicture, read_picture

CORNERS = np.zeros((8, 16), dtype=np.uint8)  # the upper left quarter is white
CORNERS[:4, :8] = 255


def test_a_picture_of_the_shape_is_read_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_picture(tmp_path / "a.png", (9, 7, 3)), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    """The eight ways in which a camera can be held (TIFF 6.0): what is stored is turned until it is upright."""
    upright = CORNERS
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "a.png", (8, 16, 1))[..., 0], upright)


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), 100, dtype=np.uint8)
    pixels[..., 3] = [[0, 255, 0, 255]] * 4
    Image.fromarray(pixels, "RGBA").save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", (4, 4, 3))[0, :, 0].tolist() == [255, 100, 255, 100]
    Image.fromarray(pixels[..., [0, 3]].copy(), "LA").save(tmp_path / "b.png")
    assert read_picture(tmp_path / "b.png", (4, 4, 1))[0, :, 0].tolist() == [255, 100, 255, 100]


def test_sixteen_bits_keep_their_range(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 16).round().astype(np.uint16).reshape(4, 4)
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", (4, 4, 1)).reshape(-1).tolist() == [17 * i for i in range(16)]


def test_grey_becomes_colour_and_back(tmp_path: Path) -> None:
    Image.fromarray(CORNERS).save(tmp_path / "a.png")
    assert np.array_equal(read_picture(tmp_path / "a.png", (8, 16, 3)), np.repeat(CORNERS[..., None], 3, 2))
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "b.bmp")
    assert set(read_picture(tmp_path / "b.bmp", (4, 4, 1)).reshape(-1).tolist()) == {76}  # .299 of 255 (BT.601)


def test_aspect(tmp_path: Path) -> None:
    """A wide picture whose thirds are black, grey, white."""
    Image.fromarray(np.repeat([[0, 128, 255]], 10, 0).repeat(10, 1).astype(np.uint8)).save(tmp_path / "a.png")
    middle = read_picture(tmp_path / "a.png", (10, 10, 1), fit="crop")
    assert set(middle.reshape(-1).tolist()) == {128}
    padded = read_picture(tmp_path / "a.png", (6, 6, 1), fit="pad")[..., 0]
    assert padded[[0, 1, 4, 5]].max() == 0
    assert padded[2:4, 0].max() == 0
    assert padded[2:4, -1].min() == 255
    whole = read_picture(tmp_path / "a.png", (6, 6, 1), fit="stretch")[..., 0]
    assert (whole[:, 0].max(), whole[:, -1].min()) == (0, 255)


def test_a_large_jpeg_keeps_its_mean(tmp_path: Path) -> None:
    """Decoded at an eighth of its size: the averages stay."""
    y, x = np.mgrid[:800, :800]
    Image.fromarray(((x + y) * 255 / 1598).astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    found = read_picture(tmp_path / "a.jpg", (16, 16, 1))[..., 0].astype(float)
    centre = (np.arange(16) + 0.5) * 50 - 0.5
    assert np.abs(found - (centre[:, None] + centre) * 255 / 1598).max() < 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "it is empty"), (b"hello", "no picture"), (b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture")],
)
def test_what_is_no_picture(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BadPicture, match=reason):
        read_picture(tmp_path / "a.png", (4, 4, 3))


def test_size_is_looked_at_before_decoding(tmp_path: Path) -> None:
    Image.new("1", (3000, 3000)).save(tmp_path / "a.png")
    with pytest.raises(BadPicture, match="3000 x 3000 pixels, more than 8 million"):
        read_picture(tmp_path / "a.png", (4, 4, 1), most_mpixels=8)
    assert read_picture(tmp_path / "a.png", (4, 4, 1), most_mpixels=10).shape == (4, 4, 1)
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")  # 50 KB on disk
    with pytest.raises(BadPicture, match="more than 64 million"):
        read_picture(tmp_path / "bomb.png", (4, 4, 1))


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    for name, reason in {"nope.png": "no such file", "a\0b": "cannot be opened", ".": "no file"}.items():
        with pytest.raises(BadPicture, match=reason):
            read_picture(tmp_path / name, (4, 4, 3))


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]), data=st.data())
def test_broken_files_are_a_reason_or_pixels(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    """Cut or scribbled over: never another error, never a warning."""
    path = tmp_path_factory.getbasetemp() / f"broken.{kind.lower()}"
    Image.fromarray(np.arange(24 * 20 * 3, dtype=np.uint8).reshape(24, 20, 3)).save(path, kind)
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    try:
        found = read_picture(path, (8, 8, 3))
    except BadPicture:
        return
    assert (found.shape, found.dtype) == ((8, 8, 3), np.uint8)
