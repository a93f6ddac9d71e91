"""`BundleReport`: everything that the page of a bundle shows, as data.

`report.json` is this record; `report.html` and `report.md` are made from it and from nothing else.
It holds no clock and no path of the machine, so that a bundle saved twice has the same bytes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tfgreen.footprint.amounts import Amount, NotNegative
from tfgreen.footprint.reading import Method
from tfgreen.recipe.record import CompressionRecord
from tfgreen.records import Document, Record
from tfgreen.verification.answer_changes import AnswerChanges
from tfgreen.verification.certificate import (
    CheckStatus,
    Gate,
    GateStatus,
    KernelSetFacts,
    KernelStatus,
    SampleFacts,
)

SCHEMA_VERSION: Literal[1] = 1

Unit = Literal[
    "share",
    "error",
    "dB",
    "ratio",
    "bytes",
    "count",
    "seconds",
    "joules",
    "grams",
    "money",
]


class Value(Record):
    """A number with its bounds, which are equal to it where nobody told any."""

    typical: float
    low: float
    high: float

    @classmethod
    def exactly(cls, number: float) -> Value:
        """One number without bounds of its own."""
        return cls(typical=number, low=number, high=number)

    @classmethod
    def of(cls, amount: Amount) -> Value:
        """An amount of the footprint."""
        return cls(typical=amount.typical, low=amount.low, high=amount.high)

    @property
    def is_exact(self) -> bool:
        """Whether there are no bounds."""
        return self.low == self.typical == self.high


class Figure(Record):
    """One row of the table before and after.

    before: of the float model (or of the file that costs are compared with); after: of the file
    that is shipped. None where nobody told. better: which way is a gain. how: how it is known;
    limit: what it may take at most, or has to reach. ratio: of after to before, where it is known
    better than the two, as that of energies at equal watts.
    """

    key: str
    label: str
    unit: Unit
    before: Value | None = None
    after: Value | None = None
    better: Literal["more", "less"]
    how: str = ""
    limit: float | None = None
    ratio: Value | None = None


class CheckLine(Record):
    """A check of a gate that is worth telling."""

    gate: Gate
    status: CheckStatus
    message: str


class GateLine(Record):
    """A gate with the number of its checks by status."""

    gate: Gate
    status: GateStatus
    checks: dict[CheckStatus, int]


class KernelCell(Record):
    """One op on one kernel set; `max_quanta` is None where nothing was compared."""

    status: KernelStatus
    max_quanta: float | None = None
    message: str = ""


class LayerLine(Record):
    """One op of the file and the tensor that it writes.

    layer: of Keras, as far as the names in the file tell.
    sqnr_db, ideal_sqnr_db: None where the float model has no such tensor, or where there was no
        error at all (`is_exact`).
    range_low, range_high: real numbers that the tensor can hold; None for floats.
    lowest_share, highest_share, clipped_share, headroom_bits: as the certificate has them.
    weights, zero_share: how many weights the op has, and the share of exact zeros among them;
        None without weights.
    """

    index: int
    op: str
    tensor: str
    layer: str | None
    dtype: str
    shape: tuple[int, ...]
    macs: int
    weights: int
    zero_share: float | None
    stored_bytes: int
    is_compared: bool = False
    is_exact: bool = False
    sqnr_db: float | None = None
    ideal_sqnr_db: float | None = None
    range_low: float | None = None
    range_high: float | None = None
    lowest_share: float | None = None
    highest_share: float | None = None
    clipped_share: float | None = None
    headroom_bits: float | None = None
    kernels: dict[str, KernelCell] = {}

    @property
    def name(self) -> str:
        """What people call it: the layer, else the tensor."""
        return self.layer or self.tensor


class Culprit(Record):
    """The first layer that alone adds half of the most noise on the way to the answer.

    sqnr_db: of what it gives; fed_sqnr_db: of what it was fed, None for the file's input.
    """

    index: int
    name: str
    op: str
    sqnr_db: float
    fed_sqnr_db: float | None
    message: str


class StageCost(Record):
    """One stage of the ledger."""

    stage: str
    joules: Value
    method: Method
    sources: tuple[str, ...]
    cpu_seconds: NotNegative
    wall_seconds: NotNegative


class RuntimeCost(Record):
    """What `tfgreen report` measured or was told of an inference on one runtime.

    latency: seconds of one inference, quartiles around the median. joules, grams: of 1,000
    inferences. The same with `before_`: of the baseline. ratio: of the two costs.
    """

    where: str
    method: Method
    how: str
    latency: Value | None = None
    joules: Value
    grams: Value | None = None
    money_per_million: Value | None = None
    before_latency: Value | None = None
    before_joules: Value | None = None
    before_grams: Value | None = None
    ratio: Value | None = None
    baseline: str | None = None
    break_even: str | None = None


class CostAccount(Record):
    """The footprint of a file, as `tfgreen report` gives it. absent: why figures are missing."""

    runtimes: tuple[RuntimeCost, ...]
    absent: tuple[str, ...] = ()
    claims: tuple[str, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


class DataLine(Record):
    """Samples that made or judged the file. origin: "random" for made-up ones."""

    role: Literal["calibration", "evaluation"]
    source: str | None
    sha256: str | None
    count: int | None
    origin: Literal["given", "random"] = "given"


class Finding(Record):
    """What the audit of the data found odd."""

    severity: Literal["error", "warning"]
    code: str
    message: str


class Skipped(Record):
    """What was not done or not measured, and why."""

    what: str
    why: str


class Reproduction(Record):
    """The commands that make and check the bundle again, and with what."""

    commands: tuple[str, ...]
    versions: dict[str, str]
    model_sha256: str | None
    file_sha256: str


class BundleReport(Document):
    """The page of one bundle.

    name: of the model, or of the bundle where the page is rebuilt. sentence: the verdict in words.
    figures: before and after, the most asked first. answers: which classes lost.
    """

    title: ClassVar[str] = "report of a tfgreen bundle"
    remedy: ClassVar[str] = "Rebuild it with `tfgreen report BUNDLE --html FILE`."

    format: Literal["tfgreen-report"] = "tfgreen-report"
    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    profile: str
    summary: str
    target: str
    verdict: Literal["passed", "failed"]
    sentence: str
    truth: str
    gates: tuple[GateLine, ...]
    failures: tuple[CheckLine, ...]
    warnings: tuple[CheckLine, ...]
    figures: tuple[Figure, ...]
    layers: tuple[LayerLine, ...]
    culprit: Culprit | None
    answers: tuple[AnswerChanges, ...] = ()
    labels: tuple[str, ...] | None = None
    kernel_sets: dict[str, KernelSetFacts]
    samples: SampleFacts
    compression: CompressionRecord | None = None
    spent: tuple[StageCost, ...] = ()
    spent_total: StageCost | None = None
    cost: CostAccount | None = None
    data: tuple[DataLine, ...] = ()
    findings: tuple[Finding, ...] = ()
    made: dict[str, str] = {}
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    reproduction: Reproduction
