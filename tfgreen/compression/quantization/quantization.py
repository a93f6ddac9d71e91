"""Quantization-aware training: the model learns with the rounding that its int8 file will do.

    training = tg.QuantizationAwareTraining()
    wrapped = training.prepare(model, calibration=x_train[:256])
    wrapped.fit(x, y, epochs=3)
    trained = training.finalize(wrapped)
    tg.export(trained, x_train[:200])

The rounding is that of TensorFlow Model Optimization (Jacob et al. 2018, arXiv 1712.05877). What is
exported has the trained steps; calibration data do not change them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tfgreen.compression.plain_options import as_tuple, make_plain
from tfgreen.compression.quantization.options import check_options
from tfgreen.compression.quantization.state import (
    QuantizationState,
    prepared,
    refuse_to_lose,
    report_of,
)
from tfgreen.compression.selection import Selector
from tfgreen.compression.technique import (
    TechniqueReport,
    attach_state,
    hand_on_state,
    mark_finished,
    state_of,
    take_over,
)
from tfgreen.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class QuantizationAwareTraining:
    """Train a model for an integer file.

    Args:
        activation_bits: 8, or 16 for the int16x8 profiles.
        weight_bits: 8, or fewer down to 4: weights of 2^bits - 1 values, 15 for 4 bits, or bits
            by layer: {keras.layers.Dense: 4}; layers that are not in it have 8. A name goes
            before a class, a class before an expression. Arithmetic stays that of int8. 2 bits
            are refused: no runtime here computes with them.
        skip: layers to leave in float while training, by name, class or expression; they are
            quantized after training, with ranges from the calibration data of the export.
        only: the only layers to round; all others are left as with `skip`.
        preserve_sparsity: weights that are zero stay zero (PQAT): give a pruned model.
        preserve_clusters: weights keep to the clusters that they are in (CQAT); with
            preserve_sparsity PCQAT.
        weight_steps: "channel", one step for each output channel, or "layer", one for the whole
            kernel. By default "channel", but "layer" for kernels whose clusters are kept: with a
            step for each channel their few values become many.
        freeze_batch_norm_after: the share of training (0 to 1) after which BatchNormalization
            stands still; None never freezes it.
        calibrate: set the ranges from data before the first step: from the calibration data of
            `prepare`, else from the first samples that `fit` is given. Without it every range
            starts at [-6, 6].

    Raises:
        UsageError: an option or a combination that makes no sense.

    >>> QuantizationAwareTraining(weight_bits=2)
    Traceback (most recent call last):
    ...
    tfgreen.errors.UsageError: weight_bits received 2; expected 4 to 8. No runtime that tfgreen
    exports for computes with weights of 2 bits: they would be stored in 8.
    """

    activation_bits: Literal[8, 16] = 8
    weight_bits: int | Mapping[Selector, int] = 8
    skip: tuple[Selector, ...] = ()
    only: tuple[Selector, ...] | None = None
    preserve_sparsity: bool = False
    preserve_clusters: bool = False
    weight_steps: Literal["channel", "layer"] | None = None
    freeze_batch_norm_after: float | None = 0.5
    calibrate: bool = True

    def __post_init__(self) -> None:
        make_plain(self)
        object.__setattr__(self, "skip", as_tuple(self.skip))
        if self.only is not None:
            object.__setattr__(self, "only", as_tuple(self.only))
        check_options(self)

    def prepare(self, model: Any, calibration: Any | None = None) -> Any:
        """A tf_keras copy of the model that rounds in `fit` and in `predict`.

        Args:
            model: a built Keras 3 or tf_keras model, Sequential or functional, or what Pruning or
                Clustering prepared and trained: it is finalized first. It stays as it is.
            calibration: samples as `tfgreen.export` takes them; some hundred are enough.

        Raises:
            UsageError: a name that no layer has, a model that is prepared for quantization
                already, or that was pruned or clustered for nothing.
            UnsupportedModelError: subclassed or unbuilt models, or nothing to round.
            InvalidDataError: calibration data that do not fit the model.
        """
        from tfgreen.compression.first_samples import show_first_samples
        from tfgreen.models.bridge import adapt_fit

        refuse_to_lose(self, model)
        finished, earlier = take_over(model)
        wrapped, state = prepared(self, finished)
        for technique, done in earlier:
            attach_state(wrapped, technique, done)
        attach_state(wrapped, self, state)
        adapt_fit(wrapped, self.callbacks)
        if not self.calibrate:
            return wrapped
        if calibration is not None:
            state.calibrate(wrapped, state.read(calibration))
        else:
            state.show_samples_of(show_first_samples, wrapped)
        return wrapped

    def callbacks(self) -> list[Any]:
        """New tf_keras callbacks for one training; `wrapped.fit` adds them itself."""
        from tfgreen.compression.quantization.norm_freezing import norm_freezing

        after = self.freeze_batch_norm_after
        return [] if after is None or after >= 1 else [norm_freezing(after)]

    def finalize(self, wrapped: Any) -> Any:
        """The model to export: tf_keras, with the trained steps in it.

        A Keras 3 model cannot hold them. `tfgreen.load_model` reads what its `save` writes.

        Raises:
            UsageError: this technique did not prepare the model, or its ranges were never set.
        """
        from tfgreen.compression.quantization.wrapping import exported_form
        from tfgreen.models.bridge import adapt_fit, compile_as

        state: QuantizationState = state_of(wrapped, self)
        if not state.has_ranges(wrapped):
            raise UsageError(
                "finalize received a model whose ranges were never set: it was neither calibrated "
                "nor trained. Give prepare calibration data, or call wrapped.fit(...) first."
            )
        model = exported_form(wrapped)
        compile_as(model, wrapped)
        adapt_fit(model)
        hand_on_state(wrapped, model, but=self)
        attach_state(model, self, state)
        mark_finished(model)
        return model

    def report(self, wrapped: Any) -> TechniqueReport:
        """For every layer what is rounded and why the rest is not, with ranges as they are now.

        Raises:
            UsageError: this technique did not prepare the model.
        """
        return report_of(self, state_of(wrapped, self), wrapped)
