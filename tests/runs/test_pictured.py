"""A folder of pictures from the command line: checked, fitted, reported; copies across a split; the worst errors."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pellucid.cli.main import main
from pellucid.core.rows import Rows
from pellucid.core.schema import Field
from pellucid.core.task import Task
from pellucid.data.images import averaged, thumbnails
from pellucid.report.parts.pictures import wrong_pictures
from pellucid.report.png import png
from pellucid.runs.pictured import drawn, worst_pictures


def bars(folder: Path, n: int, *, copies: int = 0, side: int = 12) -> Path:
    """Standing and lying bars in noise; some pictures are there twice, in another format."""
    g = np.random.default_rng(0)
    for name in ("lying", "standing"):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = g.integers(0, 120, (side, side, 3)).astype(np.uint8)
            a, b = g.integers(1, side - 1), g.integers(0, side // 2)
            pixels[(a, slice(b, b + side // 2)) if name == "lying" else (slice(b, b + side // 2), a)] = 250
            picture = Image.fromarray(pixels)
            picture.save(folder / name / f"{i}.png")
            if i < copies:
                picture.save(folder / name / f"copy{i}.bmp")
    return folder


def test_check_data_names_copies_of_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean, copied = bars(tmp_path / "clean", 60), bars(tmp_path / "copied", 60, copies=20)
    (clean / "lying" / "broken.png").write_bytes(b"x")
    shape = ["--set", "data.fields.image={kind: image, image: {shape: [12, 12, 1]}}"]
    assert main(["check", "data", str(clean), "--target", "label", "--json", *shape]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [(c["name"], c["kind"]) for c in told["columns"]] == [("image", "image"), ("label", "category")]
    assert told["inputs"] == {"image": "image"}
    assert told["target"]["classes"] == {"lying": 60, "standing": 60}
    (problem,) = told["problems"]  # the broken one alone
    assert problem["check"] == "reading"
    assert "lying/broken.png" in problem["what"]
    assert main(["check", "data", str(copied), "--target", "label", "--json", *shape]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [p["check"] for p in told["problems"]] == ["duplicates across splits"]


@pytest.mark.slow
def test_a_folder_is_fitted_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars(tmp_path / "bars", 100)
    monkeypatch.chdir(tmp_path)
    quick = [
        *("--set", "train.updates=60", "--set", "train.batch=32", "--set", "evidence.folds=2"),
        *("--set", "network.vision.width=8", "--set", "explain.background=8", "--set", "explain.evaluations=32"),
    ]
    assert main(["fit", "--data", "bars", "--target", "label", "--json", *quick]) == 0
    entry = json.loads(capsys.readouterr().out)["evidence"]["tasks"][0]
    assert entry["skill"]
    assert main(["report", "bars@1"]) == 0
    page = next(tmp_path.rglob("*.html")).read_text()
    wrong = (entry["extra"].get("pictures") or {}).get("shown", [])
    assert len(re.findall(r'<img alt="Picture [^"]+: it is (?:lying|standing), and was taken for', page)) == len(wrong)
    capsys.readouterr()
    assert main(["explain", "bars@1"]) == 0
    assert "mean pixel 0." in capsys.readouterr().out
    assert main(["explain", "bars@1", "--grain", "part", "--parts", "9", "--json", "--html", "why.html"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert len(found["players"]) == len(found["laid"][0]["places"]) == 9
    assert "image[rows 0-10, columns 11-20]" in found["players"]
    assert Path("why.html").read_text().count("<image ") == 4  # plain and coloured, for wide and for narrow pages
    assert main(["explain", "bars@1", "--grain", "superpixel", "--parts", "9", "--json", "--html", "why.html"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["players"] == [f"image[superpixel {i}]" for i in range(1, 10)]
    assert Path("why.html").read_text().count('fill-rule="evenodd"') == 18
    assert main(["inspect", "interactions", "bars@1", "--grain", "part", "--parts", "4", "--quiet"]) == 0
    assert "image[rows 0-15, columns 0-15] x image[" in capsys.readouterr().out


def test_worst_errors_are_the_surest_and_have_words() -> None:
    pixels = np.arange(5, dtype=np.uint8)[:, None].repeat(64, 1) * 50
    rows = Rows(np.asarray(list("abcde")), {"photo": pixels})
    task = Task("t", "classify", ("photo",), ("yes",), "logit", "log_loss", (), {"classes": ["no", "yes"]})
    table = pd.DataFrame(
        {"key": list("abcde"), "y": ["no", "yes", "no", "yes", "no"], "out:yes": [-2.0, -1.0, 3.0, 2.0, 0.5]}
    )
    field = Field("photo", "image", 64, shape=(8, 8, 1))
    found = worst_pictures(task, (field,), rows, table)["pictures"]
    assert (found["wrong"], found["of"]) == (3, 5)
    assert [(one["key"], one["label"], one["said"]) for one in found["shown"]] == [
        ("c", "no", "yes"),
        ("b", "yes", "no"),
        ("e", "no", "yes"),
    ]
    assert found["shown"][1]["chance"] == pytest.approx(1 / (1 + np.exp(-1)))
    with Image.open(io.BytesIO(base64.b64decode(found["shown"][0]["png"]))) as picture:
        assert (picture.size, picture.mode) == ((64, 64), "L")
        assert set(np.asarray(picture).reshape(-1).tolist()) == {100}
    page = wrong_pictures({"pictures": {**found, "field": "<photo>"}})
    assert page is not None
    assert "Picture c: it is no, and was taken for yes with 95 %." in page
    assert "&lt;photo&gt;" in page
    assert "3 of 5 were taken for another class." in page
    assert wrong_pictures({}) is None
    assert worst_pictures(task, (), rows, table) == {}


@pytest.mark.parametrize("shape", [(5, 7, 1), (6, 4, 3)])
def test_png_is_read_by_pillow_as_it_was(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as picture:
        assert np.array_equal(np.asarray(picture).reshape(shape), pixels)


def test_pictures_become_smaller_by_means() -> None:
    g = np.random.default_rng(0)
    pixels = g.integers(0, 256, (3, 16, 12, 3), dtype=np.uint8)
    flat = pixels.reshape(3, -1)
    by_hand = pixels.astype(float).reshape(3, 4, 4, 4, 3, 3).mean((2, 4)) / 255
    import torch

    block = torch.from_numpy(flat.astype(np.float32) / 255)
    found = averaged(torch.cat([block, torch.ones(3, 1)], 1), (16, 12, 3), 4)
    assert np.allclose(found[:, :-1].numpy().reshape(3, 4, 4, 3), by_hand, atol=1e-6)
    assert found[:, -1].tolist() == [1, 1, 1]
    assert averaged(block, (16, 12, 3), 16) is block
    grey = thumbnails(flat, (16, 12, 3))
    assert grey.shape == (3, 64)
    assert grey.mean() == pytest.approx(flat.mean() / 255, abs=0.02)
    assert drawn(flat[0], (16, 12, 3)).shape == (64, 48, 3)
    assert drawn(np.full(64, np.nan, dtype=np.float32), (8, 8, 1)).max() == 0
