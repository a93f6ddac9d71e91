"""A file whose constants are packed, beside the same file with plain ones.

Ops are judged one by one on the plain file: what unpacks weights is no arithmetic, and a runtime
that has no such op can still say what the others compute. End to end, every kernel set that can
unpack runs the file as it is shipped, and the truth runs both: the answers have to be the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tfgreen.encodings import DECODE, DENSIFY, is_packed, plain
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile
from tfgreen.verification.certificate import Check, CheckStatus, GateResult
from tfgreen.verification.labels import counted
from tfgreen.verification.oracle import ORACLE


@dataclass(frozen=True)
class Shipped:
    """Both forms of a file; one and the same where nothing is packed.

    Attributes:
        model: The file as it is shipped.
        plain: The same with plain constants.
    """

    model: TfliteModel
    plain: TfliteModel

    @classmethod
    def of(cls, content: bytes) -> Shipped:
        """Read a file. Raises InvalidModelError for one that is damaged."""
        model = TfliteModel.from_bytes(content)
        return cls(model, plain(model))

    @property
    def is_packed(self) -> bool:
        """Whether the two differ."""
        return self.model is not self.plain

    def runs_on(self, kernel_set: str) -> bool:
        """Whether a kernel set has the ops that unpack this file."""
        foreign = {"micro": {DENSIFY}, ORACLE: {DENSIFY, DECODE}}.get(kernel_set, {DECODE})
        return all(op.name not in foreign for op in self.model.ops)

    def content_for(self, kernel_set: str) -> bytes:
        """What a kernel set is given to run: the file as it is shipped, if it can unpack it."""
        return (self.model if self.runs_on(kernel_set) else self.plain).content

    def structure_checks(self, profile: ExportProfile) -> Iterator[Check]:
        """Whether the profile's runtime has the op that unpacks."""
        if not is_packed(self.model):
            return
        found = [op.name for op in self.model.ops if op.name in (DENSIFY, DECODE)]
        name = found[0].rpartition(":")[2]
        if name == DENSIFY:
            known = profile.kernel_sets.truth != "micro"
            known &= profile.ops is None or DENSIFY in profile.ops or "sparse" in profile.encodings
        else:
            known = bool({"lut", "decode"} & set(profile.encodings))
        text = f"{counted(len(found), 'op')} {name} unpack weights"
        text += "" if known else f", and the profile {profile.name} has no {name}"
        unpacked = len(self.plain.content)
        text += f"; with plain weights the file would take {unpacked:,} bytes."
        status = "passed" if known else "failed"
        yield Check.model_validate(
            {
                "gate": "structure", "name": "packed-weights", "status": status, "message": text,
                "measured": len(self.model.content), "limit": unpacked, "unit": "bytes",
            }
        )  # fmt: skip

    def with_unpacking(
        self,
        gate: GateResult,
        truth: str,
        packed: Sequence[np.ndarray] | None,
        unpacked: Sequence[np.ndarray] | None,
        *,
        is_replaced: bool = False,
        is_refused: bool = False,
    ) -> GateResult:
        """The kernels gate with one more check: the truth's answers to both forms of the file.

        packed, unpacked: One array per graph output, (calls, *tensor shape); None if the truth
            did not run that form.
        is_replaced: `packed` is what the NumPy interpreter answered in place of the truth.
        is_refused: The truth itself refused the packed form alone.
        """
        if not self.is_packed:
            return gate
        if is_refused:
            text = f"The truth '{truth}' runs the file with plain weights, not with packed ones."
            check = _check("failed", text, truth)
        elif is_replaced and not self.runs_on(ORACLE):
            text = f"'{ORACLE}', which stands in for '{truth}', cannot unpack the file's weights; "
            check = _check("warning", f"{text}it ran the file with plain ones.", truth)
        else:
            check = self._unpacking(truth, packed, unpacked)
        return GateResult.of("kernels", (*gate.checks, check))

    def _unpacking(
        self,
        truth: str,
        packed: Sequence[np.ndarray] | None,
        unpacked: Sequence[np.ndarray] | None,
    ) -> Check:
        status: CheckStatus = "failed"
        if not self.runs_on(truth):
            status = "warning"
            text = f"'{truth}' cannot unpack the file's weights; it ran the file with plain ones."
        elif packed is None or unpacked is None:
            text = f"The truth '{truth}' did not run the file with packed and with plain weights."
        else:
            calls = len(unpacked[0])
            pairs = zip(packed, unpacked, strict=True)
            same = all(ours[:calls].tobytes() == theirs.tobytes() for ours, theirs in pairs)
            status = "passed" if same else "failed"
            text = f"With packed and with plain weights, '{truth}' answers "
            text += "bit for bit the same" if same else "differently"
            text += f" to {counted(calls, 'call')}."
        return _check(status, text, truth)

    def notes(self, kernel_sets: Sequence[str]) -> Iterator[str]:
        """What was run in place of the file as it is shipped."""
        if not self.is_packed:
            return
        yield "Every op was judged on the file with plain weights; what unpacks them, end to end."
        others = [name for name in kernel_sets if not self.runs_on(name)]
        if others:
            yield (
                f"{' and '.join(others)} have no op that unpacks the weights and ran the same "
                "file with plain ones."
            )


def _check(status: CheckStatus, message: str, truth: str) -> Check:
    return Check(
        gate="kernels", name="packed-weights", status=status, message=message, kernel_set=truth
    )
