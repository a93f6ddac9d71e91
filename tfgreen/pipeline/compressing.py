"""`compress`: a model goes through the stages of a recipe, and each is done once only.

A result is kept under a hash of all that it depends on: the model, the stage, the data, the seed,
the versions. A second run reuses what did not change, a run that was killed goes on with the epoch
it was in, and the same seed and arrays give the same bytes, interrupted or not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tfgreen import writing
from tfgreen.bundle import Bundle, check_output
from tfgreen.data import read_samples
from tfgreen.errors import UnknownNameError, UsageError
from tfgreen.footprint.ledger import Ledger
from tfgreen.given_samples import CALIBRATION_LIMIT, read_evaluation
from tfgreen.manifest import sha256
from tfgreen.models.loading import load_model
from tfgreen.pipeline.export_options import SAMPLES, ExportOptions, OnProgress
from tfgreen.pipeline.given_model import GivenModel
from tfgreen.pipeline.occupied import occupied
from tfgreen.pipeline.results import StageResult, figures_of, with_figures
from tfgreen.pipeline.run import Run, Step
from tfgreen.pipeline.store import open_store
from tfgreen.pipeline.strategies import devices_for
from tfgreen.pipeline.training_data import TrainingData, is_pipeline, refuse_unfit
from tfgreen.profile import DEFAULT_PROFILE, ExportProfile, load_profile
from tfgreen.recipe import Recipe, load_recipe
from tfgreen.recipe.record import CompressionRecord
from tfgreen.reporting.progress import live_progress
from tfgreen.stack import stack_versions
from tfgreen.tflite import ConversionOptions

_KERAS = (".keras", ".h5")


@dataclass(frozen=True, repr=False)
class Compression:
    """What `compress` gives back.

    Attributes:
        record: of every stage the techniques, the curves, what it took, and its exported file.
        bundle: the exported file with its certificate; it holds `record` and the ledger.
        suffix, content: the trained model's file: ".keras", or ".h5" after quantization-aware
            training.
        ledger: what all stages took, with those of earlier runs that were reused.
        steps: the nodes of the run, and which were reused.
    """

    record: CompressionRecord
    bundle: Bundle
    suffix: str
    content: bytes
    ledger: Ledger
    steps: tuple[Step, ...]
    custom_objects: str | None = None
    allow_unsafe: bool = False

    def __repr__(self) -> str:
        return f"Compression({self.record.recipe_name}, {self.bundle!r})"

    @cached_property
    def model(self) -> Any:
        """The trained model, uncompiled: of Keras 3, or tf_keras after quantization-aware training.

        `tg.export` takes it.
        """
        with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
            path = Path(folder) / f"model{self.suffix}"
            path.write_bytes(self.content)
            return load_model(path, self.custom_objects, self.allow_unsafe)

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the bundle (a folder, or a .tflite file), or the model (.keras, .h5).

        Raises:
            UsageError: .keras after quantization-aware training, or .h5 without it.
            OutputExistsError, OutputError: as `Bundle.save`.
        """
        place = Path(path)
        if place.suffix not in _KERAS:
            return self.bundle.save(path, force=force)
        _refuse_other_suffix(place, self.suffix)
        writing.write_files({place: self.content}, force=force)
        return place


def compress(
    model: Any,
    recipe: str | Path | Recipe,
    train: Any,
    *,
    validation_data: Any = None,
    teachers: Mapping[str, Any] | None = None,
    profile: str | Path | ExportProfile = DEFAULT_PROFILE,
    calibration: Any = None,
    seed: int = 0,
    cache: str | Path | None = None,
    data_version: str | None = None,
    strategy: str | None = None,
    custom_objects: str | None = None,
    allow_unsafe: bool = False,
    samples: int = SAMPLES,
    on_progress: OnProgress | None = None,
    tell: Callable[[str], None] | None = None,
) -> Compression:
    """Train a model through the stages of a recipe, and export it after each of them.

    Args:
        model: a built Keras model (Keras 3 or tf_keras), Sequential or functional, a path to one,
            or "module:function". It stays as it is.
        recipe: a ready one's name (`tfgreen recipes`), a path, or a `tg.Recipe`.
        train: labelled samples: `(x, y)`, a dict of arrays, a path to .npz, "module:function"; or
            a `tf.data.Dataset` of batches, which is used as it is.
        validation_data: held-back samples of the same kinds. They give the curves of every epoch
            and the metric of every exported file, and influence neither.
        teachers: name → model or path, for the distillations of the recipe.
        profile: the target that files are exported for.
        calibration: samples for the ranges; by default some hundred of `train`, evenly spaced.
        seed: with the same seed and arrays the same bytes come out.
        cache: the folder of results to reuse; the user's cache folder by default.
        data_version: a text that stands for a pipeline's contents, which cannot be hashed.
            Without it the stages of a pipeline are neither reused nor resumed.
        strategy: "mirrored" or "multiworker", of `tf.distribute`.
        custom_objects: module that defines the model's own classes. allow_unsafe: load a model
            that carries code.
        samples: how many samples the gates run.
        on_progress: called with (step, done, of). tell: called with what happened to the cache.

    Raises:
        TfgreenError: whatever went wrong, in one sentence. A gate that fails raises nothing: see
            `result.bundle.certificate`.
    """
    with live_progress() as shown, tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        run = open_run(
            model, recipe, train, validation_data, teachers, profile, calibration,
            seed=seed, cache=cache, data_version=data_version, strategy=strategy,
            custom_objects=custom_objects, allow_unsafe=allow_unsafe, samples=samples,
            on_progress=on_progress or shown, tell=tell, fallback=Path(folder),
        )  # fmt: skip
        return run_recipe(run)


def compress_to(
    output: str | Path, model: Any, recipe: str | Path | Recipe, train: Any, *,
    force: bool = False, **options: Any,
) -> Compression:  # fmt: skip
    """`compress`, and write the result; one run at a time on one output.

    Raises:
        OutputError: another run works on the output, or the disk refuses.
        OutputExistsError: something is there that may not be replaced.
    """
    if Path(output).suffix in _KERAS:
        if load_recipe(recipe).quantizes_in_training:
            _refuse_other_suffix(Path(output), ".h5")  # now, and not after hours of training
        writing.check_writable(Path(output))
        writing.refuse_existing(Path(output), force=force)
    else:
        check_output(output, force=force)
    if not devices_for(options.get("strategy")).is_chief:
        return compress(model, recipe, train, **options)
    with occupied(Path(output)):
        result = compress(model, recipe, train, **options)
        result.save(output, force=force)
    return result


def open_run(
    model: Any, recipe: Any, train: Any, validation_data: Any, teachers: Mapping[str, Any] | None,
    profile: Any, calibration: Any, *, seed: int, cache: Any, data_version: str | None,
    strategy: str | None, custom_objects: str | None, allow_unsafe: bool, samples: int,
    on_progress: OnProgress, tell: Callable[[str], None] | None, fallback: Path,
    writes: bool = True,
) -> Run:  # fmt: skip
    """Read and check all that a run needs; nothing is trained yet.

    writes: whether results are kept, and damaged ones thrown away.
    """
    devices_for(strategy)  # workers have to meet before anything else uses TensorFlow
    chosen, rules = load_recipe(recipe), load_profile(profile)
    _refuse_unknown_teachers(chosen, teachers or {})
    origin = GivenModel(model, custom_objects, allow_unsafe)
    origin.refuse_unfit(is_trained=bool(chosen.stages))
    for name in chosen.teachers:
        teacher = GivenModel((teachers or {}).get(name, name), custom_objects, allow_unsafe)
        teacher.refuse_unfit(is_trained=False)
    inputs, outputs = origin.signature
    for source in filter(is_pipeline, (train, validation_data)):
        refuse_unfit(source)
    store = open_store(cache, fallback, tell or (lambda text: None), is_read_only=not writes)
    on_progress("reading the data", 0, 0)
    given = None if is_pipeline(train) else read_samples(train, inputs=inputs, outputs=outputs)
    held = None
    if validation_data is not None:
        held = read_evaluation(validation_data, inputs, outputs, samples)
    ranges = calibration if calibration is not None else (given if given is not None else train)
    ranges = read_samples(ranges, inputs=inputs, outputs=outputs, limit=CALIBRATION_LIMIT)
    version = None if data_version is None else sha256(data_version.encode())
    data_sha256 = version if given is None else given.sha256()
    validation = validation_data if is_pipeline(validation_data) else held
    conversion = ConversionOptions(custom_objects=custom_objects, allow_unsafe=allow_unsafe)
    return Run(
        model=origin,
        recipe=chosen,
        data=TrainingData(given, train if given is None else None, validation),
        data_sha256=data_sha256,
        profile=rules,
        calibration=ranges,
        evaluation=held,
        teachers=dict(teachers or {}),
        seed=seed,
        strategy=strategy,
        store=store,
        options=ExportOptions(samples=samples, conversion=conversion),
        on_progress=on_progress,
    )


def run_recipe(run: Run) -> Compression:
    """Every stage with its export, and the record of them all."""
    results: list[StageResult] = []
    suffix, content = run.model.file
    bundle = run.exported("as it came", suffix, content)
    before = figures_of(bundle)
    ledger = Ledger()
    for number in range(len(run.recipe.stages)):
        result = run.stage(number, results[-1] if results else None)
        suffix, content = result.suffix, result.content
        bundle = run.exported(result.record.name, suffix, content)
        results.append(with_figures(result, bundle))
        ledger.add(result.ledger)
    if bundle.ledger is not None:
        ledger.add(bundle.ledger)
    record = CompressionRecord(
        recipe_name=run.recipe.name,
        recipe=run.recipe.to_toml(),
        seed=run.seed,
        strategy=run.strategy,  # type: ignore[arg-type]
        model_sha256=run.model.sha256,
        data_sha256=run.data_sha256,
        before=before,
        stages=tuple(result.record for result in results),
        versions=stack_versions(),
    )
    return Compression(
        record=record,
        bundle=replace(bundle, compression=record, ledger=ledger.document),
        suffix=suffix,
        content=content,
        ledger=ledger,
        steps=tuple(run.steps),
        custom_objects=run.model.custom_objects,
        allow_unsafe=run.model.allow_unsafe,
    )


def _refuse_other_suffix(place: Path, suffix: str) -> None:
    if place.suffix != suffix:
        raise UsageError(
            f"The model is kept as {suffix}, and the output is {place.name}. Choose a "
            f"name that ends in {suffix}, or a folder for the bundle."
        )


def _refuse_unknown_teachers(recipe: Recipe, teachers: Mapping[str, Any]) -> None:
    for name in recipe.teachers:
        if name not in teachers and not Path(name).exists():
            if not teachers:
                raise UsageError(
                    f"The recipe '{recipe.name}' has a teacher '{name}', and none was given; "
                    f"expected its model: --teacher {name}=MODEL, or in Python "
                    f"teachers={{'{name}': model}}."
                )
            raise UnknownNameError("teacher", name, teachers)
    for name in teachers:
        if not recipe.teachers:
            raise UsageError(
                f"Received the teacher '{name}', and the recipe '{recipe.name}' has none. Leave it "
                "out, or take a recipe with a distillation."
            )
        if name not in recipe.teachers:
            raise UnknownNameError("teacher of this recipe", name, recipe.teachers)
