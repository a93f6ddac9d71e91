"""Golden vectors: what was fed to a file and what each kernel set answered, for replays."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfgreen.errors import InvalidDataError

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first moment: the same bytes on every day
_UNIX = 3
_REGULAR_FILE = 0o100644 << 16

_FLOAT, _FILE, _OUTPUT = "float_input", "input", "output"


@dataclass(frozen=True, eq=False)
class Golden:
    """The samples of a bundle: as the user has them, as the file takes them, and the answers.

    Attributes:
        inputs: input name → (n, *shape) as the float model takes them.
        file_inputs: one (n, *shape) array per graph input, in graph order and in the file's
            dtype: quantized already.
        outputs: kernel set → one (n, *shape) array per graph output, in the file's dtype.

    >>> golden = Golden(inputs={"x": np.zeros((2, 3), np.float32)})
    >>> sorted(Golden.from_bytes(golden.to_bytes()).inputs)
    ['x']
    """

    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    file_inputs: tuple[np.ndarray, ...] = ()
    outputs: Mapping[str, tuple[np.ndarray, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of samples."""
        arrays = [*self.file_inputs, *self.inputs.values()]
        return len(arrays[0]) if arrays else 0

    def to_bytes(self) -> bytes:
        """The arrays as a compressed `.npz`: the same arrays give the same bytes.

        Keys: `float_input/<name>`, `input/<index>`, `output/<kernel set>/<index>`.
        """
        arrays: dict[str, np.ndarray] = {f"{_FLOAT}/{n}": a for n, a in self.inputs.items()}
        arrays |= {f"{_FILE}/{index}": array for index, array in enumerate(self.file_inputs)}
        for kernel_set, outputs in self.outputs.items():
            arrays |= {f"{_OUTPUT}/{kernel_set}/{k}": array for k, array in enumerate(outputs)}
        return npz_bytes(arrays)

    @classmethod
    def from_bytes(cls, content: bytes) -> Golden:
        """The arrays of `to_bytes`; InvalidDataError if they are something else."""
        inputs: dict[str, np.ndarray] = {}
        file_inputs: dict[int, np.ndarray] = {}
        outputs: dict[str, dict[int, np.ndarray]] = {}
        for key, array in _read_npz(content).items():
            kind, _, rest = key.partition("/")
            kernel_set, _, index = rest.rpartition("/")
            if kind == _FLOAT:
                inputs[rest] = array
            elif kind == _FILE and rest.isdecimal():
                file_inputs[int(rest)] = array
            elif kind == _OUTPUT and index.isdecimal():
                outputs.setdefault(kernel_set, {})[int(index)] = array
            else:
                raise InvalidDataError(
                    f"The golden vectors hold an array '{key}'; expected float_input/<name>, "
                    "input/<index> and output/<kernel set>/<index>."
                )
        return cls(inputs, _in_order(file_inputs), {k: _in_order(v) for k, v in outputs.items()})


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A compressed `.npz` of `arrays` that carries no clock and no pickles."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for key, array in arrays.items():
            entry = zipfile.ZipInfo(f"{key}.npy", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = _UNIX, _REGULAR_FILE
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(entry, data.getvalue())
    return stream.getvalue()


def _read_npz(content: bytes) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays: dict[str, Any] = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidDataError(
            f"The golden vectors are no readable .npz file ({error}); expected an archive that "
            "tfgreen wrote. Export again."
        ) from error
    return arrays


def _in_order(arrays: Mapping[int, np.ndarray]) -> tuple[np.ndarray, ...]:
    if sorted(arrays) != list(range(len(arrays))):
        raise InvalidDataError(
            f"The golden vectors hold the arrays {sorted(arrays)}; expected 0 to "
            f"{len(arrays) - 1} without a gap."
        )
    return tuple(arrays[index] for index in range(len(arrays)))
