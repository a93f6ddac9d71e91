"""Where a sliding window lies: padding, output size, and the windows themselves as a view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfgreen.reference.node import Node

SAME, VALID = 0, 1
_MOST_TAPS = 1 << 16


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a sliding window.

    Attributes:
        size: Of the input.
        kernel: Taps of the window.
        stride: Between windows.
        dilation: Between taps.
        before: Padding before the input.
        count: Windows, that is the output's size.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    count: int

    @classmethod
    def of(cls, size: int, kernel: int, stride: int, dilation: int, padding: int) -> Axis:
        """The axis with TensorFlow's padding: SAME pads so that `count = ceil(size / stride)`.

        >>> Axis.of(5, 3, 2, 1, SAME)
        Axis(size=5, kernel=3, stride=2, dilation=1, before=1, count=3)
        """
        reach = (kernel - 1) * dilation + 1
        windows = max(0, (size - reach) // stride + 1)
        count = -(-size // stride) if padding == SAME else windows
        before = max(0, (count - 1) * stride + reach - size) // 2
        return cls(size, kernel, stride, dilation, before, count)

    @property
    def padded(self) -> int:
        """Input positions that some window touches, padding included."""
        return max((self.count - 1) * self.stride + (self.kernel - 1) * self.dilation + 1, 0)

    @property
    def inner(self) -> tuple[slice, slice]:
        """Where the input lies in the padded axis, and which part of it."""
        taken = min(self.size, self.padded - self.before)
        return slice(self.before, self.before + taken), slice(0, taken)


def axes_of(node: Node, shape: tuple[int, ...], kernel: tuple[int, int]) -> tuple[Axis, Axis]:
    """Height and width of a convolution or pooling over `shape` (batch, height, width, depth)."""
    stride = int(node.option("strideH", 1)), int(node.option("strideW", 1))
    dilation = int(node.option("dilationHFactor", 1)), int(node.option("dilationWFactor", 1))
    padding = int(node.option("padding", SAME))
    node.expect(len(shape) == 4, f"slides over {len(shape)} dimensions; expected 4")
    node.expect(min(*stride, *dilation, *kernel) > 0, "has a stride, dilation or size below 1")
    node.expect(max(*stride, *dilation) < 1 << 20, "has a stride or dilation without sense")
    node.expect(kernel[0] * kernel[1] <= _MOST_TAPS, f"has a window of {kernel[0]} x {kernel[1]}")
    node.expect(padding in (SAME, VALID), f"has the padding {padding}; there are 0 and 1")
    axes = tuple(
        Axis.of(shape[1 + i], kernel[i], stride[i], dilation[i], padding) for i in range(2)
    )
    node.expect(min(axis.count for axis in axes) > 0, "has a window larger than its input")
    padded = [axis.padded for axis in axes]
    node.expect(
        8 * padded[0] * padded[1] * shape[3] < node.working_set_bytes,
        f"pads its input to {padded[0]} x {padded[1]}, more than the working set holds",
    )
    return axes[0], axes[1]


def padded_images(
    images: np.ndarray, height: Axis, width: Axis, fill: float, dtype: type
) -> np.ndarray:
    """`images` (n, height, width, depth) as `dtype` with `fill` around them."""
    count, _, _, depth = images.shape
    if height.padded == height.size and width.padded == width.size:
        return images.astype(dtype)
    padded: np.ndarray = np.full((count, height.padded, width.padded, depth), fill, dtype)
    (to_rows, from_rows), (to_columns, from_columns) = height.inner, width.inner
    padded[:, to_rows, to_columns] = images[:, from_rows, from_columns]
    return padded


def windows_of(padded: np.ndarray, height: Axis, width: Axis) -> np.ndarray:
    """A view of padded images as (n, rows, columns, kernel rows, kernel columns, depth)."""
    n, rows, columns, depth = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded,
        (
            len(padded), height.count, width.count, height.kernel, width.kernel, padded.shape[3],
        ),
        (
            n, rows * height.stride, columns * width.stride,
            rows * height.dilation, columns * width.dilation, depth,
        ),
        writeable=False,
    )  # fmt: skip
