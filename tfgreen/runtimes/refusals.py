"""What a runtime's error messages mean: no kernel for an op, or something else."""

from __future__ import annotations

import re

from tfgreen.runtimes.protocol import RefusedModelError, UnregisteredOpError

_MISSING_BUILTIN = re.compile(r"Didn't find op for builtin opcode '(\w+)'(?: version '(\d+)')?")
_MISSING_CUSTOM = re.compile(r"unresolved custom op: (\S+?)\.(?:\s|$)")
_NEEDS_FLEX = re.compile(r"(?:Select|Regular) TensorFlow op.*?Node number \d+ \((\w+)\)", re.S)
_FAILED_NODE = re.compile(r"Node number \d+ \((\w+)\) failed|Node (\w+) \(number \d+\) failed")
_UNSUPPORTED_TYPE = re.compile(
    r"\btype\b[^.]{0,60}(?:not (?:currently )?supported|unsupported)"
    r"|unsupported[^.]{0,40}\btype\b"
    r"|\bare supported[^.]{0,30}\bgot\b",
    re.I,
)


def refusal(kernel_set: str, message: str) -> UnregisteredOpError | RefusedModelError:
    """The exception that a runtime's message stands for, worded for people.

    >>> refusal("micro", "Didn't find op for builtin opcode 'GELU'")
    UnregisteredOpError('The micro kernels have no GELU.')
    """
    if found := _MISSING_BUILTIN.search(message):
        name, version = found.groups()
        which = f"{name} version {version}" if version else name
        return UnregisteredOpError(f"The {kernel_set} kernels have no {which}.")
    if found := _MISSING_CUSTOM.search(message):
        return UnregisteredOpError(f"The {kernel_set} kernels have no custom op {found[1]}.")
    if found := _NEEDS_FLEX.search(message):
        return UnregisteredOpError(
            f"The {kernel_set} kernels have no {found[1]}: it is a TensorFlow op, which needs the "
            "Flex delegate."
        )
    line = one_line(message)
    if _UNSUPPORTED_TYPE.search(message):
        node = _FAILED_NODE.search(message)
        name = next(filter(None, node.groups())) if node else "op"
        return UnregisteredOpError(
            f"The {kernel_set} kernels have no {name} for these types ({line})."
        )
    return RefusedModelError(f"The {kernel_set} kernels refused the model ({line}).")


def one_line(message: str, limit: int = 400) -> str:
    """A runtime's message without line ends, cut to `limit` characters.

    >>> one_line("Node 3 failed.\\nRegistration failed.\\n")
    'Node 3 failed. Registration failed.'
    """
    words = " ".join(message.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"
