"""Pruning in training: weights of small magnitude become zero while the others learn on.

    pruning = tg.Pruning(sparsity=0.8)
    wrapped = pruning.prepare(model)
    wrapped.fit(x, y, epochs=4)
    sparse = pruning.finalize(wrapped)

The masks are those of TensorFlow Model Optimization's `prune_low_magnitude` (Zhu and Gupta, "To
prune, or not to prune", 2017).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, cast

from tfgreen.compression.plain_options import as_tuple, make_plain
from tfgreen.compression.pruning.callback import pruning_callback
from tfgreen.compression.pruning.masks import ThresholdUnit
from tfgreen.compression.pruning.options import check_options, zeros_and_length
from tfgreen.compression.pruning.report import remember_report, report_of
from tfgreen.compression.pruning.schedules import ScheduleName
from tfgreen.compression.pruning.state import PruningState
from tfgreen.compression.pruning.wrapping import unwrapped, wrapped_copy
from tfgreen.compression.selection import Selector, Shares
from tfgreen.compression.technique import (
    TakenOver,
    TechniqueReport,
    attach_state,
    hand_on_state,
    state_of,
)
from tfgreen.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """Prune a model while it is trained; exactly one of sparsity, threshold and pattern is given.

    Args:
        sparsity: share of each kernel's weights that become zero (0 to below 1), or shares by
            layer: {"conv_1": 0.5, keras.layers.Dense: 0.9, re.compile("block_.*"): 0.7}; layers
            that are not in it stay as they are. A name goes before a class, a class before an
            expression.
        threshold: weights with |w| below it go; the sparsity that results is held. One number or
            numbers by layer.
        threshold_unit: "absolute"; "quantile", a share of the layer's |w|; "standard-deviation",
            a multiple of that of the layer's weights.
        pattern: "2:4" keeps the 2 largest of 4 neighbouring weights along the input channels,
            from the first step on.
        schedule: "polynomial" (the default for sparsity), "exponential", "one-cycle", "constant"
            (the default for threshold), or a schedule object of TensorFlow Model Optimization,
            which counts steps and has its own sparsity.
        begin, end: shares of training (0 to 1) between which masks are updated. After the end
            they stay, and the weights that are left recover.
        training_steps: how many steps the whole training has, where it is more than one `fit`;
            by default those of the first `fit`.
        initial_sparsity: where the schedule begins.
        frequency: steps between two updates of the masks; by default at most 100 and so many that
            there are at least 20 updates.
        scope: "layer" brings every kernel to the sparsity; "global" ranks the weights of all
            layers together, so that some layers lose more than others.
        skip: layers to leave alone, by name, class or expression.
        block_size: (rows, columns) of blocks that become zero together, in kernels of two
            dimensions. block_pooling: the "average" or "maximum" of |w| stands for a block.

    Biases and normalization are exempt. Depthwise kernels are exempt too, unless a threshold is
    given or their layer is named in sparsity.

    Raises:
        UsageError: an option or a combination that makes no sense.

    >>> Pruning(sparsity=1.0)
    Traceback (most recent call last):
    ...
    tfgreen.errors.UsageError: sparsity received 1.0; expected a share of weights from 0 to below
    1: 1 would leave no weight at all.
    """

    sparsity: float | Shares | None = None
    threshold: float | Shares | None = None
    threshold_unit: ThresholdUnit = "absolute"
    pattern: str | None = None
    schedule: ScheduleName | Any | None = None
    begin: float = 0.0
    end: float = 0.75
    training_steps: int | None = None
    initial_sparsity: float = 0.0
    frequency: int | None = None
    scope: Literal["layer", "global"] = "layer"
    skip: tuple[Selector, ...] = ()
    block_size: tuple[int, int] = (1, 1)
    block_pooling: Literal["average", "maximum"] = "average"

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("skip", "block_size"):
            object.__setattr__(self, name, as_tuple(getattr(self, name)))
        check_options(self)

    @property
    def amount(self) -> float | Shares | None:
        """The sparsity or the threshold, whichever was given."""
        return self.sparsity if self.threshold is None else self.threshold

    @property
    def schedule_name(self) -> ScheduleName:
        """The schedule's name, the default's too; of use without a schedule object only."""
        default = "polynomial" if self.threshold is None else "constant"
        return cast(ScheduleName, self.schedule or default)

    @property
    def has_own_schedule(self) -> bool:
        """Whether the schedule is an object that counts steps."""
        return self.schedule is not None and not isinstance(self.schedule, str)

    @property
    def prunes_at_once(self) -> bool:
        """Whether `prepare` sets the masks already."""
        return self.threshold is not None and self.schedule_name == "constant" and self.begin == 0

    @property
    def is_scheduled_by_length(self) -> bool:
        """Whether the number of training steps has to be known."""
        return not (self.has_own_schedule or self.prunes_at_once or self.pattern is not None)

    @property
    def pattern_arguments(self) -> dict[str, Any]:
        """The arguments of `prune_low_magnitude` on blocks and patterns."""
        return {
            "block_size": self.block_size,
            "block_pooling_type": "AVG" if self.block_pooling == "average" else "MAX",
            "sparsity_m_by_n": zeros_and_length(self.pattern) if self.pattern else None,
        }

    def prepare(self, model: Any, calibration: Any | None = None) -> Any:
        """A tf_keras copy of the model whose layers are pruned in `fit`.

        Args:
            model: a built Keras 3 or tf_keras model, Sequential or functional. It stays as it is.
            calibration: not used.

        Raises:
            UsageError: a name that no layer has, or a layer that cannot be pruned as asked.
            UnsupportedModelError: subclassed or unbuilt models, or nothing to prune.
        """
        from tfgreen.models.bridge import adapt_fit

        wrapped, state = wrapped_copy(self, model)
        if isinstance(self.sparsity, int | float):
            state.final = float(self.sparsity)
        if self.prunes_at_once:
            state.set_masks()
        attach_state(wrapped, self, state)
        adapt_fit(wrapped, self.callbacks)
        return wrapped

    def callbacks(self) -> list[Any]:
        """New tf_keras callbacks for one training; `wrapped.fit` adds them itself."""
        return [pruning_callback(self)]

    def finalize(self, wrapped: Any) -> Any:
        """The pruned model without wrappers, of the Keras that `prepare` was given.

        Raises:
            UsageError: this technique did not prepare the model, or it was not trained.
        """
        known = state_of(wrapped, self)
        if isinstance(known, TakenOver):
            return wrapped
        state = _trained(known, self)
        state.apply_masks()
        model = unwrapped(wrapped, state)
        hand_on_state(wrapped, model, but=self)
        remember_report(model, self.report(wrapped))
        _warn_of_early_end(state)
        return model

    def report(self, wrapped: Any) -> TechniqueReport:
        """Sparsity, target and reason for every layer, as the wrapped model is now.

        Raises:
            UsageError: this technique did not prepare the model.
        """
        state = state_of(wrapped, self)
        return state.report if isinstance(state, TakenOver) else report_of(state, wrapped)


def _trained(state: PruningState, technique: Pruning) -> PruningState:
    if state.steps_done == 0 and not technique.prunes_at_once:
        raise UsageError(
            "finalize received a model that was not trained after prepare, so nothing in it is "
            "pruned: call wrapped.fit(...) first. To prune without training, use tg.prune."
        )
    return state


def _warn_of_early_end(state: PruningState) -> None:
    if state.span is not None and state.steps_done < state.span.end_step:
        warnings.warn(
            f"Training ended at step {state.steps_done}, but pruning was to reach its target at "
            f"step {state.span.end_step}: the sparsity is {state.sparsity:.4g}.",
            stacklevel=3,
        )
