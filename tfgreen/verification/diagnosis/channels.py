"""Errors channel by channel: what a tensor's own SQNR hides when a few channels hold all signal.

The mean over channels of noise over signal counts a small channel as much as a large one. Against
the least that a scale a channel would leave, it tells how badly the channels share one scale.
"""

from __future__ import annotations

import math

import numpy as np

_STEPS = 255
_LEAST_CHANNELS = 4
_BULK_STEPS, _BULK_SHARE = 16, 0.2


def crowding_db(truth: np.ndarray, error: np.ndarray) -> float:
    """How much more noise the channels (last axis) get, on average, than with a scale each; in dB.

    0 for tensors of fewer than four channels.

    >>> small, large = np.linspace(-1, 1, 99), np.linspace(-100, 100, 99)
    >>> truth = np.stack([small, small, small, large], axis=1)
    >>> bool(crowding_db(truth, np.round(truth) - truth) > 30)
    True
    """
    if truth.ndim < 2 or truth.shape[-1] < _LEAST_CHANNELS:
        return 0.0
    values = truth.reshape(-1, truth.shape[-1]).astype(np.float64)
    noise = _mean_noise(values, error.reshape(values.shape).astype(np.float64))
    least = _mean_noise(values, _rounded_each(values) - values)
    return 10 * math.log10(noise / least) if noise > 0 and least > 0 else 0.0


def bulk_of(values: np.ndarray) -> np.ndarray:
    """Which values are small beside the largest: the bulk that an extreme leaves few steps.

    All False where the largest is in proportion.
    """
    size = np.abs(values)
    bulk = size < size.max(initial=0.0) / _BULK_STEPS
    return bulk if bulk.mean() >= _BULK_SHARE else np.zeros_like(bulk)


def bulk_excess_db(truth: np.ndarray, error: np.ndarray) -> float:
    """How much more noise the bulk of the values gets than with a scale of its own, in dB."""
    bulk = bulk_of(truth)
    if not bulk.any():
        return 0.0
    values, off = truth[bulk].astype(np.float64), error[bulk].astype(np.float64)
    step = (max(float(values.max()), 0.0) - min(float(values.min()), 0.0)) / _STEPS
    noise, least = float((off**2).mean()), step**2 / 12
    return 10 * math.log10(noise / least) if noise > 0 and least > 0 else 0.0


def _mean_noise(values: np.ndarray, error: np.ndarray) -> float:
    signal, noise = (values**2).sum(axis=0), (error**2).sum(axis=0)
    alive = signal > 0
    return float((noise[alive] / signal[alive]).mean()) if alive.any() else 0.0


def _rounded_each(values: np.ndarray) -> np.ndarray:
    low, high = np.minimum(values.min(axis=0), 0), np.maximum(values.max(axis=0), 0)
    scales = np.where(high > low, (high - low) / _STEPS, 1.0)
    zeros = np.round(-low / scales)
    stored = np.clip(np.round(values / scales) + zeros, 0, _STEPS)
    return np.asarray((stored - zeros) * scales)
