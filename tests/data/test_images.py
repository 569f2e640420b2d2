"""Image fields of a table: columns of paths, folders of pictures, columns that are pixels."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pellucid.core.errors import DataError, MissingExtra, SchemaError, SpecError
from pellucid.core.schema import Schema
from pellucid.data.encoding import Encoding
from pellucid.data.images import MOST
from pellucid.data.tables import read_table, rows_from_frame
from pellucid.runs.check_data import check_data
from pellucid.spec.images import ImageSpec
from pellucid.spec.loader import build_spec
from pellucid.spec.model import FieldSpec


def picture(value: int, side: int = 8) -> Image.Image:
    return Image.fromarray(np.full((side, side), value, dtype=np.uint8))


def photos(**image: Any) -> dict[str, FieldSpec]:
    return {"photo": FieldSpec(kind="image", image=ImageSpec(**{"shape": [8, 8, 1], **image}))}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Forty rows; picture i has the value i. Row 7 (line 9) is broken, row 8 has none."""
    (tmp_path / "photos").mkdir()
    for i in range(40):
        picture(i).save(tmp_path / "photos" / f"{i}.png")
    (tmp_path / "photos" / "7.png").write_bytes(b"no picture")
    frame = pd.DataFrame({"photo": [f"photos/{i}.png" for i in range(40)], "price": range(40), "y": [0, 1] * 20})
    frame.loc[8, "photo"] = ""
    frame.to_csv(tmp_path / "shop.csv", index=False)
    return tmp_path


def test_a_column_of_paths_is_read_relative_to_its_file(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    table = read_table(str(shop / "shop.csv"), "y", declared=photos())
    field = next(f for f in table.fields if f.name == "photo")
    assert (field.kind, field.shape, field.width, field.scale) == ("image", (8, 8, 1), 64, "crop")
    assert [f.name for f in table.fields] == ["price", "photo"]
    pixels = table.rows.fields["photo"]
    assert pixels.shape == (39, 64)
    price = table.rows.fields["price"]
    empty = price == 8
    assert np.isnan(pixels[empty]).all()
    assert np.allclose(pixels[~empty], price[~empty, None] / 255)


def test_a_broken_picture_is_set_aside_with_path_and_reason(shop: Path) -> None:
    table = read_table(str(shop / "shop.csv"), "y", declared=photos())
    (bad,) = table.quarantine.rows
    assert (bad.number, bad.column) == (9, "photo")
    assert str(shop / "photos" / "7.png") in bad.reason
    assert "it is no picture that can be read" in bad.reason
    assert json.loads(bad.raw)["price"] == "7"
    assert table.quarantine.to_json(table.good)["kinds"] == {"picture": 1}


def test_at_predict_a_broken_picture_is_an_error_with_its_row(shop: Path) -> None:
    table = read_table(str(shop / "shop.csv"), "y", declared=photos())
    frame = pd.read_csv(shop / "shop.csv")
    frame["photo"] = [str(shop / path) if isinstance(path, str) else None for path in frame["photo"]]
    with pytest.raises(DataError, match=r"column 'photo', row 8: the picture .*7.png' cannot be used"):
        rows_from_frame(frame, table.fields)
    good = rows_from_frame(frame.drop(7), table.fields)
    assert np.isnan(good.fields["photo"][7]).all()
    assert np.allclose(good.fields["photo"][10], 11 / 255)
    with pytest.raises(SchemaError, match="'photo'"):
        rows_from_frame(frame[["price"]], table.fields)


def test_encoded_pixels_are_in_the_unit_interval_with_a_column_for_missing_pictures(shop: Path) -> None:
    table = read_table(str(shop / "shop.csv"), "y", declared=photos())
    encoding = Encoding.fit(table.fields, table.rows)
    block = encoding.encode(table.rows)["photo"]
    missing = torch.from_numpy(table.rows.fields["price"] == 8)
    assert block.shape == (39, 65)
    assert torch.equal(block[:, 64] == 1, missing)
    assert float(block[missing, :64].abs().max()) == 0
    again = Encoding.from_json(json.loads(json.dumps(encoding.to_json())))
    assert torch.equal(again.encode(table.rows)["photo"], block)
    # Bytes and the same numbers in [0, 1] are one picture.
    whole = table.rows.take(table.rows.fields["price"] > 20)
    as_bytes = (whole.fields["photo"] * 255).round().astype(np.uint8)
    other = type(whole)(whole.keys, {**whole.fields, "photo": as_bytes})
    assert torch.allclose(encoding.encode(other)["photo"], encoding.encode(whole)["photo"])


def test_without_missing_pictures_pixels_stay_bytes(shop: Path) -> None:
    frame = pd.read_csv(shop / "shop.csv").drop([7, 8])
    frame["photo"] = [str(shop / path) for path in frame["photo"]]
    table = read_table(frame, "y", declared=photos())
    assert table.rows.fields["photo"].dtype == np.uint8
    block = Encoding.fit(table.fields, table.rows).encode(table.rows)["photo"]
    assert block.shape == (38, 64)
    assert torch.equal(block[:, 0], torch.from_numpy(table.rows.fields["price"].astype(np.float32)) / 255)


def test_a_folder_is_a_table_of_pictures_and_classes(tmp_path: Path) -> None:
    for i, name in enumerate(["cat/b.png", "cat/deep/a.PNG", "dog/a.png", "dog/c.png", ".hidden/x.png", "top.png"]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(40 * i).save(path, "PNG")
    (tmp_path / "dog" / "notes.md").write_text("x")
    table = read_table(str(tmp_path), "label")
    assert table.classes == ("cat", "dog")
    assert table.rows.targets["target"].tolist() == ["cat", "cat", "dog", "dog"]
    assert table.rows.fields["image"][:, 0].tolist() == [0, 40, 80, 120]
    assert "1 rows without 'label' were left out" in table.notes
    assert any("1 files are no pictures" in note and ".md" in note for note in table.notes)
    (field,) = table.fields
    assert field.shape == (32, 32, 3)
    # At predict: a folder without classes.
    rows = rows_from_frame(str(tmp_path / "cat"), table.fields)
    assert len(rows) == 2
    small = read_table(str(tmp_path), "label", declared={"image": photos()["photo"]})
    assert small.fields[0].shape == (8, 8, 1)


def test_a_folder_without_pictures_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_text("x")
    with pytest.raises(DataError, match="there is no picture in this folder"):
        read_table(str(tmp_path), "label")


def test_columns_of_pixels_become_one_image() -> None:
    said = {"digit": FieldSpec(kind="image", image=ImageSpec(shape=[8, 8], columns=["pixel_*"], high=16))}
    table = read_table("digits", "target", declared=said)
    (field,) = table.fields
    assert (field.shape, field.columns[:2], field.high) == ((8, 8, 1), ("pixel_0_0", "pixel_0_1"), 16)
    from sklearn.datasets import load_digits

    digits = load_digits()
    assert np.allclose(table.rows.fields["digit"], digits.data / 16)
    frame = pd.DataFrame(digits.data[:5], columns=digits.feature_names)
    assert np.allclose(rows_from_frame(frame[frame.columns[::-1]], table.fields).fields["digit"], digits.data[:5] / 16)
    again = Schema.from_json(json.loads(json.dumps(Schema((field,), {}).to_json())))
    assert again.inputs == (field,)
    with pytest.raises(SchemaError, match="'pixel_7_7'"):
        rows_from_frame(frame.drop(columns="pixel_7_7"), table.fields)


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ({"columns": ["pixel_*"], "shape": [8, 9]}, "needs 72 columns; 64 of 64 match"),
        ({"columns": ["pixel_*"], "shape": [8, 8], "high": 8}, "'pixel_0_3' is 13 in row 1, outside 0 to 8"),
        ({"columns": ["nothing"], "shape": [8, 8]}, "0 of 64 match nothing"),
    ],
)
def test_columns_that_make_no_image(image: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_table("digits", "target", declared={"digit": FieldSpec(kind="image", image=ImageSpec(**image))})


def test_more_than_fits_is_refused_before_anything_is_decoded() -> None:
    frame = pd.DataFrame({"photo": ["a.png"] * 400, "y": [0, 1] * 200})
    with pytest.raises(DataError, match="would take 5 GB"):
        read_table(frame, "y", declared=photos(shape=[1024, 1024, 3]))
    assert MOST < 400 * 1024 * 1024 * 3


@pytest.mark.parametrize("shape", [[8], [8, 8, 2], [2, 8], [8, 2048], [1, 2, 3, 4]])
def test_shapes_are_checked_in_the_spec(shape: list[int]) -> None:
    with pytest.raises(SpecError, match="shape"):
        build_spec(
            name="a",
            data={"kind": "table", "source": "a.csv", "target": "y", "fields": {"p": {"image": {"shape": shape}}}},
        )


def test_a_folder_beside_the_spec_is_found(tmp_path: Path) -> None:
    (tmp_path / "flowers").mkdir()
    spec = build_spec(name="a", data={"kind": "table", "source": "flowers", "target": "label"})
    assert spec.within(tmp_path).source == str(tmp_path / "flowers")
    (tmp_path / "wine").mkdir()
    named = build_spec(name="a", data={"kind": "table", "source": "wine", "target": "target"})
    assert named.within(tmp_path).source == "wine"


def test_without_pillow_the_extra_is_named(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "PIL" else find(name))
    with pytest.raises(MissingExtra, match="needs the package 'PIL'") as caught:
        read_table(str(shop / "shop.csv"), "y", declared=photos())
    assert "pellucid[image]" in caught.value.mend


def test_check_data_says_how_paths_become_pictures(shop: Path) -> None:
    spec = build_spec(name="a", data={"kind": "table", "source": str(shop / "shop.csv"), "target": "y"})
    told = check_data(spec.source, spec)
    assert told.columns[0].kind == "image"
    assert "'photo' holds paths of pictures: data.fields.photo.kind=image reads them" in told.notes
    declared = spec.replace({"data.fields": {"photo": {"kind": "image"}}})
    assert not any("holds paths" in note for note in check_data(declared.source, declared).notes)
