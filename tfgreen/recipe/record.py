"""`CompressionRecord`: what a recipe did to a model, stage by stage, as a bundle keeps it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from tfgreen.footprint.amounts import Amount, NotNegative
from tfgreen.footprint.reading import Method
from tfgreen.records import Document, Record

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Strategy = Literal["mirrored", "multiworker"]


class LayerSkipped(Record):
    """A layer that a technique left alone, and why."""

    technique: str
    layer: str
    kind: str
    reason: str


class Spent(Record):
    """What a stage took, all its restarts together.

    joules: with their bounds; method and source tell how they are known.
    """

    cpu_seconds: NotNegative
    wall_seconds: NotNegative
    joules: Amount
    method: Method
    source: str


class FloatFile(Record):
    """The float `.tflite` of a model: bytes plain and with gzip -9, numbers in constants,
    multiply-accumulates of a call, and the share of zeros among the weights."""

    file_bytes: int
    gzip_bytes: int
    parameters: int
    macs: int
    zero_share: float | None = None


class FileFigures(Record):
    """The `.tflite` that the model became after a stage.

    file_bytes, gzip_bytes: as it is, and compressed with gzip.
    metric: "accuracy" or "mean-absolute-error", with its value on the profile's truth kernel set
        and that of the float model it was made of; None where there were no labels to judge by.
    output: which one the metric is of, where several have labels.
    float_metrics: output → metric of the float model it was made of.
    float_file: of that model.
    """

    sha256: Sha256
    file_bytes: int
    gzip_bytes: int
    metric: str | None = None
    output: str | None = None
    value: float | None = None
    float_value: float | None = None
    float_metrics: dict[str, float] = Field(default_factory=dict)
    float_file: FloatFile | None = None


class StageRecord(Record):
    """One stage as it ran.

    techniques: in words, in the order in which they were prepared.
    optimizer: its name and learning rate, in words.
    history: metric → its value after each epoch; None where it was not finite.
    spent: None for a stage whose cached result came without its ledger.
    file: of the exported file; None where the model was not exported after this stage.
    notes: what the techniques told besides.
    model_sha256: of the weights and the architecture that the stage gave.
    """

    name: str
    techniques: tuple[str, ...]
    epochs: int
    batch_size: int
    optimizer: str
    history: dict[str, tuple[float | None, ...]] = Field(default_factory=dict)
    spent: Spent | None = None
    file: FileFigures | None = None
    skipped: tuple[LayerSkipped, ...] = ()
    notes: tuple[str, ...] = ()
    model_sha256: Sha256


class CompressionRecord(Document):
    """A whole run: `compression.json` of a bundle.

    recipe: as TOML. strategy: of `tf.distribute`; None for one device.
    data_sha256: of the training samples; None where they came as a pipeline, which has no hash.
    before: of the file that the model would have become as it came, for the same profile.
    stages: in the order of the recipe; none where it only quantizes after training.
    """

    title: ClassVar[str] = "record of a compression"
    remedy: ClassVar[str] = "Compress again."

    format: Literal["tfgreen-compression"] = "tfgreen-compression"
    schema_version: Literal[1] = 1
    recipe_name: str
    recipe: str
    seed: int
    strategy: Strategy | None = None
    model_sha256: Sha256
    data_sha256: Sha256 | None = None
    before: FileFigures | None = None
    stages: tuple[StageRecord, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
