"""Corruptions of audio: features (n, time, bands[, 1]) or waveforms (n, time[, 1])."""

from __future__ import annotations

import numpy as np

from tfgreen.verification.robustness.kinds import Reference

AMOUNTS = {
    "noise": (25.0, 20.0, 15.0, 10.0, 5.0),
    "gain": (2.0, 4.0, 6.0, 9.0, 12.0),
    "time-shift": (0.04, 0.08, 0.12, 0.16, 0.20),
    "band-limit": (0.1, 0.2, 0.3, 0.4, 0.5),
}
UNITS = {
    "noise": "signal-to-noise ratio, dB (the signal: the band's deviation in the data)",
    "gain": "attenuation of the values, dB",
    "time-shift": "share of the time, either way",
    "band-limit": "share of the upper bands that is lost",
}


def noise(
    values: np.ndarray, ratio_db: float, reference: Reference, random: np.random.Generator
) -> np.ndarray:
    """Normal noise, in every band so far below the deviation that the band has in the data."""
    deviation = reference.deviation.reshape(values.shape[2:] or (1,))
    scale = deviation * 10 ** (-ratio_db / 20)
    return np.asarray(values + scale * random.standard_normal(values.shape))


def gain(
    values: np.ndarray, attenuation_db: float, reference: Reference, random: np.random.Generator
) -> np.ndarray:
    """All values nearer to 0, as a quieter recording is where values are linear."""
    return np.asarray(values * 10 ** (-attenuation_db / 20))


def time_shift(
    values: np.ndarray, share: float, reference: Reference, random: np.random.Generator
) -> np.ndarray:
    """Earlier or later by a share of the time, at least a step; the edge's values fill the gap."""
    length = values.shape[1]
    steps = max(1, round(share * length))
    ways = random.choice([-1, 1], len(values))
    places = np.clip(np.arange(length) - steps * ways[:, None], 0, length - 1)
    return np.asarray(values[np.arange(len(values))[:, None], places])


def band_limit(
    values: np.ndarray, share: float, reference: Reference, random: np.random.Generator
) -> np.ndarray:
    """The upper bands are lost.

    Of features the last bands, at least one, which take their mean in the data; of a waveform the
    frequencies above, of the discrete Fourier transform.
    """
    if values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 1):
        spectrum = np.fft.rfft(values, axis=1)
        kept = spectrum.shape[1] - max(1, round(share * spectrum.shape[1]))
        spectrum[:, kept:] = 0
        return np.asarray(np.fft.irfft(spectrum, values.shape[1], axis=1))
    bands = values.shape[2]
    kept = bands - max(1, round(share * bands))
    limited = values.copy()
    limited[:, :, kept:] = reference.band_means.reshape(values.shape[2:])[kept:]
    return limited
