"""The child process of decoders: `python -m tfgreen.generative.worker DIR`, as `tflite.worker`.

Job "export" loads a Keras model, writes the file, and notes what the model itself answers. Job
"judge" runs a file on one kernel set, and needs no TensorFlow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.generative.perplexity import text_windows
from tfgreen.generative.requests import (
    ANSWERS,
    CALIBRATION,
    CALIBRATION_WINDOWS,
    EVALUATION,
    EVALUATION_WINDOWS,
    GIVEN,
    TEXTS,
    default_prefills,
)
from tfgreen.generative.session import refuse_tokens
from tfgreen.generative.tokenizers import refuse_other_vocabulary
from tfgreen.tflite import worker

if TYPE_CHECKING:
    from tfgreen.generative.network.stepping import DecoderFacts

_MOST_LOGIT_BYTES = 64 * 1024**2


def work(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Do the job that the request names; the facts."""
    clock = worker.Clock(folder)
    with np.load(folder / TEXTS, allow_pickle=False) as archive:
        texts = {name: archive[name] for name in archive.files}
    if request["job"] == "judge":
        return _judge(folder, request, texts[EVALUATION], clock)
    return _export(folder, request, texts, clock)


def _load(request: dict[str, Any], clock: worker.Clock) -> tuple[Any, Any]:
    clock.note("loading TensorFlow and the model")
    from tfgreen.generative.network import calling, stepping, taking_over
    from tfgreen.models import rewrites

    model = taking_over.load_decoder(
        request["model"], request["custom_objects"], request["allow_unsafe"]
    )
    rewrites.compute_in_float32(model)
    facts = stepping.decoder_facts(model)
    calling.refuse_other_steps(model, facts)
    return model, facts


def _export(
    folder: Path, request: dict[str, Any], texts: dict[str, np.ndarray], clock: worker.Clock
) -> dict[str, Any]:
    from tfgreen.generative.network import calling, exporting

    model, facts = _load(request, clock)
    request = request | sizes(request, facts)
    calling.refuse_other_length(model, request["context"])
    windows = {
        name: _windows(tokens, facts.vocabulary, request["context"], name)
        for name, tokens in texts.items()
    }
    clock.step("load")
    clock.note("converting to a float file")
    content = exporting.float_file(model, facts, request, folder / "graph")
    (folder / worker.FLOAT).write_bytes(content)
    clock.step("float_conversion")
    clock.note("what the model itself answers")
    answers = exporting.model_answers(model, content, windows[EVALUATION])
    np.savez(
        folder / ANSWERS,
        losses=answers.losses,
        greedy=answers.greedy,
        windows=windows[EVALUATION],
    )
    clock.step("float_answers")
    told = _quantize(folder, content, request, windows.get(CALIBRATION), clock)
    clock.step("quantization")
    return {
        "vocabulary": facts.vocabulary,
        "context": request["context"],
        "prefill_lengths": list(request["prefill_lengths"]),
        "layers": len(facts.attention),
        "parameters": int(model.count_params()),
        "float_error": answers.error,
        "differing_greedy_tokens": answers.differing_greedy_tokens,
        "seconds": clock.seconds,
        **told,
    }


def sizes(request: dict[str, Any], facts: DecoderFacts) -> dict[str, Any]:
    """The context and the prefill lengths, given or by default.

    Raises InvalidDataError for a tokenizer of another vocabulary, UsageError for lengths that do
    not fit, UnsupportedModelError where nobody says how long sequences are.
    """
    vocabulary = request["tokenizer_vocabulary"]
    if vocabulary is not None:
        is_own = request["tokenizer_is_own"]
        refuse_other_vocabulary(vocabulary, facts.vocabulary, is_exact=is_own)
    context = request["context"] or facts.context
    if context is None:
        raise UnsupportedModelError(
            f"{request['model_name']} does not tell how long its sequences are. Give context=."
        )
    if facts.is_bounded and context > (facts.context or 0):
        raise UsageError(
            f"Received context={context}; {request['model_name']} knows positions of up to "
            f"{facts.context} tokens. Ask for that or less."
        )
    lengths = request["prefill_lengths"] or default_prefills(context)
    if wrong := [length for length in lengths if not 1 < length <= context]:
        raise UsageError(
            f"Received the prefill length {wrong[0]}; expected more than 1 and at most the "
            f"context of {context} tokens."
        )
    return {"context": context, "prefill_lengths": sorted(set(lengths))}


def _windows(tokens: np.ndarray, vocabulary: int, context: int, name: str) -> np.ndarray:
    refuse_tokens(tokens, vocabulary)
    most = CALIBRATION_WINDOWS if name == CALIBRATION else EVALUATION_WINDOWS
    return text_windows(tokens.reshape(-1), context, most)


def _quantize(
    folder: Path,
    float_content: bytes,
    request: dict[str, Any],
    calibration: np.ndarray | None,
    clock: worker.Clock,
) -> dict[str, Any]:
    from tfgreen.generative.compensation import compensated
    from tfgreen.generative.schemes import has_four_bits, known_scheme, quantized
    from tfgreen.generative.sensitivity import layers_at_eight_bits, measure_sensitivity

    scheme = known_scheme(request["scheme"])
    clock.note("storing weights")
    wide: list[str] = []
    told: dict[str, Any] = {}
    if scheme == "mixed-int4-int8" and calibration is not None:
        table = measure_sensitivity(float_content, calibration, clock.note)
        wide = layers_at_eight_bits(table, request["loss_limit"])
        told = {"sensitivity": [one.to_facts() for one in table], "layers_at_eight_bits": wide}
    content = quantized(float_content, scheme, wide)
    is_compensated = has_four_bits(scheme) and request["compensates"] and calibration is not None
    if is_compensated and calibration is not None:
        content = compensated(content, float_content, calibration[:, :-1], clock.note)
    (folder / worker.MODEL).write_bytes(content)
    return told | {"rounding": "compensated" if is_compensated else "nearest"}


def _judge(
    folder: Path, request: dict[str, Any], windows: np.ndarray, clock: worker.Clock
) -> dict[str, Any]:
    from tfgreen.generative.judging import answers_of

    clock.note(f"running the {request['kernel_set']} kernels")
    most = max(1, _MOST_LOGIT_BYTES // (4 * request["vocabulary"] * (windows.shape[1] - 1)))
    answers = answers_of(
        (folder / GIVEN).read_bytes(), request["kernel_set"], windows, most, clock.note
    )
    np.savez(folder / ANSWERS, **answers)  # type: ignore[arg-type]
    return {}


if __name__ == "__main__":
    sys.exit(worker.main(work=work))
