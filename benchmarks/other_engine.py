"""Tokens a second of an int8 decoder: LiteRT against llama.cpp, on the same shape.

    pip install --target build/other llama-cpp-python gguf
    python -m benchmarks.other_engine build/other [--rounds 15]

Both get a GPT-2 of 1.3 million random weights: 96 tokens, width 160, 4 layers, 4 heads, a context
of 128. Ours is the `dynamic-int8` file, with the cache going in and out and with the cache in the
file; theirs a GGUF file with Q8_0 weights. One thread, one token a call, in turns; CPU time of the
process, which a busy machine leaves alone. Speed does not depend on what the weights are.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

VOCABULARY, CONTEXT, WIDTH, LAYERS, HEADS = 96, 128, 160, 4, 4
PROMPT, DECODED = 64, 48
Start = Callable[[], None]
Step = Callable[[int], np.ndarray]


def write_gguf(path: Path) -> None:
    """A GPT-2 of random weights: matrices in Q8_0, the rest in float32."""
    import gguf  # type: ignore[import-not-found]

    writer = gguf.GGUFWriter(str(path), "gpt2")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(4 * WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(VOCABULARY)
    random = np.random.default_rng(0)

    def matrix(name: str, rows: int, columns: int) -> None:
        values = random.normal(0, 0.02, (rows, columns)).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(f"{name}.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)

    def vector(name: str, size: int, value: float) -> None:
        writer.add_tensor(name, np.full(size, value, np.float32))

    matrix("token_embd", VOCABULARY, WIDTH)
    positions = random.normal(0, 0.02, (CONTEXT, WIDTH)).astype(np.float32)
    writer.add_tensor("position_embd.weight", positions)
    for norm in (
        "output_norm",
        *(f"blk.{i}.{n}_norm" for i in range(LAYERS) for n in ("attn", "ffn")),
    ):
        vector(f"{norm}.weight", WIDTH, 1.0)
        vector(f"{norm}.bias", WIDTH, 0.0)
    shapes = {
        "attn_qkv": (3 * WIDTH, WIDTH), "attn_output": (WIDTH, WIDTH),
        "ffn_up": (4 * WIDTH, WIDTH), "ffn_down": (WIDTH, 4 * WIDTH),
    }  # fmt: skip
    for layer in range(LAYERS):
        for name, (rows, columns) in shapes.items():
            matrix(f"blk.{layer}.{name}", rows, columns)
            vector(f"blk.{layer}.{name}.bias", rows, 0.0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def theirs(path: Path) -> tuple[Start, Step]:
    """Starting a sequence, and one step of it, by the bare C functions."""
    import llama_cpp as engine  # type: ignore[import-not-found]

    model = engine.Llama(str(path), n_ctx=CONTEXT, n_threads=1, n_threads_batch=1, verbose=False)
    token = (engine.llama_token * 1)()

    def reset() -> None:
        engine.llama_memory_clear(engine.llama_get_memory(model.ctx), True)

    def step(number: int) -> np.ndarray:
        token[0] = number
        if engine.llama_decode(model.ctx, engine.llama_batch_get_one(token, 1)):
            raise RuntimeError("llama.cpp did not decode the token.")
        scores = engine.llama_get_logits(model.ctx)
        return np.ctypeslib.as_array(scores, (VOCABULARY,))

    return reset, step


def ours(*, keeps_state: bool) -> tuple[bytes, Start, Step]:
    import keras

    from tfgreen.generative.export import make_decoder_bundle
    from tfgreen.generative.network import build_decoder
    from tfgreen.generative.requests import DecoderOptions
    from tfgreen.generative.session import Session

    keras.utils.set_random_seed(0)
    model = build_decoder(VOCABULARY, CONTEXT, width=WIDTH, layers=LAYERS, heads=HEADS)
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, 4 * CONTEXT)
    options = DecoderOptions("dynamic-int8", keeps_state=keeps_state)
    content = make_decoder_bundle(model, None, tokens, None, options).content
    session = Session(content)
    return content, session.reset, session.decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", type=Path, help="where llama-cpp-python and gguf are")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    explicit, in_file = ours(keeps_state=False), ours(keeps_state=True)
    sys.path.append(str(given.packages))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.gguf"
        write_gguf(path)
        engines = {
            "LiteRT, dynamic-int8": explicit[1:],
            "LiteRT, dynamic-int8 (cache in the file)": in_file[1:],
            "llama.cpp, Q8_0": theirs(path),
        }
        sizes = [len(explicit[0]), len(in_file[0]), path.stat().st_size]
        seconds: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(given.rounds):
            for name, engine in engines.items():
                seconds[name].append(seconds_a_token(*engine))
    print("| engine | bytes | tokens/s | quartiles |\n|---|--:|--:|--:|")
    for (name, taken), size in zip(seconds.items(), sizes, strict=True):
        low, middle, high = 1 / np.quantile(taken, [0.75, 0.5, 0.25])
        print(f"| {name} | {size:,} | {middle:,.0f} | {low:,.0f} to {high:,.0f} |")


def seconds_a_token(reset: Start, step: Step) -> float:
    """CPU seconds of a token after a prompt."""
    reset()
    for token in range(PROMPT):
        if not np.isfinite(step(token)).all():
            raise RuntimeError("The scores are not finite.")
    began = time.process_time()
    for token in range(DECODED):
        step(token)
    return (time.process_time() - began) / DECODED


if __name__ == "__main__":
    main()
