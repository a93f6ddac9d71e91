"""Records: what one sample's arrays become on disk, and all samples' arrays again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfgreen.runtimes.records import Layout


def sample(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "output 0": rng.integers(-128, 128, (1, 3), np.int8),
        "tensor 5": rng.standard_normal((2, 5)).astype(np.float32),
        "scalar": np.array(seed, np.int64),
        "nothing": np.zeros((0, 4), np.float32),
        "flags": np.array([True, False]),
    }


def test_round_trip_through_a_file_and_a_message(tmp_path: Path) -> None:
    layout = Layout.of(sample(0))
    path = tmp_path / "records.bin"
    with path.open("wb") as file:
        for seed in range(4):
            layout.write(file, sample(seed))
    assert path.stat().st_size == 4 * layout.record_bytes
    read = Layout.from_message(layout.to_message()).read(path, 4)
    path.unlink()
    for key, array in read.items():
        expected = np.stack([sample(seed)[key] for seed in range(4)])
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


def test_arrays_are_aligned_to_16_bytes() -> None:
    layout = Layout.of(sample(0))
    assert [field.offset for field in layout.fields] == [0, 16, 16 + 48, 80, 80]
    assert layout.record_bytes == 80 + 16


def test_a_sample_of_another_shape_does_not_fit() -> None:
    layout = Layout.of({"output 0": np.zeros((1, 3), np.int8)})
    assert layout.fits({"output 0": np.ones((1, 3), np.int8)})
    assert not layout.fits({"output 0": np.zeros((1, 4), np.int8)})
    assert not layout.fits({"output 0": np.zeros((1, 3), np.uint8)})


def test_records_of_nothing_are_read(tmp_path: Path) -> None:
    layout = Layout.of({"nothing": np.zeros((0, 4), np.float32)})
    path = tmp_path / "records.bin"
    path.write_bytes(b"")
    assert layout.read(path, 3)["nothing"].shape == (3, 0, 4)
