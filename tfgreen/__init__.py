"""Green model compression and edge export for Keras.

    import tfgreen as tg
    tg.export(model, x_train[:200]).save("kws.tflite")

Names are loaded when they are first used: `import tfgreen` loads neither TensorFlow nor NumPy.
What is done inside is told to the logger "tfgreen" (child processes at INFO, single steps at
DEBUG), which is silent until a program gives it a handler and a level.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfgreen.accounting.record import FootprintReport
    from tfgreen.accounting.report import report
    from tfgreen.accounting.subjects import Device
    from tfgreen.benchmarking.latency import benchmark
    from tfgreen.benchmarking.record import Benchmark
    from tfgreen.bundle import Bundle
    from tfgreen.comparison.record import Comparison
    from tfgreen.comparison.widths import compare
    from tfgreen.compression.clustering.clustering import Clustering
    from tfgreen.compression.distillation.distillation import Distillation
    from tfgreen.compression.distillation.distiller import Distiller
    from tfgreen.compression.distillation.teacher_cache import TeacherCache
    from tfgreen.compression.distillation.teachers import MovingAverage
    from tfgreen.compression.folding import fold_batch_normalization
    from tfgreen.compression.lora import merge_lora, with_lora
    from tfgreen.compression.pruning.iterative import prune_iteratively
    from tfgreen.compression.pruning.one_shot import prune
    from tfgreen.compression.pruning.pruning import Pruning
    from tfgreen.compression.pruning.report import pruning_report
    from tfgreen.compression.pruning.sensitivity import sensitivity_scan
    from tfgreen.compression.quantization.quantization import QuantizationAwareTraining
    from tfgreen.endurance import robustness
    from tfgreen.errors import (
        ConversionError,
        GateError,
        IntegrityError,
        InvalidDataError,
        InvalidModelError,
        InvalidProfileError,
        InvalidRecipeError,
        KernelSetError,
        MissingDependencyError,
        MissingPathError,
        OutputError,
        OutputExistsError,
        RemoteHostError,
        TfgreenError,
        UnknownNameError,
        UnsafeModelError,
        UnsupportedModelError,
        UsageError,
    )
    from tfgreen.examination import bit_sensitivity, diagnose
    from tfgreen.footprint.callback import MeterCallback
    from tfgreen.footprint.ledger import Ledger
    from tfgreen.footprint.meter import Meter
    from tfgreen.generative.decoder_bundle import DecoderBundle
    from tfgreen.generative.export import export_decoder
    from tfgreen.generative.generation import generate
    from tfgreen.generative.network import (
        CausalSelfAttention,
        EncoderSelfAttention,
        build_decoder,
        build_encoder,
    )
    from tfgreen.generative.slicing import SlicedDecoder, slice_decoder
    from tfgreen.generative.tokenizers import ByteTokenizer, CharacterTokenizer
    from tfgreen.inspection import inspect
    from tfgreen.mending import repair
    from tfgreen.models.bridge import register_twin
    from tfgreen.models.loading import load_model
    from tfgreen.pipeline import Compression, compress, export
    from tfgreen.profile import ExportProfile, list_profiles, load_profile
    from tfgreen.recheck import verify
    from tfgreen.recipe import Recipe, Stage, list_recipes, load_recipe
    from tfgreen.training.budget import Budget
    from tfgreen.training.fitting import fit
    from tfgreen.training.result import FitResult
    from tfgreen.verification.certificate import Certificate
    from tfgreen.verification.diagnosis.record import Diagnosis
    from tfgreen.verification.robustness.record import Robustness

    __version__: str

__all__ = [
    "Benchmark",
    "Budget",
    "Bundle",
    "ByteTokenizer",
    "CausalSelfAttention",
    "Certificate",
    "CharacterTokenizer",
    "Clustering",
    "Comparison",
    "Compression",
    "ConversionError",
    "DecoderBundle",
    "Device",
    "Diagnosis",
    "Distillation",
    "Distiller",
    "EncoderSelfAttention",
    "ExportProfile",
    "FitResult",
    "FootprintReport",
    "GateError",
    "IntegrityError",
    "InvalidDataError",
    "InvalidModelError",
    "InvalidProfileError",
    "InvalidRecipeError",
    "KernelSetError",
    "Ledger",
    "Meter",
    "MeterCallback",
    "MissingDependencyError",
    "MissingPathError",
    "MovingAverage",
    "OutputError",
    "OutputExistsError",
    "Pruning",
    "QuantizationAwareTraining",
    "Recipe",
    "RemoteHostError",
    "Robustness",
    "SlicedDecoder",
    "Stage",
    "TeacherCache",
    "TfgreenError",
    "UnknownNameError",
    "UnsafeModelError",
    "UnsupportedModelError",
    "UsageError",
    "__version__",
    "benchmark",
    "bit_sensitivity",
    "build_decoder",
    "build_encoder",
    "compare",
    "compress",
    "diagnose",
    "export",
    "export_decoder",
    "fit",
    "fold_batch_normalization",
    "generate",
    "inspect",
    "list_profiles",
    "list_recipes",
    "load_model",
    "load_profile",
    "load_recipe",
    "merge_lora",
    "prune",
    "prune_iteratively",
    "pruning_report",
    "register_twin",
    "repair",
    "report",
    "robustness",
    "sensitivity_scan",
    "slice_decoder",
    "verify",
    "with_lora",
]

_MODULES = {
    "Benchmark": "tfgreen.benchmarking.record",
    "benchmark": "tfgreen.benchmarking.latency",
    "bit_sensitivity": "tfgreen.examination",
    "build_decoder": "tfgreen.generative.network",
    "build_encoder": "tfgreen.generative.network",
    "Budget": "tfgreen.training.budget",
    "Bundle": "tfgreen.bundle",
    "ByteTokenizer": "tfgreen.generative.tokenizers",
    "CausalSelfAttention": "tfgreen.generative.network",
    "Certificate": "tfgreen.verification.certificate",
    "CharacterTokenizer": "tfgreen.generative.tokenizers",
    "Clustering": "tfgreen.compression.clustering.clustering",
    "compare": "tfgreen.comparison.widths",
    "Comparison": "tfgreen.comparison.record",
    "compress": "tfgreen.pipeline",
    "Compression": "tfgreen.pipeline",
    "DecoderBundle": "tfgreen.generative.decoder_bundle",
    "Device": "tfgreen.accounting.subjects",
    "diagnose": "tfgreen.examination",
    "Diagnosis": "tfgreen.verification.diagnosis.record",
    "Distillation": "tfgreen.compression.distillation.distillation",
    "Distiller": "tfgreen.compression.distillation.distiller",
    "EncoderSelfAttention": "tfgreen.generative.network",
    "export": "tfgreen.pipeline",
    "export_decoder": "tfgreen.generative.export",
    "ExportProfile": "tfgreen.profile",
    "fit": "tfgreen.training.fitting",
    "FitResult": "tfgreen.training.result",
    "fold_batch_normalization": "tfgreen.compression.folding",
    "FootprintReport": "tfgreen.accounting.record",
    "generate": "tfgreen.generative.generation",
    "inspect": "tfgreen.inspection",
    "Ledger": "tfgreen.footprint.ledger",
    "list_profiles": "tfgreen.profile",
    "list_recipes": "tfgreen.recipe",
    "load_model": "tfgreen.models.loading",
    "load_profile": "tfgreen.profile",
    "load_recipe": "tfgreen.recipe",
    "merge_lora": "tfgreen.compression.lora",
    "Meter": "tfgreen.footprint.meter",
    "MeterCallback": "tfgreen.footprint.callback",
    "MovingAverage": "tfgreen.compression.distillation.teachers",
    "prune": "tfgreen.compression.pruning.one_shot",
    "prune_iteratively": "tfgreen.compression.pruning.iterative",
    "Pruning": "tfgreen.compression.pruning.pruning",
    "pruning_report": "tfgreen.compression.pruning.report",
    "QuantizationAwareTraining": "tfgreen.compression.quantization.quantization",
    "Recipe": "tfgreen.recipe",
    "register_twin": "tfgreen.models.bridge",
    "repair": "tfgreen.mending",
    "report": "tfgreen.accounting.report",
    "Robustness": "tfgreen.verification.robustness.record",
    "robustness": "tfgreen.endurance",
    "sensitivity_scan": "tfgreen.compression.pruning.sensitivity",
    "slice_decoder": "tfgreen.generative.slicing",
    "SlicedDecoder": "tfgreen.generative.slicing",
    "Stage": "tfgreen.recipe",
    "TeacherCache": "tfgreen.compression.distillation.teacher_cache",
    "verify": "tfgreen.recheck",
    "with_lora": "tfgreen.compression.lora",
}

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """Load a public name on first use and keep it."""
    if name not in __all__:
        raise AttributeError(f"module 'tfgreen' has no attribute '{name}'")
    if name == "__version__":
        from tfgreen.stack import tfgreen_version

        value: Any = tfgreen_version()
    else:
        value = getattr(importlib.import_module(_MODULES.get(name, "tfgreen.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
