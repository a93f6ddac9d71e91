"""`export_decoder`: from a decoder in Keras to a file with its certificate."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.errors import GateError, InvalidDataError, MissingPathError, UsageError
from tfgreen.generative.certification import FloatAnswers, certify
from tfgreen.generative.decoder_bundle import DecoderBundle
from tfgreen.generative.requests import (
    ANSWERS,
    CALIBRATION,
    EVALUATION,
    TEXTS,
    DecoderOptions,
)
from tfgreen.generative.schemes import Scheme
from tfgreen.generative.session import refuse_tokens
from tfgreen.generative.tokenizers import Tokenizer, is_own, read_tokenizer
from tfgreen.tflite import worker
from tfgreen.tflite.conversion import exchange_folder, run_worker

OnProgress = Callable[[str, int, int], None]
Text = str | Path | Sequence[int] | np.ndarray

_MODULE = "tfgreen.generative.worker"
_TIME_LIMIT_SECONDS = 3 * 3600.0


def export_decoder(
    model: Any,
    tokenizer: Tokenizer | str | Path | None = None,
    *,
    evaluate: Text | None = None,
    calibration: Text | None = None,
    scheme: Scheme = "dynamic-int8",
    context: int | None = None,
    prefill_lengths: Sequence[int] | None = None,
    keeps_state: bool = False,
    raise_on_failure: bool = True,
    on_progress: OnProgress | None = None,
) -> DecoderBundle:
    """Export a decoder language model to one `.tflite` file with a cache, and judge it.

    Args:
        model: a Keras model of `CausalSelfAttention` layers (see `build_decoder`), a KerasHub
            causal language model, or the path of a `.keras` file.
        tokenizer: what turns text into the model's tokens, or its file; it goes into the bundle.
        evaluate: text that judges the file and never influences it: a text, the Path of a UTF-8
            file, or tokens. Default: the calibration text.
        calibration: text for the 4-bit schemes, which round their weights on it.
        scheme: "float32", "float16", "dynamic-int8", "weights-int8", "int4", "int4-block32" or
            "mixed-int4-int8".
        context: tokens that the cache holds. Default: what the model was made for.
        prefill_lengths: how many tokens one call may write; a signature each. Default: 16, 64 …
        keeps_state: the cache lives in the file's variables, instead of going in and out.
        raise_on_failure: raise GateError when a gate fails; its `bundle` can be saved all the same.
        on_progress: called with (step, done, of).

    Raises:
        UnsupportedModelError: no decoder, no causal mask, or a family that is not known.
        InvalidDataError: the text is too short, or of another vocabulary.
        GateError: a gate failed.
    """
    lengths = None if prefill_lengths is None else tuple(prefill_lengths)
    options = DecoderOptions(scheme, context, lengths, keeps_state)
    bundle = make_decoder_bundle(model, tokenizer, evaluate, calibration, options, on_progress)
    if raise_on_failure and not bundle.certificate.passed:
        messages = " ".join(check.message for check in bundle.certificate.failed_checks)
        raise GateError(f"The exported decoder fails its certificate. {messages}", bundle)
    return bundle


def make_decoder_bundle(
    model: Any,
    tokenizer: Tokenizer | str | Path | None,
    evaluate: Text | None,
    calibration: Text | None,
    options: DecoderOptions,
    on_progress: OnProgress | None = None,
) -> DecoderBundle:
    """`export_decoder` that hands back failed bundles too."""
    if options.scheme == "mixed-int4-int8" and calibration is None:
        raise UsageError(
            "The scheme mixed-int4-int8 received no calibration text, and without one nothing "
            "tells which layers need 8 bits. Give calibration=, text that the model was trained "
            "on."
        )
    codec = None if tokenizer is None else read_tokenizer(tokenizer)
    texts = _texts(evaluate, calibration, codec)
    with exchange_folder() as folder:
        request = options.to_request() | _description(model, folder, codec)
        (folder / worker.REQUEST).write_text(json.dumps(request), encoding="utf-8")
        np.savez(folder / TEXTS, **texts)  # type: ignore[arg-type]
        facts = run_worker(_MODULE, folder, request, _TIME_LIMIT_SECONDS, on_progress)
        content = (folder / worker.MODEL).read_bytes()
        with np.load(folder / ANSWERS, allow_pickle=False) as archive:
            answers = {name: archive[name] for name in archive.files}
    float_model = FloatAnswers(
        answers["losses"],
        answers["greedy"],
        facts["parameters"],
        facts["differing_greedy_tokens"],
    )
    certificate = certify(content, options.scheme, answers["windows"], float_model, on_progress)
    told = {**facts, "scheme": options.scheme, "keeps_state": options.keeps_state}
    return DecoderBundle(content, certificate, codec, told)


def _description(model: Any, folder: Path, codec: Tokenizer | None) -> dict[str, Any]:
    if not isinstance(model, str | Path):
        from tfgreen.generative.network.taking_over import save_decoder

        path: str | Path = save_decoder(model, folder)
        name = str(getattr(model, "name", "the model"))
    else:
        path, name = model, Path(str(model)).name
    return {
        "job": "export",
        "model": str(path),
        "model_name": name,
        "memory_limit_bytes": None,
        "tokenizer_vocabulary": None if codec is None else codec.vocabulary,
        "tokenizer_is_own": codec is not None and is_own(codec),
    }


def _texts(
    evaluate: Text | None, calibration: Text | None, codec: Tokenizer | None
) -> dict[str, np.ndarray]:
    given = {EVALUATION: calibration if evaluate is None else evaluate, CALIBRATION: calibration}
    if given[EVALUATION] is None:
        raise UsageError(
            "export_decoder received no text to judge the file on. Give evaluate= a text of the "
            "kind that the model is for, a few thousand tokens."
        )
    return {name: _tokens(text, codec) for name, text in given.items() if text is not None}


def _tokens(text: Text, codec: Tokenizer | None) -> np.ndarray:
    if isinstance(text, Path):
        text = _read(text)
    if isinstance(text, str):
        if codec is None:
            raise UsageError(
                "Received text and no tokenizer. Give tokenizer=, or the text as tokens."
            )
        text = codec.encode(text)
    array = np.asarray(text)
    if array.size == 0:
        raise InvalidDataError("Received a text without tokens. Give a few thousand.")
    if not np.issubdtype(array.dtype, np.integer):
        raise InvalidDataError(
            f"Received text of dtype {array.dtype}; expected a str, a Path or integer tokens."
        )
    refuse_tokens(array, np.iinfo(np.int32).max)  # else the cast would make tokens of others
    return array.astype(np.int32)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MissingPathError(f"There is no text file {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDataError(f"{path} cannot be read as UTF-8 text: {error}.") from error
