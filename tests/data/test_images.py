"""Image folders: class labels, sizes, channels, and the name of a file that cannot be read."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tfgreen.data import read_samples
from tfgreen.errors import InvalidDataError, MissingDependencyError
from tfgreen.signature import InputSpec

Image = pytest.importorskip("PIL.Image")
RGB = InputSpec("image", (6, 8, 3), "float32")
GREY = InputSpec("image", (6, 8, 1), "uint8")


def save(path, value, size=(8, 6), mode="RGB"):
    path.parent.mkdir(exist_ok=True)
    Image.new(mode, size, value).save(path)


@pytest.fixture
def animals(tmp_path):
    save(tmp_path / "dog" / "b.png", (255, 0, 7))
    save(tmp_path / "dog" / "a.png", (10, 20, 30), size=(16, 12))
    save(tmp_path / "cat" / "c.bmp", (1, 2, 3))
    (tmp_path / ".DS_Store").write_bytes(b"hidden")
    (tmp_path / "notes.txt").write_text("seen", encoding="utf-8")
    return tmp_path


def test_subfolders_are_classes(animals):
    samples = read_samples(animals, inputs=[RGB])
    assert samples.label_names == ("cat", "dog")
    assert samples.labels["y"].tolist() == [0, 1, 1]
    assert samples.inputs["image"].dtype == np.float32
    assert samples.inputs["image"][:, 0, 0].tolist() == [[1, 2, 3], [10, 20, 30], [255, 0, 7]]
    assert "3 of 3 images, 0..255; other files left out: 1" in samples.source


def test_grey_and_uint8(animals):
    array = read_samples(animals, inputs=[GREY]).inputs["image"]
    assert array.shape == (3, 6, 8, 1)
    assert array.dtype == np.uint8
    # ITU-R 601 luma, as Pillow documents it: .299 R + .587 G + .114 B.
    assert array[1, 0, 0, 0] == round(0.299 * 10 + 0.587 * 20 + 0.114 * 30)


def test_a_flat_folder_has_no_labels(tmp_path):
    for name in ("b.png", "a.jpg"):
        save(tmp_path / name, (9, 9, 9))
    samples = read_samples(str(tmp_path))
    assert samples.labels == {}
    assert samples.label_names is None
    assert samples.inputs["x"].shape == (2, 6, 8, 3)


def test_a_limit_keeps_all_classes(tmp_path):
    for name in "abc":
        for number in range(5):
            save(tmp_path / name / f"{number}.png", (number, 0, 0))
    samples = read_samples(tmp_path, inputs=[RGB], limit=4)
    assert samples.labels["y"].tolist() == [0, 1, 1, 2]
    assert "4 of 15 images" in samples.source


def test_a_broken_image_is_named(animals):
    whole = (animals / "dog" / "b.png").read_bytes()
    (animals / "dog" / "b.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidDataError, match=r"dog.b\.png cannot be read"):
        read_samples(animals, inputs=[RGB])


def test_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.full((6, 8), 40000, "uint16")).save(tmp_path / "deep.png")
    with pytest.raises(InvalidDataError, match=r"deep\.png.*more than 8 bits"):
        read_samples(tmp_path, inputs=[GREY])


@pytest.mark.parametrize(
    "specs",
    [
        [RGB, InputSpec("other", (6, 8, 3), "float32")],
        [InputSpec("vector", (48,), "float32")],
        [InputSpec("planes", (6, 8, 5), "float32")],
    ],
)
def test_a_model_that_takes_no_images(animals, specs):
    with pytest.raises(InvalidDataError, match="cannot feed"):
        read_samples(animals, inputs=specs)


def test_folders_that_are_no_image_folders(animals, tmp_path_factory):
    with pytest.raises(InvalidDataError, match="holds no image"):
        read_samples(tmp_path_factory.mktemp("empty"))
    with pytest.raises(InvalidDataError, match="differ in size"):
        read_samples(animals)
    save(animals / "loose.png", (1, 1, 1))
    with pytest.raises(InvalidDataError, match=r"loose\.png.* beside subfolders"):
        read_samples(animals, inputs=[RGB])


def test_without_pillow(animals, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tfgreen\[images\]'"):
        read_samples(animals, inputs=[RGB])
