"""Corruptions against SciPy, Matplotlib, Pillow and arithmetic, and the laws that they share."""

from __future__ import annotations

import builtins
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from tfgreen.errors import MissingDependencyError, UnknownNameError, UsageError
from tfgreen.verification.robustness import images
from tfgreen.verification.robustness.corruptions import (
    SEVERITIES,
    Corruption,
    catalogue,
    chosen,
    corrupted,
)
from tfgreen.verification.robustness.kinds import Kind, Reference

SHAPES: dict[Kind, tuple[int, ...]] = {
    "image": (12, 10, 3),
    "audio": (20, 8),
    "text": (15,),
}
NESTED = ("gaussian-noise", "contrast", "brightness", "noise", "gain", "band-limit", "token-noise")


def values_of(kind: Kind, seed: int, count: int = 6) -> np.ndarray:
    random = np.random.default_rng(seed)
    if kind == "text":
        tokens = random.integers(1, 50, (count, 15))
        tokens[:, 12:] = 0
        return tokens.astype(np.int32)
    return random.normal(0.3, 2.0, (count, *SHAPES[kind])).astype(np.float32)


def named(kind: Kind, name: str, shape: tuple[int, ...] | None = None) -> Corruption:
    return chosen(catalogue(kind, shape or SHAPES[kind]), [name])[0]


ALL = [(kind, one.name) for kind, shape in SHAPES.items() for one in catalogue(kind, shape)]


@pytest.mark.parametrize(("kind", "name"), ALL)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), severity=st.sampled_from(SEVERITIES))
def test_the_laws(kind: Kind, name: str, seed: int, severity: int) -> None:
    """Shape, dtype and range stay, the given values too, and the same seed gives the same."""
    values = values_of(kind, seed)
    kept = values.copy()
    reference = Reference.of("x", values, kind)
    one = named(kind, name)
    found = corrupted(values, one, severity, reference, seed)
    assert np.array_equal(values, kept)
    assert (found.shape, found.dtype) == (values.shape, values.dtype)
    assert found.min() >= reference.low
    assert found.max() <= reference.high
    assert np.isfinite(found).all()
    if kind != "text":  # of 72 tokens 2 % may be none
        assert not np.array_equal(found, values)
    assert np.array_equal(found, corrupted(values, one, severity, reference, seed))


@pytest.mark.parametrize(("kind", "name"), [pair for pair in ALL if pair[1] in NESTED])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000))
def test_every_value_goes_farther_with_the_severity(kind: Kind, name: str, seed: int) -> None:
    values = values_of(kind, seed)
    reference = Reference.of("x", values, kind)
    one = named(kind, name)
    before = np.zeros(values.shape)
    for severity in SEVERITIES:
        found = corrupted(values, one, severity, reference, seed)
        distance = np.abs(found.astype(np.float64) - values)
        assert (distance >= before - 1e-5).all()
        before = distance


@pytest.mark.parametrize("name", ["gaussian-blur", "jpeg", "time-shift", "noise"])
def test_data_get_worse_on_the_whole(name: str) -> None:
    """Smooth data, as pictures and sounds are."""
    kind: Kind = "audio" if name in ("time-shift", "noise") else "image"
    shape = (50, 8) if kind == "audio" else (16, 16, 3)
    rough = np.random.default_rng(3).normal(size=(40, *shape))
    values = gaussian_filter(rough, (0, 3, *([0] * (len(shape) - 1)))).astype(np.float32)
    reference = Reference.of("x", values, kind)
    one = named(kind, name, shape)
    far = [
        float(np.mean((corrupted(values, one, severity, reference) - values) ** 2))
        for severity in SEVERITIES
    ]
    assert far == sorted(far)
    assert far[0] < far[-1]


def test_the_blur_is_scipys() -> None:
    values = np.random.default_rng(0).uniform(size=(3, 20, 17, 3))
    for sigma in (0.4, 1.0, 3.0):
        expected = gaussian_filter(values, (0, sigma, sigma, 0), mode="nearest", truncate=4.0)
        found = images.gaussian_blur(values, sigma, np.random.default_rng(0))
        assert found == pytest.approx(expected, abs=1e-12)


def test_the_brightness_is_that_of_hsv() -> None:
    colors = pytest.importorskip("matplotlib.colors")
    values = np.random.default_rng(0).uniform(size=(3, 9, 9, 3))
    values[0, 0, 0] = 0.0
    in_hsv = colors.rgb_to_hsv(values)
    in_hsv[..., 2] = np.minimum(in_hsv[..., 2] + 0.15, 1.0)
    found = images.brightness(values, 0.15, np.random.default_rng(0))
    assert found == pytest.approx(colors.hsv_to_rgb(in_hsv), abs=1e-9)
    grey = np.full((1, 9, 9, 1), 0.5)
    assert images.brightness(grey, 0.2, np.random.default_rng(0)) == pytest.approx(grey + 0.2)
    clear = np.full((1, 2, 2, 4), 0.5)
    assert (images.brightness(clear, 0.2, np.random.default_rng(0))[..., 3] == 0.5).all()


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_the_jpeg_is_pillows(mode: str, channels: int) -> None:
    pillow = pytest.importorskip("PIL.Image")
    stored = np.random.default_rng(0).integers(0, 256, (2, 16, 24, channels), dtype=np.uint8)
    reference = Reference.of("x", stored, "image")
    found = corrupted(stored, named("image", "jpeg", stored.shape[1:]), 2, reference)
    for image, ours in zip(stored, found, strict=True):
        written = io.BytesIO()
        pillow.fromarray(image.squeeze()).save(written, "JPEG", quality=65)
        expected = np.asarray(pillow.open(written).convert(mode)).reshape(image.shape)
        assert np.array_equal(ours, expected)


def test_contrast_is_a_factor_on_the_distance_from_the_mean() -> None:
    image = np.array([0.0, 1.0, 0.25, 0.75], np.float32).reshape(1, 2, 2, 1)
    reference = Reference.of("x", image, "image")
    found = corrupted(image, named("image", "contrast", (2, 2, 1)), 2, reference)
    assert found.ravel() == pytest.approx([0.25, 0.75, 0.375, 0.625])


def test_noise_has_the_published_deviation() -> None:
    """Of the range: 0.04 at severity 1 for small images, 0.08 for large ones."""
    for side, share in ((84, 0.04), (85, 0.08)):
        values = np.full((4, side, side, 1), 100.0, np.float32)
        reference = Reference.of("x", values, "image", (0.0, 200.0))
        found = corrupted(values, named("image", "gaussian-noise", (side, side, 1)), 1, reference)
        assert float(found.std()) == pytest.approx(200 * share, rel=0.02)


def test_audio_noise_is_below_each_bands_own_signal() -> None:
    random = np.random.default_rng(0)
    scales = np.array([100.0, 1.0, 0.01])
    values = (random.normal(size=(200, 50, 3)) * scales).astype(np.float32)
    reference = Reference.of("x", values, "audio")
    found = corrupted(values, named("audio", "noise", (50, 3)), 3, reference).astype(np.float64)
    ratio = np.mean(values.astype(np.float64) ** 2, (0, 1)) / np.mean((found - values) ** 2, (0, 1))
    assert 10 * np.log10(ratio) == pytest.approx([15.0, 15.0, 15.0], abs=0.2)


def test_gain_shift_and_lost_bands() -> None:
    values = np.arange(1, 2 * 25 * 4 + 1, dtype=np.float32).reshape(2, 25, 4)
    reference = Reference.of("x", values, "audio", (0.0, 200.0))
    quiet = corrupted(values, named("audio", "gain", (25, 4)), 3, reference)
    assert quiet == pytest.approx(values * 10 ** (-6 / 20), rel=1e-6)
    moved = corrupted(values, named("audio", "time-shift", (25, 4)), 3, reference)  # 12 %: 3 steps
    for clip, found in zip(values, moved, strict=True):
        later = np.concatenate([clip[:1]] * 3 + [clip[:-3]])
        earlier = np.concatenate([clip[3:]] + [clip[-1:]] * 3)
        assert np.array_equal(found, later) or np.array_equal(found, earlier)
    limited = corrupted(values, named("audio", "band-limit", (25, 4)), 5, reference)
    assert np.array_equal(limited[..., :2], values[..., :2])
    expected = np.broadcast_to(values[..., 2:].mean((0, 1)), (2, 25, 2))
    assert limited[..., 2:] == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(400,), (400, 1)])
def test_a_waveform_loses_its_upper_frequencies(shape: tuple[int, ...]) -> None:
    time = np.arange(400) / 400
    low, high = np.sin(2 * np.pi * 10 * time), np.sin(2 * np.pi * 190 * time)
    values = (low + high)[None].reshape(1, *shape).astype(np.float32)
    reference = Reference.of("x", values, "audio")
    found = corrupted(values, named("audio", "band-limit", shape), 1, reference)
    assert found.ravel() == pytest.approx(low, abs=1e-5)


def test_tokens_are_replaced_by_others_of_the_data_and_padding_stays() -> None:
    tokens = np.random.default_rng(1).choice([3, 5, 9], (400, 50)).astype(np.int64)
    tokens[:, 40:] = 0
    reference = Reference.of("x", tokens, "text")
    found = corrupted(tokens, named("text", "token-noise"), 5, reference)
    assert set(np.unique(found[:, :40])) == {3, 5, 9}
    assert (found[:, 40:] == 0).all()
    # Of the 30 % that are drawn a third draws the token that it was.
    assert float(np.mean(found[:, :40] != tokens[:, :40])) == pytest.approx(0.2, abs=0.01)


def test_what_cannot_be_applied() -> None:
    values = values_of("audio", 0)
    reference = Reference.of("x", values, "audio")
    with pytest.raises(UsageError, match="Received the severity 6; expected 1 to 5"):
        corrupted(values, named("audio", "gain"), 6, reference)
    with pytest.raises(UnknownNameError, match="Unknown corruption 'fog'"):
        chosen(catalogue("image", (8, 8, 3)), ["fog"])
    (two,) = [one for one in catalogue("image", (8, 8, 2)) if one.name == "jpeg"]
    assert two.problem == "JPEG takes one or three channels, and the images have 2."


def test_jpeg_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "find_spec", lambda name: None)
    one = named("image", "jpeg")
    assert "pip install tfgreen[images]" in one.problem
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "PIL":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match="needs Pillow"):
        images.jpeg(np.zeros((1, 8, 8, 3)), 50, np.random.default_rng(0))
