"""The certificate of a decoder: four gates over sequences, as data.

Its gates and checks are those of `tfgreen.verification.certificate`; what they hold is about
text: perplexity, greedy tokens with and without the cache, scores by position on each kernel set.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tfgreen.generative.schemes import Scheme
from tfgreen.records import Document, Record
from tfgreen.verification.certificate import GateResult, Judged

SCHEMA_VERSION: Literal[1] = 1


class PerplexityFacts(Record):
    """Perplexity of the float model and of the file on the same tokens.

    `change` is file / float - 1, between `low` and `high` with 95 % confidence (paired bootstrap
    over windows). `windows` of `context` tokens each.
    """

    float_model: float
    file: float
    change: float
    low: float
    high: float
    windows: int


class KernelSetAnswers(Record):
    """One kernel set on the same text.

    `perplexity` is on the windows that all sets ran. `largest_steps` holds, for each position, the
    largest difference of a score from the truth's; `differing_greedy_tokens` counts places where
    its greedy text would go on otherwise without its own cache. `null`: it did not run, as
    `message` tells.
    """

    role: Literal["truth", "compared"]
    perplexity: float | None
    largest_steps: tuple[float, ...] = ()
    differing_greedy_tokens: int | None = None
    message: str = ""


class SequenceCertificate(Judged, Document):
    """The verdict over one exported decoder.

    Attributes:
        verdict: `failed` if any gate failed.
        scheme: how its weights are stored.
        perplexity: `null` when there was no text to measure on.
        kernel_sets: the truth first.
        notes: what the numbers do not say.
        created_with: versions of the packages that computed all this.
    """

    title: ClassVar[str] = "certificate of a tfgreen decoder"
    remedy: ClassVar[str] = "Export again."

    schema_version: Literal[1] = SCHEMA_VERSION
    verdict: Literal["passed", "failed"]
    scheme: Scheme
    model_sha256: str
    file_bytes: int
    perplexity: PerplexityFacts
    kernel_sets: dict[str, KernelSetAnswers]
    gates: tuple[GateResult, GateResult, GateResult, GateResult]
    notes: tuple[str, ...] = ()
    created_with: dict[str, str]
