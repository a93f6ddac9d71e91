"""What `Pruning` knows of one wrapped model, and what it can read off it at any time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfgreen.compression.pruning.masks import global_shares, kept_from, zero_share
from tfgreen.compression.pruning.plan import KernelPlan
from tfgreen.compression.pruning.schedules import KernelSchedule, Span, schedule_between, span_of
from tfgreen.compression.technique import LayerDecision

if TYPE_CHECKING:
    from tfgreen.compression.pruning.pruning import Pruning


@dataclass
class PrunedKernel:
    """A kernel inside its wrapper.

    share: a variable with the sparsity that a ranking across layers gave it; None without one.
    """

    plan: KernelPlan
    schedule: KernelSchedule
    share: Any | None = None

    def values(self) -> np.ndarray:
        """The weights as they are now."""
        return self.plan.kernel.values()


@dataclass
class PrunedLayer:
    """A wrapped layer; path and kind are those of the layer inside."""

    path: str
    kind: str
    reason: str
    wrapper: Any
    kernels: tuple[PrunedKernel, ...]

    @property
    def sparsity(self) -> float:
        """The share of exact zeros in its kernels."""
        return zero_share([kernel.values() for kernel in self.kernels])

    @property
    def target(self) -> float | None:
        """The sparsity that its kernels are to have together; None where they have no own one."""
        targets = [kernel.schedule.target for kernel in self.kernels]
        sizes = [kernel.values().size for kernel in self.kernels]
        if None in targets:
            return None
        shares = (target or 0.0 for target in targets)
        return sum(share * size for share, size in zip(shares, sizes, strict=True)) / sum(sizes)


@dataclass
class PruningState:
    """One wrapped model's layers, and where in its schedule it is.

    order: the paths of all layers, as the model has them.
    final: the sparsity that the schedule ends at, of each kernel without a target of its own or,
        ranked, of all together.
    span: None until the length of training is known.
    """

    layers: tuple[PrunedLayer, ...]
    skipped: tuple[LayerDecision, ...]
    order: tuple[str, ...] = ()
    initial: float = 0.0
    final: float | None = None
    span: Span | None = None
    steps: int | None = None
    is_scheduled: bool = False
    ranking: Any | None = None

    def kernels(self) -> Iterator[PrunedKernel]:
        """Those of all layers."""
        for layer in self.layers:
            yield from layer.kernels

    @property
    def steps_done(self) -> int:
        """How many steps of training the wrapped model has behind it."""
        wrapper, schedule = self.layers[0].wrapper, self.layers[0].kernels[0].schedule
        return max(int(wrapper.pruning_step.numpy()), 0) // schedule.calls

    @property
    def sparsity(self) -> float:
        """The share of exact zeros in the kernels that are pruned."""
        return zero_share([kernel.values() for kernel in self.kernels()])

    def set_masks(self) -> None:
        """Set every mask to the |w| >= threshold that is true now, and zero what is below."""
        for layer in self.layers:
            for variables, kernel in zip(layer.wrapper.pruning_vars, layer.kernels, strict=True):
                weight, mask, threshold = variables
                kept = kept_from(kernel.values(), kernel.plan.threshold or 0.0)
                mask.assign(kept.astype(mask.dtype.as_numpy_dtype))
                threshold.assign(kernel.plan.threshold or 0.0)
                weight.assign(kernel.values() * kept)

    def apply_masks(self) -> None:
        """Zero what the masks have taken out: the last update of the weights came after them."""
        for layer in self.layers:
            for weight, mask, _ in layer.wrapper.pruning_vars:
                weight.assign(np.where(mask.numpy() == 0, 0, weight.numpy()))

    def schedule_for(self, technique: Pruning, steps: int) -> None:
        """Turn shares of training into steps, now that their number is known."""
        span = span_of(technique.begin, technique.end, technique.frequency, steps, self.steps_done)
        self.span, self.steps, self.is_scheduled = span, steps, True
        for kernel in self.kernels():
            final = self.final if kernel.schedule.target is None else kernel.schedule.target
            initial = min(self.initial, final or 0.0)
            name = technique.schedule_name
            self._follow(kernel, schedule_between(name, initial, final or 0.0, span))

    def follow(self, schedule: Any) -> None:
        """Go by a schedule of the caller's own, which counts steps."""
        self.is_scheduled = True
        for kernel in self.kernels():
            self._follow(kernel, schedule)

    def _follow(self, kernel: PrunedKernel, schedule: Any) -> None:
        kernel.schedule.follow(schedule, kernel.share)
        self.ranking = schedule if kernel.share is not None else None

    def rank(self, first_step: int, last_step: int) -> None:
        """Rank all weights together if the masks are updated in one of these steps."""
        import tensorflow as tf

        steps = range(first_step, last_step + 1)
        due = [self.ranking(tf.constant(step, tf.int64)) for step in steps] if self.ranking else []
        sparsities = [float(sparsity) for should_prune, sparsity in due if bool(should_prune)]
        if not sparsities:
            return
        kernels = list(self.kernels())
        shares = global_shares([kernel.values() for kernel in kernels], sparsities[-1])
        for kernel, share in zip(kernels, shares, strict=True):
            kernel.share.assign(share)  # type: ignore[union-attr]

    def raise_to(self, sparsity: float) -> None:
        """Set out for a higher sparsity, the same in every layer or of all together."""
        self.is_scheduled = False
        self.initial, self.final = self.final or 0.0, sparsity
        for kernel in self.kernels():
            if kernel.share is None:
                kernel.schedule.target = sparsity

    def step_back_to(self, sparsity: float) -> None:
        """Have the masks of an earlier sparsity again, which the caller has put back."""
        self.raise_to(sparsity)
        self.span = None
