"""How much each layer's sparsity costs: one layer at a time, without training.

scan = tg.sensitivity_scan(model, (x_validation, y_validation))
print(scan)
tg.Pruning(sparsity=scan.targets(max_drop=0.01))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfgreen.compression.copies import copy_of
from tfgreen.compression.kernels import Kernel, kernels_of
from tfgreen.compression.plain_options import plain
from tfgreen.compression.pruning.masks import largest
from tfgreen.compression.pruning.options import check_sparsity
from tfgreen.compression.selection import (
    PlacedLayer,
    Selector,
    check_selectors,
    placed_layers,
    selected,
)
from tfgreen.compression.tables import markdown_table
from tfgreen.compression.validation import Metric, check_max_drop
from tfgreen.errors import MissingDependencyError, UnsupportedModelError, UsageError
from tfgreen.wording import share_text

DEFAULT_SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class LayerSensitivity:
    """The metric with one layer pruned and all others whole.

    kind: its class name; weights: how many its kernels have.
    values: the metric at each sparsity of the scan; drops: how much worse it is than unpruned.
    """

    layer: str
    kind: str
    weights: int
    values: tuple[float, ...]
    drops: tuple[float, ...]


@dataclass(frozen=True)
class SensitivityScan:
    """What `sensitivity_scan` found; `str()` is a Markdown table.

    baseline: the metric of the model as it is.
    sparsities: the shares of zeros (0 to below 1) that were tried, ascending.
    """

    metric: str
    baseline: float
    sparsities: tuple[float, ...]
    layers: tuple[LayerSensitivity, ...]

    def targets(self, max_drop: float) -> dict[str, float]:
        """For each layer the largest sparsity that costs at most max_drop; 0 where none does.

        Every smaller sparsity tried has to cost no more than that, too. The result is what
        `Pruning(sparsity=...)` takes. Layers are scanned one at a time: pruned together they cost
        more, and training wins some of it back.

        Args:
            max_drop: in the metric's own unit, 0.01 for a percentage point of accuracy.
        """
        check_max_drop(max_drop)
        return {layer.layer: self._tolerated(layer, max_drop) for layer in self.layers}

    def to_facts(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        return {
            "metric": self.metric,
            "baseline": self.baseline,
            "sparsities": list(self.sparsities),
            "layers": [
                {
                    "layer": layer.layer,
                    "kind": layer.kind,
                    "weights": layer.weights,
                    "values": list(layer.values),
                }
                for layer in self.layers
            ],
        }

    def plot(self) -> Any:
        """A matplotlib Figure: the metric against the sparsity, one line a layer.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise MissingDependencyError(
                "A plot needs matplotlib: pip install 'tfgreen[report]'. print(scan) shows the "
                "same numbers as a table."
            ) from error
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        for layer in self.layers:
            axes.plot(self.sparsities, layer.values, marker="o", label=layer.layer)
        axes.axhline(self.baseline, color="black", linestyle=":", label="unpruned")
        axes.set(xlabel="sparsity of the layer", ylabel=self.metric)
        axes.legend(fontsize="small")
        return figure

    def __str__(self) -> str:
        columns = [
            "layer",
            "kind",
            ">weights",
            *(f">{share_text(share, 0)}" for share in self.sparsities),
        ]
        rows = [(one.layer, one.kind, one.weights, *one.values) for one in self.layers]
        title = f"{self.metric} with one layer pruned; {self.baseline:.4g} with none"
        return f"{title}\n\n{markdown_table(columns, rows)}"

    def _tolerated(self, layer: LayerSensitivity, max_drop: float) -> float:
        tolerated = 0.0
        for sparsity, drop in zip(self.sparsities, layer.drops, strict=True):
            if not drop <= max_drop:
                break
            tolerated = sparsity
        return tolerated


def sensitivity_scan(
    model: Any,
    data: Any,
    *,
    sparsities: Sequence[float] = DEFAULT_SPARSITIES,
    metric: str | None = None,
    higher_is_better: bool | None = None,
    layers: Sequence[Selector] | None = None,
    skip: Sequence[Selector] = (),
) -> SensitivityScan:
    """Prune one layer after the other, to each sparsity, and measure the model.

    Args:
        model: a built Keras 3 or tf_keras model, Sequential or functional. It stays as it is.
        data: what `model.evaluate` takes: (x, y) or a dataset that can be read again; or a
            function of the model that returns a number.
        sparsities: shares of each kernel's smallest weights to zero.
        metric: one that the model was compiled with; by default its first, or its loss.
        higher_is_better: by default the metric's name tells: losses and errors are better lower.
        layers: which layers to scan, by name, class or expression; by default all with kernels.
        skip: layers to leave out.

    Raises:
        UsageError: a name that no layer has, a sparsity of 1 or more, or no metric.
        UnsupportedModelError: a subclassed or unbuilt model, or nothing to prune.
    """
    shares = _checked(sparsities)
    measure = Metric(data, metric, higher_is_better)
    copy = copy_of(model)
    chosen = _chosen(copy, layers, skip)
    name, baseline = measure.of(copy)
    found = []
    for placed in chosen:
        kernels = kernels_of(placed.layer)
        values = tuple(_measured(copy, kernels, share, measure) for share in shares)
        drops = tuple(measure.drop(name, baseline, value) for value in values)
        weights = sum(kernel.values().size for kernel in kernels)
        found.append(LayerSensitivity(placed.path, placed.kind, weights, values, drops))
    return SensitivityScan(name, baseline, shares, tuple(found))


def _checked(sparsities: Sequence[float]) -> tuple[float, ...]:
    shares = tuple(map(plain, sparsities))
    for share in shares:
        check_sparsity(share, "sparsities")
    if not shares:
        raise UsageError("sparsities is empty; expected shares of weights, as (0.5, 0.8).")
    return tuple(sorted(set(shares)))


def _chosen(
    model: Any, layers: Sequence[Selector] | None, skip: Sequence[Selector]
) -> list[PlacedLayer]:
    every = placed_layers(model)
    check_selectors(skip, "skip")
    check_selectors(layers or (), "layers")
    wanted = None if layers is None else selected(layers, every)
    left_out = selected(skip, every)
    chosen = [
        placed
        for placed in every
        if kernels_of(placed.layer)
        and placed.path not in left_out
        and (wanted is None or placed.path in wanted)
    ]
    if not chosen:
        raise UnsupportedModelError("None of the layers to scan has a kernel that can be pruned.")
    return chosen


def _measured(model: Any, kernels: Sequence[Kernel], sparsity: float, measure: Metric) -> float:
    whole = [kernel.values() for kernel in kernels]
    try:
        for kernel, values in zip(kernels, whole, strict=True):
            kernel.variable.assign(values * largest(values, sparsity))
        return measure.of(model)[1]
    finally:
        for kernel, values in zip(kernels, whole, strict=True):
            kernel.variable.assign(values)
