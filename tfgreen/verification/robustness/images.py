"""Corruptions of images, with the constants of Hendrycks and Dietterich.

"Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR 2019
(arXiv 1903.12261): their formulas for 8-bit images of 0 to 255, here for any range. Images of a
shorter side below 85 pixels (between their 32 and 224) take the constants that they published for
CIFAR-10-C, larger ones those for ImageNet-C.

All functions take values (n, height, width, channels) from 0 to 1 and give such ones.
"""

from __future__ import annotations

import io
from importlib.util import find_spec

import numpy as np

from tfgreen.errors import MissingDependencyError

SMALL_SIDE_PIXELS = 85
SMALL = {
    "gaussian-noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "gaussian-blur": (0.4, 0.6, 0.7, 0.8, 1.0),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "jpeg": (80.0, 65.0, 58.0, 50.0, 40.0),
}
LARGE = {
    "gaussian-noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "gaussian-blur": (1.0, 2.0, 3.0, 4.0, 6.0),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "jpeg": (25.0, 18.0, 15.0, 10.0, 7.0),
}
UNITS = {
    "gaussian-noise": "standard deviation, as a share of the range",
    "gaussian-blur": "standard deviation, pixels",
    "contrast": "factor on the distance from the image's mean",
    "brightness": "added to the value (HSV), as a share of the range",
    "jpeg": "quality",
}

_TRUNCATE = 4.0
_MODES = {1: "L", 3: "RGB"}


def gaussian_noise(images: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    """Normal noise on every value; the same noise, scaled, at every severity."""
    return np.asarray(images + deviation * random.standard_normal(images.shape))


def gaussian_blur(images: np.ndarray, sigma: float, random: np.random.Generator) -> np.ndarray:
    """A Gaussian of `sigma` pixels, cut off at 4 sigma; the edge's pixels go on beyond it."""
    radius = int(_TRUNCATE * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in (1, 2):
        widths = [(0, 0)] * images.ndim
        widths[axis] = (radius, radius)
        padded = np.moveaxis(np.pad(images, widths, mode="edge"), axis, 0)
        size = images.shape[axis]
        blurred = sum(w * padded[i : i + size] for i, w in enumerate(weights))
        images = np.moveaxis(np.asarray(blurred), 0, axis)
    return images


def contrast(images: np.ndarray, factor: float, random: np.random.Generator) -> np.ndarray:
    """Every channel nearer to its mean over the image."""
    means = images.mean(axis=(1, 2), keepdims=True)
    return np.asarray((images - means) * factor + means)


def brightness(images: np.ndarray, added: float, random: np.random.Generator) -> np.ndarray:
    """The value of HSV raised: all colours of a pixel grow by the factor of its largest.

    Black becomes grey. A fourth channel (transparency) stays.
    """
    colours = images[..., :3] if images.shape[-1] == 4 else images
    value = colours.max(axis=-1, keepdims=True)
    raised = np.minimum(value + added, 1.0)
    is_black = value <= 0
    scaled = np.where(is_black, raised, colours * (raised / np.where(is_black, 1.0, value)))
    return np.concatenate([scaled, images[..., colours.shape[-1] :]], axis=-1)


def jpeg(images: np.ndarray, quality: float, random: np.random.Generator) -> np.ndarray:
    """As 8-bit JPEG and back. Raises MissingDependencyError without Pillow."""
    if missing := jpeg_problem(images.shape[1:]):
        raise MissingDependencyError(missing)
    from PIL import Image

    stored = np.round(images * 255).astype(np.uint8)
    found = np.empty_like(stored)
    mode = _MODES[images.shape[-1]]
    for index, image in enumerate(stored):
        written = io.BytesIO()
        plain = image[..., 0] if mode == "L" else image
        Image.fromarray(plain).save(written, "JPEG", quality=int(quality))
        found[index] = np.asarray(Image.open(written).convert(mode)).reshape(image.shape)
    return found / 255.0


def jpeg_problem(shape: tuple[int, ...]) -> str:
    """Why images of (height, width, channels) cannot become JPEGs here; "" where they can."""
    if shape[-1] not in _MODES:
        return f"JPEG takes one or three channels, and the images have {shape[-1]}."
    if find_spec("PIL") is None:
        return "JPEG needs Pillow, which is not installed: pip install tfgreen[images]"
    return ""
