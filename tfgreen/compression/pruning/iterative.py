"""Iterative pruning: prune, train, raise the sparsity, until the metric falls; then step back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfgreen.compression.plain_options import plain
from tfgreen.compression.pruning.options import check_sparsity
from tfgreen.compression.pruning.pruning import Pruning
from tfgreen.compression.pruning.report import remember_report
from tfgreen.compression.pruning.state import PruningState
from tfgreen.compression.pruning.wrapping import unwrapped
from tfgreen.compression.tables import markdown_table
from tfgreen.compression.technique import TechniqueReport, state_of
from tfgreen.compression.validation import Metric, check_max_drop
from tfgreen.errors import UsageError

DEFAULT_SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True)
class PruningRound:
    """One sparsity, what the metric was after training with it, and whether that was accepted.

    drop: how much worse than the unpruned model; negative where it is better.
    """

    sparsity: float
    value: float
    drop: float
    is_accepted: bool


@dataclass(frozen=True)
class IterativePruning:
    """What `prune_iteratively` gives back; `str()` is a Markdown table of the rounds.

    model: pruned as in the last accepted round; not pruned at all if none was accepted.
    sparsity: that of the last accepted round; 0 if none was.
    baseline: the metric of the model as it came.
    """

    model: Any
    sparsity: float
    metric: str
    baseline: float
    rounds: tuple[PruningRound, ...]
    report: TechniqueReport

    def __str__(self) -> str:
        columns = [">sparsity", f">{self.metric}", ">drop", "accepted"]
        rows = [
            (one.sparsity, one.value, one.drop, "yes" if one.is_accepted else "no")
            for one in self.rounds
        ]
        title = f"Pruned to {self.sparsity:.4g}; {self.metric} {self.baseline:.4g} unpruned"
        return f"{title}\n\n{markdown_table(columns, rows)}"


def prune_iteratively(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    validation_data: Any,
    max_drop: float,
    sparsities: Sequence[float] = DEFAULT_SPARSITIES,
    epochs: int = 1,
    metric: str | None = None,
    higher_is_better: bool | None = None,
    pruning: Pruning | None = None,
    **fit_options: Any,
) -> IterativePruning:
    """Prune and train in rounds of rising sparsity, as long as the metric allows.

    Args:
        model: a built and compiled Keras 3 or tf_keras model. It stays as it is.
        x, y: what `model.fit` takes.
        validation_data: what `model.evaluate` takes, or a function of the model.
        max_drop: how much worse than the unpruned model the metric may be, in its own unit: 0.01
            for a percentage point of accuracy. The first round beyond it is undone.
        sparsities: ascending, one a round.
        epochs: of training in each round.
        metric: one that the model was compiled with; by default its first, or its loss.
        higher_is_better: by default the metric's name tells: losses and errors are better lower.
        pruning: the settings of every round; its sparsity is replaced. By default the masks move
            in the first half of a round and the weights recover in the second.
        fit_options: for `model.fit`: batch_size, callbacks, class_weight, verbose …

    Raises:
        UsageError: sparsities that do not rise, settings by layer, no metric.
        UnsupportedModelError: a subclassed or unbuilt model, or nothing to prune.
    """
    shares = _checked(sparsities)
    check_max_drop(max_drop)
    technique = _technique(pruning, shares)
    measure = Metric(validation_data, metric, higher_is_better)
    wrapped = technique.prepare(model)
    state: PruningState = state_of(wrapped, technique)
    state.final = technique.initial_sparsity
    name, baseline = measure.of(wrapped)
    reached, rounds = 0.0, list[PruningRound]()
    for share in shares:
        before = wrapped.get_weights()
        state.raise_to(share)
        try:
            wrapped.fit(x, y, epochs=epochs, **fit_options)
        except StopIteration:
            raise UsageError(
                f"x is a generator that ended before round {len(rounds) + 1} of {len(shares)}. "
                "Give arrays, a dataset, a keras.utils.PyDataset, or a generator without an end."
            ) from None
        state.apply_masks()
        value = measure.of(wrapped)[1]
        drop = measure.drop(name, baseline, value)
        rounds.append(PruningRound(share, value, drop, drop <= max_drop))
        if not rounds[-1].is_accepted:
            wrapped.set_weights(before)
            state.step_back_to(reached)
            break
        reached = share
    report = technique.report(wrapped)
    pruned = unwrapped(wrapped, state)
    remember_report(pruned, report)
    return IterativePruning(pruned, reached, name, baseline, tuple(rounds), report)


def _checked(sparsities: Sequence[float]) -> tuple[float, ...]:
    shares = tuple(map(plain, sparsities))
    for share in shares:
        check_sparsity(share, "sparsities")
    if not shares or list(shares) != sorted(set(shares)) or shares[0] == 0:
        raise UsageError(
            f"sparsities received {list(shares)}; expected rising shares, as (0.5, 0.7, 0.9)."
        )
    return shares


def _technique(pruning: Pruning | None, shares: Sequence[float]) -> Pruning:
    if pruning is None:
        return Pruning(sparsity=shares[0], end=0.5)
    if isinstance(pruning.sparsity, Mapping) or pruning.sparsity is None:
        raise UsageError(
            "Iterative pruning raises one sparsity for all layers from round to round: give it a "
            "Pruning with a number as sparsity; leave layers out with skip."
        )
    if pruning.initial_sparsity >= shares[0]:
        raise UsageError(
            f"sparsities received {list(shares)}; expected shares above the initial_sparsity of "
            f"the given Pruning, {pruning.initial_sparsity:g}."
        )
    return pruning
