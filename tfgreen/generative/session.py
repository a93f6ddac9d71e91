"""One sequence in progress on an exported decoder: LiteRT, the cache, and how far it is filled.

LiteRT runs in this process: a stream of tokens has no use for a process in between. What judges
files that nobody trusts yet (`certification`) puts sessions into children.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfgreen.errors import InvalidDataError, InvalidModelError, KernelSetError
from tfgreen.flatbuffer import TfliteModel, with_outputs
from tfgreen.generative.layout import (
    CACHE,
    DECODE,
    LOGITS,
    POSITIONS,
    PREFILL,
    SCORE,
    TOKENS,
)

_RESOLVERS = {
    "reference": "BUILTIN_REF",
    "optimized": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "xnnpack": "BUILTIN",
}
KERNEL_SETS = tuple(_RESOLVERS)


class Session:
    """A loaded decoder with one sequence.

    Attributes:
        context: Tokens that the cache holds.
        vocabulary: Scores of each step.
        position: Tokens written so far.
        prefill_lengths: How many tokens one call may write, ascending.
        keeps_state: The cache lives in the file's own variables.

    Raises:
        InvalidModelError: the file has no `decode` signature, so it is no decoder.
        KernelSetError: the kernel set cannot run it.
    """

    def __init__(self, content: bytes, *, kernel_set: str = "xnnpack", threads: int = 1) -> None:
        from ai_edge_litert import interpreter as litert

        try:
            self._interpreter: Any = litert.Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_op_resolver_type=litert.OpResolverType[_RESOLVERS[kernel_set]],
            )
            signatures = self._interpreter.get_signature_list()
            _refuse_others(signatures)
            given, told = self._details(DECODE)
            _refuse_later_steps(given, self._interpreter.get_input_details())
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            if isinstance(error, InvalidModelError):
                raise
            raise KernelSetError(f"The {kernel_set} kernels cannot run it: {error}") from error
        self._given = {name: detail["index"] for name, detail in given.items()}
        self._told = {name: detail["index"] for name, detail in told.items()}
        self._caches = [name for name in given if name.startswith(CACHE)]
        for name in self._caches:
            self._give(name, np.zeros(given[name]["shape"], given[name]["dtype"]))
        self.keeps_state = not self._caches
        self.vocabulary = int(told[LOGITS]["shape"][-1])
        self.context = int(self._details(SCORE)[0][TOKENS]["shape"][-1])
        self.prefill_lengths = sorted(
            int(name.removeprefix(PREFILL)) for name in signatures if name.startswith(PREFILL)
        )
        self.position = 0

    def reset(self) -> None:
        """Begin another sequence. What is in the cache is masked until it is written over."""
        self.position = 0

    def prefill(self, tokens: Sequence[int]) -> None:
        """Write tokens into the cache, in as few calls as the file's signatures allow.

        Raises InvalidDataError for a token out of range and for more than the cache holds.
        """
        self._refuse(tokens)
        left = list(tokens)
        while left:
            length = self._call_length(len(left))
            now, left = left[:length], left[length:]
            if length == 1:
                self._step(now[0])
            else:
                self._write(f"{PREFILL}{length}", now, length)

    def decode(self, token: int) -> np.ndarray:
        """Write one token; the scores of the next, float32 (vocabulary,).

        Raises InvalidDataError as `prefill` does.
        """
        self._refuse([token])
        self._step(token)
        return self._interpreter.get_tensor(self._told[LOGITS])[0, 0]  # type: ignore[no-any-return]

    def score(self, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
        """Scores after each of at most `context` tokens, float32 (n, vocabulary), uncached.

        The sequence in progress does not notice. Raises InvalidDataError for a token out of range
        and for more than `context` of them.
        """
        refuse_tokens(tokens, self.vocabulary)
        if len(tokens) > self.context:
            raise InvalidDataError(
                f"Received {len(tokens):,} tokens to score; the file scores up to "
                f"{self.context:,} at once. Give fewer."
            )
        window = np.zeros((1, self.context), np.int32)
        window[0, : len(tokens)] = tokens
        places = np.arange(self.context, dtype=np.int32)
        told = self._call(SCORE, {TOKENS: window, POSITIONS: places})
        return told[LOGITS][0, : len(tokens)]

    def _call_length(self, wanted: int) -> int:
        """The longest signature that is filled; else the shortest that has room; else decode."""
        filled = [length for length in self.prefill_lengths if length <= wanted]
        if filled and 2 * filled[-1] > wanted:
            return filled[-1]
        roomy = [length for length in self.prefill_lengths if length >= wanted]
        if wanted > 1 and roomy and self.position + roomy[0] <= self.context:
            return roomy[0]
        return filled[-1] if filled else 1

    def _step(self, token: int) -> None:
        """The primary subgraph: no call of a runner, which would allocate everything again."""
        self._give(TOKENS, np.array([[token]], np.int32))
        self._give(POSITIONS, np.array([self.position], np.int32))
        self._interpreter.invoke()
        for name in self._caches:
            self._give(name, self._interpreter.tensor(self._told[name])())
        self.position += 1

    def _write(self, signature: str, tokens: Sequence[int], length: int) -> None:
        padded = np.zeros((1, length), np.int32)
        padded[0, : len(tokens)] = tokens
        places = np.arange(self.position, self.position + length, dtype=np.int32)
        caches = {name: self._interpreter.get_tensor(self._given[name]) for name in self._caches}
        told = self._call(signature, {TOKENS: padded, POSITIONS: places, **caches})
        for name in self._caches:
            self._give(name, told[name])
        self.position += len(tokens)

    def _give(self, name: str, value: np.ndarray) -> None:
        self._interpreter.set_tensor(self._given[name], value)

    def _call(self, signature: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a signature; a runner that were kept would forbid to invoke the interpreter."""
        return self._interpreter.get_signature_runner(signature)(**given)  # type: ignore[no-any-return]

    def _details(self, signature: str) -> tuple[dict[str, Any], dict[str, Any]]:
        runner = self._interpreter.get_signature_runner(signature)
        return runner.get_input_details(), runner.get_output_details()

    def _refuse(self, tokens: Sequence[int]) -> None:
        refuse_tokens(tokens, self.vocabulary)
        if self.position + len(tokens) > self.context:
            raise InvalidDataError(
                f"The sequence would have {self.position + len(tokens):,} tokens and the cache "
                f"holds {self.context:,}. Give a shorter prompt, ask for fewer tokens, or export "
                "with a longer context."
            )


def window_scorer(
    model: TfliteModel, output: int | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """A call that runs a `score` signature alone, by the fastest kernels.

    model: of one signature, see `signature_models`. output: the tensor to read, by default the
    logits. What is called takes tokens (context,), int32, and gives rows (context, K).
    """
    from ai_edge_litert.interpreter import Interpreter

    tensor = model.outputs[0] if output is None else output
    content = model.content if output is None else with_outputs(model, [tensor])
    interpreter: Any = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()

    def score(window: np.ndarray) -> np.ndarray:
        given = {TOKENS: window[None], POSITIONS: np.arange(len(window), dtype=np.int32)}
        for name, index in zip(model.input_names, model.inputs, strict=True):
            interpreter.set_tensor(index, given[name])
        interpreter.invoke()
        found = interpreter.get_tensor(tensor)
        return np.asarray(found.reshape(-1, found.shape[-1]))

    return score


def refuse_tokens(tokens: Sequence[int] | np.ndarray, vocabulary: int) -> None:
    """Raise InvalidDataError for a token that no row of the model's table belongs to."""
    array = np.asarray(tokens)
    if array.size and (array.min() < 0 or array.max() >= vocabulary):
        worst = int(array.min() if array.min() < 0 else array.max())
        raise InvalidDataError(
            f"Token {worst} is out of range: the model knows tokens 0 to {vocabulary - 1}. Use "
            "the tokenizer that it was trained with."
        )


def _refuse_others(signatures: Any) -> None:
    if DECODE in signatures and SCORE in signatures:
        return
    raise InvalidModelError(
        f"The file has the signatures {sorted(signatures)} and no decode step, so it generates "
        "nothing: it is an encoder, a classifier or an export without a cache. Export a decoder "
        "with tfgreen.export_decoder."
    )


def _refuse_later_steps(given: dict[str, Any], primary: list[dict[str, Any]]) -> None:
    """Decode has to be the file's first subgraph, which LiteRT invokes without preparations."""
    if {one["name"] for one in given.values()} == {one["name"] for one in primary}:
        return
    raise InvalidModelError(
        f"The first subgraph of the file takes {[one['name'] for one in primary]} and its decode "
        "step is another. Export the decoder with tfgreen.export_decoder, which puts decode first."
    )
