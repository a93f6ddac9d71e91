"""Images from a folder: PNG, JPEG and BMP files, with class subfolders as labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.data.parts import Parts
from tfgreen.errors import InvalidDataError, MissingDependencyError
from tfgreen.signature import InputSpec

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_MODES = {1: "L", 3: "RGB"}
_WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class ImageSize:
    """How images are brought to a model's input; None keeps an image's own size."""

    height: int | None
    width: int | None
    channels: int

    @classmethod
    def of(cls, folder: Path, inputs: Sequence[InputSpec] | None) -> ImageSize:
        """The size that the only input wants; RGB in the images' own size without a model."""
        if inputs is None:
            return cls(None, None, 3)
        shape = inputs[0].shape if len(inputs) == 1 else ()
        if len(shape) != 3 or shape[2] not in _MODES:
            raise InvalidDataError(
                f"The image folder {folder} cannot feed {' and '.join(map(str, inputs))}: images "
                "need one input of shape (height, width, 1 or 3). Give an .npz file."
            )
        return cls(shape[0], shape[1], shape[2] or 3)


def read_image_folder(
    folder: Path, inputs: Sequence[InputSpec] | None = None, limit: int | None = None
) -> tuple[Parts, str]:
    """The images of a folder as uint8 0..255 (n, height, width, channels), and what was read.

    Class subfolders give labels: class numbers in the subfolders' alphabetical order. Images are
    converted to grey or RGB and resized (bilinear, proportions not kept) to the only input of
    `inputs`; values are not scaled. Of more than `limit` images, evenly spaced ones are read.
    Raises InvalidDataError, naming the file, for an image that cannot be decoded, and
    MissingDependencyError without Pillow.
    """
    size = ImageSize.of(folder, inputs)
    files, class_names, ignored = _listed(folder)
    total = len(files)
    if limit is not None and total > limit:
        files = [files[row] for row in np.round(np.linspace(0, total - 1, limit)).astype(int)]
    images = [_decoded(path, size) for path in files]
    shapes = {image.shape: path for path, image in zip(files, images, strict=True)}
    if len(shapes) > 1:
        told = "; ".join(f"{path.name}: {shape}" for shape, path in list(shapes.items())[:3])
        raise InvalidDataError(
            f"The images of {folder} differ in size ({told}) and the model's input does not fix "
            "one. Resize them first."
        )
    labels = {}
    if class_names:
        labels["y"] = np.array(
            [class_names.index(path.relative_to(folder).parts[0]) for path in files]
        )
    described = f"{folder} ({len(files)} of {total} images, 0..255"
    described += f"; other files left out: {ignored})" if ignored else ")"
    return Parts({"x": np.stack(images)}, labels, class_names or None), described


def _listed(folder: Path) -> tuple[list[Path], tuple[str, ...], int]:
    """The image files, the class subfolders' names, and how many other files there are."""
    visible = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    images = [path for path in visible if path.suffix.lower() in _SUFFIXES]
    classes = {path.relative_to(folder).parts[0] for path in images if path.parent != folder}
    loose = [path for path in images if path.parent == folder]
    if not images:
        raise InvalidDataError(
            f"The folder {folder} holds no image ({', '.join(_SUFFIXES)}). Give a folder of "
            "images, or of one subfolder of images for each class."
        )
    if loose and classes:
        raise InvalidDataError(
            f"The folder {folder} holds images ({loose[0].name}) beside subfolders of images "
            f"({min(classes)}): it is not clear what is a class. Keep one or the other."
        )
    return images, tuple(sorted(classes)), len(visible) - len(images)


def _decoded(path: Path, size: ImageSize) -> np.ndarray:
    pillow = _pillow()
    try:
        with pillow.open(path) as image:
            if image.mode in _WIDE_MODES:
                raise ValueError(f"mode {image.mode} has more than 8 bits a channel")
            converted = image.convert(_MODES[size.channels])
            wanted = (size.width or image.width, size.height or image.height)
            if converted.size != wanted:
                converted = converted.resize(wanted, pillow.Resampling.BILINEAR)
            pixels = np.asarray(converted, dtype=np.uint8)
    except Exception as error:  # damaged files make decoders raise all kinds of things
        raise InvalidDataError(
            f"The image {path} cannot be read: {error}. Replace it or take it out."
        ) from error
    return pixels[..., np.newaxis] if size.channels == 1 else pixels


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError(
            "Reading an image folder needs Pillow: pip install 'tfgreen[images]'."
        ) from error
    return Image
