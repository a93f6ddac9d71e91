"""Why a file's weights are not the float model's: the width, the scale, or other numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfgreen.verification.diagnosis.anatomy import Constant
from tfgreen.verification.diagnosis.ranges import Explanation, owner_among
from tfgreen.verification.diagnosis.record import Evidence
from tfgreen.wording import share_text

CHANNEL_AXES = {
    "CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0,
}  # fmt: skip
"""Which dimension of the weights counts output channels."""

_ROUNDED = 1.02  # weights within a step of the truth are rounded (learned rounding: up or down)
_STRAY_NOISE = 0.1  # of the noise may come from weights that were moved further (fitted)
_MOST = 0.8
_SPREAD = 4.0
_WORTH = 4.0  # 6 dB
_NARROW_CODES = (1, 3, 7, 8)  # the largest stored values of 2, 3 and 4 bits
_FEW_CODES = 32
_ALIKE = 0.95
_FITTED, _FEW_MOVED, _STRAYED = 0.98, 0.2, 0.5
_FEW_LEVELS = 16
_OFF = 0.05
_UNIFORM = 0.02
_LEFT = 0.25  # of the noise, once each channel has its factor
_INT32_LIMIT = (1 << 31) - 1


@dataclass(frozen=True)
class Channels:
    """Weights as (channels, all others): the file's, dequantized and as codes, and the model's."""

    real: np.ndarray
    codes: np.ndarray
    truth: np.ndarray
    steps: np.ndarray

    @classmethod
    def of(cls, constant: Constant, op_name: str) -> Channels:
        """Arrange a constant by its op's channels."""
        truth = constant.truth
        axis = CHANNEL_AXES.get(op_name, 0) % max(truth.ndim, 1)
        steps = constant.scales.astype(np.float64)

        def arranged(values: np.ndarray) -> np.ndarray:
            moved = np.moveaxis(values.reshape(truth.shape).astype(np.float64), axis, 0)
            return moved.reshape(len(moved), -1)

        real = arranged(constant.real)
        count = len(real)
        each = steps if steps.size == count else np.full(count, float(steps.max()))
        return cls(real, arranged(constant.codes), arranged(truth), each)

    @property
    def likeness(self) -> np.ndarray:
        """Cosine of the angle between file and model, by channel; 1 where both are zero."""
        dot = (self.real * self.truth).sum(axis=1)
        power = (self.real**2).sum(axis=1) * (self.truth**2).sum(axis=1)
        same = np.where((self.real == self.truth).all(axis=1), 1.0, 0.0)
        return np.where(power > 0, dot / np.sqrt(np.maximum(power, 1e-300)), same)

    @property
    def factors(self) -> np.ndarray:
        """Least-squares factor of the file's weights over the model's, by channel."""
        dot, power = (self.real * self.truth).sum(axis=1), (self.truth**2).sum(axis=1)
        return np.where(power > 0, dot / np.maximum(power, 1e-300), 1.0)


def likeness(constant: Constant) -> float:
    """Cosine of the angle between all of a file's weights and the model's."""
    one, other = constant.real.astype(np.float64).ravel(), constant.truth.astype(np.float64).ravel()
    power = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / power if power else float(np.array_equal(one, other))


def explain_weights(
    constant: Constant, op_name: str, *, is_normalized: bool = False
) -> Explanation:
    """Why the weights of an op cost more than 8-bit weights have to.

    Args:
        is_normalized: whether a BatchNormalization is folded into the op.
    """
    channels = Channels.of(constant, op_name)
    error = np.abs(channels.real - channels.truth)
    rounded = error <= _ROUNDED * channels.steps[:, None] + 1e-12
    unrounded_noise = float((error[~rounded] ** 2).sum()) / max(float((error**2).sum()), 1e-300)
    evidence: Evidence = {
        "largest_code": int(np.abs(channels.codes).max(initial=0)),
        "rounded_share": _short(float(rounded.mean())),
        "weights_sqnr_db": _short(_sqnr_db(channels.truth, channels.real)),
        "scales": int(constant.scales.size),
    }
    dead = _dead_channels(channels)
    if dead.any():
        return _dead(dead, evidence)
    if unrounded_noise <= _STRAY_NOISE or _is_fitted(channels):
        return _explain_rounding(constant, channels, evidence)
    levels = _few_levels(channels)
    if levels:
        return _width(constant, evidence | {"levels": levels})
    return _explain_difference(constant, channels, ~rounded, evidence, is_normalized)


def _dead_channels(channels: Channels) -> np.ndarray:
    """Channels stored as zero whose scale could store more, if they are most of the error."""
    reach = np.abs(channels.truth).max(axis=1)
    dead = (channels.codes == 0).all(axis=1) & (reach > 2 * channels.steps)
    noise = (channels.real - channels.truth) ** 2
    return dead & bool(noise[dead].sum() >= _MOST * noise.sum())


def _is_fitted(channels: Channels) -> bool:
    """Moved by more than a step, but all over and in no direction: as learned rounding does.

    No channel is a multiple of the model's, as with another BatchNormalization, and no single
    channel has most of the error.
    """
    moved = np.abs(channels.factors - 1) > _OFF
    strayed = moved | (channels.likeness < _FITTED)
    noise = ((channels.real - channels.truth) ** 2).sum(axis=1)
    return bool(moved.mean() <= _FEW_MOVED and noise[strayed].sum() <= _STRAYED * noise.sum())


def _few_levels(channels: Channels) -> int:
    """How many values there are, if they are as few as 4 bits have, and the nearest ones chosen."""
    levels = np.unique(channels.codes)
    if len(levels) < 2 or len(levels) > _FEW_LEVELS or channels.codes.size < 2 * _FEW_LEVELS:
        return 0
    gap = float(np.diff(levels).max())
    near = np.abs(channels.real - channels.truth) <= _ROUNDED * gap * channels.steps[:, None]
    return len(levels) if near.mean() >= _FITTED else 0


def _explain_rounding(constant: Constant, channels: Channels, evidence: Evidence) -> Explanation:
    levels = 7 if _is_narrow(constant) else 127
    own = np.abs(channels.truth).max(axis=1) / levels
    per_channel = _rounding_noise(channels.truth, own)
    now = float(((channels.real - channels.truth) ** 2).sum())
    if constant.scales.size == 1 and len(channels.real) > 1 and now > _WORTH * per_channel:
        return _explain_spread(channels, evidence)
    if _is_narrow(constant):
        return _width(constant, evidence)
    reach = np.abs(channels.codes).max(axis=1)
    coarse = int(np.argmin(np.where(np.abs(channels.truth).max(axis=1) > 0, reach, np.inf)))
    if reach[coarse] <= _FEW_CODES and now > _WORTH * per_channel:
        return Explanation(
            "range-too-wide",
            f"The weights of {{layer}} have a scale that is too wide: in channel {coarse} the "
            f"largest stored value is {reach[coarse]:.0f} of 127.",
            "Quantize the weights again, with the scale of their own largest value.",
            evidence | {"channel": coarse, "channel_largest_code": int(reach[coarse])},
        )
    return _width(constant, evidence)


def spread_of(constant: Constant, op_name: str) -> Explanation | None:
    """What one scale for weights of very different channels costs; None if they are alike."""
    channels = Channels.of(constant, op_name)
    reach = np.abs(channels.truth).max(axis=1)
    living = reach[reach > 0]
    if living.size < 2 or living.max() < _SPREAD * np.median(living):
        return None
    return _explain_spread(
        channels, {"weights_sqnr_db": _short(_sqnr_db(channels.truth, channels.real))}
    )


def _explain_spread(channels: Channels, evidence: Evidence) -> Explanation:
    reach = np.abs(channels.truth).max(axis=1)
    living = reach[reach > 0]
    spread = float(living.max() / np.median(living)) if living.size else 1.0
    lost = int(((channels.codes == 0).all(axis=1) & (reach > 0)).sum())
    evidence = evidence | {
        "spread": _short(spread),
        "smallest_over_largest": _short(float(living.min() / living.max())) if living.size else 1,
        "channels": len(reach),
        "channels_rounded_to_zero": lost,
    }
    channel = owner_among(reach)
    if channel is not None:
        return Explanation(
            "huge-channel",
            f"Channel {channel} of the weights of {{layer}} reaches {reach[channel]:.4g}, a "
            f"typical one {np.median(living):.4g}, and all share one scale: the others get hardly "
            "any steps.",
            "Use a scale a channel where the target allows it, else cross-layer equalization.",
            evidence | {"channel": channel},
        )
    return Explanation(
        "per-channel-spread",
        f"The channels of the weights of {{layer}} differ by up to "
        f"{living.max() / living.min():.3g} times, and all share one scale: small channels get "
        "hardly any steps" + (f", {lost} are zero altogether." if lost else "."),
        "Use a scale a channel where the target allows it, else cross-layer equalization.",
        evidence,
    )


def _explain_difference(
    constant: Constant,
    channels: Channels,
    off: np.ndarray,
    evidence: Evidence,
    is_normalized: bool,
) -> Explanation:
    """Weights that are no rounding of the model's."""
    noise = (channels.real - channels.truth) ** 2
    limit = 7 if constant.dtype == "int4" else 127
    clipped = (
        off & (np.abs(channels.codes) >= limit) & (np.abs(channels.real) < np.abs(channels.truth))
    )
    if noise[clipped].sum() >= _MOST * noise.sum():
        return Explanation(
            "range-too-narrow",
            f"The weights of {{layer}} are clipped: {share_text(clipped.mean(), 2)} of them lie "
            "outside what their scale can store.",
            "Quantize the weights again, with the scale of their own largest value.",
            evidence | {"clipped_share": _short(float(clipped.mean()))},
        )
    factors, alike = channels.factors, channels.likeness
    scaled = (np.abs(factors - 1) > _OFF) & (alike > _ALIKE)
    even = float(np.std(factors) / max(abs(float(np.mean(factors))), 1e-12)) <= _UNIFORM
    left = ((channels.real - factors[:, None] * channels.truth) ** 2).sum()
    is_scaled = scaled.any() and np.median(alike) > _ALIKE and left <= _LEFT * noise.sum()
    told = {"factor_low": _short(float(factors.min())), "factor_high": _short(float(factors.max()))}
    if is_scaled and (is_normalized or not even):
        return explain_normalization(evidence | told | {"channels_off": int(scaled.sum())})
    return Explanation(
        "weights-differ",
        "The weights of {layer} are not those of the float model: "
        f"{share_text(off.mean())} are off by more than a step (likeness {np.median(alike):.2f}, "
        f"factor {np.median(factors):.3g}).",
        "Export the file again from this very model.",
        evidence | told | {"likeness": _short(float(np.median(alike)))},
    )


def explain_normalization(evidence: Evidence) -> Explanation:
    """Weights or bias that differ by a factor or an offset a channel."""
    return Explanation(
        "batch-normalization",
        "The BatchNormalization folded into {layer} is not the float model's: weights or bias "
        "differ by channel, as with other moving statistics, or with none folded.",
        "Export again from the trained model; if its moving statistics are off, estimate them "
        "again on training data.",
        evidence,
    )


def _dead(dead: np.ndarray, evidence: Evidence) -> Explanation:
    channels = np.flatnonzero(dead)
    return Explanation(
        "dead-channel",
        f"Channel {channels[0]} of {{layer}} is dead in the file: all its weights are stored as "
        "zero, and the float model's are not"
        + (f" ({len(channels)} such channels)." if len(channels) > 1 else "."),
        "Quantize the weights again from the float model.",
        evidence | {"channel": int(channels[0]), "dead_channels": len(channels)},
    )


def explain_bias(constant: Constant, *, is_normalized: bool) -> Explanation:
    """Why the bias of an op is off."""
    codes = constant.codes.astype(np.float64)
    difference = constant.real.astype(np.float64) - constant.truth
    saturated = saturated_values(constant)
    evidence: Evidence = {
        "largest_code": float(np.abs(codes).max()),
        "saturated": saturated,
        "largest_difference": _short(float(np.abs(difference).max())),
        "largest_bias": _short(float(np.abs(constant.truth).max())),
    }
    if saturated:
        return Explanation(
            "accumulator-overflow",
            f"The bias of {{layer}} does not fit 32 bits: {saturated} of {codes.size} stored "
            "values are at the limit, since the scales of input and weights are too small for it.",
            "Widen the scale of the channels' weights, or of the input, until the bias fits.",
            evidence,
        )
    if is_normalized:
        return explain_normalization(evidence)
    return Explanation(
        "weights-differ",
        "The bias of {layer} is not the float model's: it is off by up to "
        f"{np.abs(difference).max():.4g}, where the largest bias is "
        f"{np.abs(constant.truth).max():.4g}.",
        "Export the file again from this very model.",
        evidence,
    )


def saturated_values(constant: Constant) -> int:
    """How many values of a bias are at the limit of 32 bits."""
    return int((np.abs(constant.codes.astype(np.float64)) >= _INT32_LIMIT - 1).sum())


def _width(constant: Constant, evidence: Evidence) -> Explanation:
    bits = 4 if _is_narrow(constant) else 8
    wider = "Keep this layer at 8 bits" if bits == 4 else "Bring its input's channels to one size"
    return Explanation(
        "weight-width",
        f"The weights of {{layer}} do not fit {bits} bits: rounding them leaves "
        f"{evidence['weights_sqnr_db']} dB.",
        f"{wider}, give it 16-bit activations, or learn the rounding.",
        evidence | {"bits": bits},
    )


def _is_narrow(constant: Constant) -> bool:
    """4 bits or fewer, or 8 bits of which only so many are used."""
    largest = int(np.abs(constant.codes.astype(np.int64)).max(initial=0))
    return constant.dtype in ("int4", "int2") or largest in _NARROW_CODES


def _rounding_noise(truth: np.ndarray, steps: np.ndarray) -> float:
    safe = np.where(steps > 0, steps, 1.0)[:, None]
    return float(((np.round(truth / safe) * safe - truth) ** 2).sum())


def _sqnr_db(truth: np.ndarray, given: np.ndarray) -> float:
    signal, noise = float((truth**2).sum()), float(((given - truth) ** 2).sum())
    if not noise or not signal:
        return 200.0 if not noise else -200.0
    return 10 * float(np.log10(signal / noise))


def _short(value: float) -> float:
    return float(f"{value:.5g}")
