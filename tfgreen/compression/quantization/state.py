"""What `QuantizationAwareTraining` knows of one wrapped model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tfgreen.compression.copies import refuse_without_graph
from tfgreen.compression.kernels import kernels_of
from tfgreen.compression.quantization.plan import Plan, plan_rounding
from tfgreen.compression.quantization.wrapping import MOST_BITS, WeightRounding, with_rounding
from tfgreen.compression.selection import PlacedLayer, assigned, placed_layers, selected
from tfgreen.compression.technique import TechniqueReport, techniques_of
from tfgreen.compression.wrapping import refuse_wrapped
from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.models.keras2_graph import Graph

if TYPE_CHECKING:
    from tfgreen.compression.quantization.quantization import QuantizationAwareTraining
    from tfgreen.models.qat_rewrites import Rewritten

_LAST = "Quantization-aware training comes last, and once."
# Share of zeros from which on a kernel counts as pruned.
_PRUNED_FROM = 0.2
_ORDER = (
    f"{_LAST} Take the wrapper off first, and keep what it did with preserve_sparsity or "
    "preserve_clusters."
)


@dataclass
class QuantizationState:
    """One wrapped model's plan, and whether its ranges were set.

    kinds: class names of the layers of the model that was given, by path, in its order.
    left_out: paths that were not to be rounded, with the reason.
    steps_before: steps of training that the optimizer had behind it at the start.
    source: "calibration data" or "the first samples of fit"; "" while ranges are not set.
    notes: what the report has to say besides, known when the model was prepared.
    """

    rewritten: Rewritten
    plan: Plan
    kinds: Mapping[str, str]
    left_out: Mapping[str, str]
    steps_before: int = 0
    source: str = ""
    sample_count: int = 0
    notes: list[str] = field(default_factory=list)

    def read(self, calibration: Any) -> Mapping[str, np.ndarray]:
        """Calibration data in any form, by name of the input."""
        from tfgreen.data import read_samples
        from tfgreen.signature import InputSpec

        model = self.rewritten.model
        specs = [
            InputSpec(name, tuple(tensor.shape[1:]), tensor.dtype.name)
            for name, tensor in zip(model.input_names, model.inputs, strict=True)
        ]
        return read_samples(calibration, inputs=specs, limit=_samples()).inputs

    def calibrate(
        self, wrapped: Any, inputs: Mapping[str, np.ndarray], source: str = "calibration data"
    ) -> None:
        """Set the ranges of all activations and kernels."""
        from tfgreen.compression.calibration import set_activation_ranges
        from tfgreen.compression.quantization.wrapping import set_weight_ranges

        set_activation_ranges(wrapped, self.rewritten.model, self.plan, inputs)
        set_weight_ranges(wrapped)
        self.source, self.sample_count = source, len(next(iter(inputs.values())))

    def show_samples_of(self, show: Callable[..., None], wrapped: Any) -> None:
        """Calibrate on what the first fit brings."""
        show(
            wrapped,
            lambda inputs: self.calibrate(wrapped, inputs, "the first samples of fit"),
            _samples(),
        )

    def has_ranges(self, wrapped: Any) -> bool:
        """Whether data have set the ranges: before training, or in it."""
        return bool(self.source) or _steps(wrapped) > self.steps_before


def prepared(technique: QuantizationAwareTraining, model: Any) -> tuple[Any, QuantizationState]:
    """The wrapped model, compiled as the model was, and its state."""
    from tfgreen.models.bridge import compile_as, to_keras2
    from tfgreen.models.qat_rewrites import rewrite

    refuse_without_graph(model)
    refuse_wrapped(model, _ORDER)
    copy = to_keras2(model)
    placed = placed_layers(copy)
    left_out = _left_out(technique, placed)
    rewritten = rewrite(copy)
    names = {name: left_out[path] for name, path in rewritten.origins.items() if path in left_out}
    plan = plan_rounding(Graph(rewritten.model), names, technique.activation_bits)
    if not any(p.kernel or any(p.outputs) for p in plan.layers.values()):
        raise UnsupportedModelError(
            f"Nothing in '{copy.name}' is left to be rounded. Leave fewer layers out with skip, "
            "name more in only, or export the model without quantization-aware training."
        )
    weights = WeightRounding(
        _bits(technique, placed, rewritten.origins),
        None if technique.weight_steps is None else technique.weight_steps == "channel",
        technique.preserve_sparsity,
        technique.preserve_clusters,
    )
    wrapped = with_rounding(rewritten.model, plan, weights, technique.activation_bits)
    compile_as(wrapped, copy)
    kinds = {layer.path: layer.kind for layer in placed}
    state = QuantizationState(rewritten, plan, kinds, left_out, _steps(wrapped))
    state.notes += _notes_of_loss(technique, [one for one in placed if one.path not in left_out])
    return wrapped, state


def refuse_to_lose(technique: QuantizationAwareTraining, model: Any) -> None:
    """Raise UsageError where training would undo what the technique before it did."""
    options = {"Pruning": "preserve_sparsity", "Clustering": "preserve_clusters"}
    for earlier in techniques_of(model):
        if type(earlier) is type(technique):
            raise UsageError(f"The model '{model.name}' was prepared for quantization. {_LAST}")
        option = options.get(type(earlier).__name__)
        if option is not None and not getattr(technique, option):
            raise UsageError(
                f"The model was prepared by {type(earlier).__name__}, which this training would "
                f"undo. Give QuantizationAwareTraining {option}=True, or prepare the model as it "
                "was before."
            )


def _notes_of_loss(
    technique: QuantizationAwareTraining, placed: Sequence[PlacedLayer]
) -> Iterator[str]:
    """What of earlier pruning and clustering, finalized before, this training may undo."""
    from tfgreen.models.qat_clusters import cluster_count

    kernels = [(one.path, kernel.values()) for one in placed for kernel in kernels_of(one.layer)]
    pruned = [path for path, values in kernels if np.mean(values == 0) >= _PRUNED_FROM]
    if pruned and not technique.preserve_sparsity:
        names = ", ".join(dict.fromkeys(pruned))
        yield f"Zeros are trained away in {names}: preserve_sparsity=True would keep them."
    clustered = [path for path, values in kernels if cluster_count(values) is not None]
    if clustered and not technique.preserve_clusters:
        names = ", ".join(dict.fromkeys(clustered))
        yield f"Shared values are trained apart in {names}: preserve_clusters=True would keep them."


def report_of(
    technique: QuantizationAwareTraining, state: QuantizationState, wrapped: Any
) -> TechniqueReport:
    """The report; see `QuantizationAwareTraining.report`."""
    from tfgreen.compression.quantization.report import decisions, notes

    return TechniqueReport(
        "quantization-aware training",
        decisions(technique, state, wrapped),
        notes(technique, state, wrapped),
    )


def _steps(model: Any) -> int:
    optimizer = getattr(model, "optimizer", None)
    return 0 if optimizer is None else int(np.asarray(optimizer.iterations))


def _samples() -> int:
    from tfgreen.compression.calibration import SAMPLES

    return SAMPLES


def _bits(
    technique: QuantizationAwareTraining, placed: Any, origins: Mapping[str, str]
) -> dict[str, int]:
    """The width of the weights of each layer of the rewritten model."""
    if isinstance(technique.weight_bits, int):
        return dict.fromkeys(origins, technique.weight_bits)
    by_path = assigned(technique.weight_bits, placed)
    return {name: by_path.get(path, (MOST_BITS, False))[0] for name, path in origins.items()}


def _left_out(technique: QuantizationAwareTraining, placed: Any) -> dict[str, str]:
    skipped = dict.fromkeys(selected(technique.skip, placed), "named in skip")
    if technique.only is not None:
        kept = selected(technique.only, placed)
        skipped |= {p.path: "not named in only" for p in placed if p.path not in kept}
    after = "quantized after training, from data"
    return {path: f"{reason}: {after}" for path, reason in skipped.items()}
