"""The smallest programs that run a decoder, in Python and in C++, as they lie in a bundle."""

from __future__ import annotations

_PYTHON = '''"""Greedy text from this folder, by LiteRT and NumPy alone: python run.py "a prompt" 64

Reads tokenizer.json of kind "characters" or "bytes".
"""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

folder = Path(__file__).parent
if len(sys.argv) != 3:
    sys.exit('usage: python run.py "a prompt" COUNT')
prompt, count = sys.argv[1], int(sys.argv[2])
path = folder / "tokenizer.json"
told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
if told.get("kind") not in ("characters", "bytes"):
    sys.exit("run.py knows tokenizers of characters and bytes alone; use tfgreen generate.")
characters = told.get("characters")
if characters and (unknown := set(prompt) - set(characters)):
    sys.exit(f"The tokenizer knows no {sorted(unknown)}.")
tokens = [characters.index(c) for c in prompt] if characters else list(prompt.encode())
interpreter = Interpreter(model_path=str(folder / "model.tflite"), num_threads=1)
score = interpreter.get_signature_runner("score").get_input_details()
context = int(score["tokens"]["shape"][-1])
if not tokens or count < 1 or len(tokens) + count - 1 > context:
    sys.exit(f"Give a prompt, and a count of 1 or more; the cache holds {context} tokens.")
decode = interpreter.get_signature_runner("decode")
state = {
    name: np.zeros(detail["shape"], detail["dtype"])
    for name, detail in decode.get_input_details().items()
    if name.startswith("kv_cache_")
}
for position in range(len(tokens) + count - 1):
    told = decode(
        tokens=np.array([[tokens[position]]], np.int32),
        input_pos=np.array([position], np.int32),
        **state,
    )
    state = {name: told[name] for name in state}
    if position >= len(tokens) - 1:
        tokens.append(int(told["logits"][0, 0].argmax()))
if characters:
    print("".join(characters[token] for token in tokens))
else:
    print(bytes(tokens).decode("utf-8", "replace"))
'''

_CPP = """// Greedy tokens from model.tflite, by LiteRT's C++ API: run MODEL COUNT TOKEN...
// Build against TensorFlow Lite or LiteRT, as their "minimal" example does.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tensorflow/lite/core/interpreter_builder.h"
#include "tensorflow/lite/interpreter.h"
#include "tensorflow/lite/kernels/register.h"
#include "tensorflow/lite/model_builder.h"

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "usage: run MODEL COUNT TOKEN...\\n"), 2;
  auto model = tflite::FlatBufferModel::BuildFromFile(argv[1]);
  if (!model) return std::fprintf(stderr, "cannot read %s\\n", argv[1]), 1;
  tflite::ops::builtin::BuiltinOpResolver resolver;
  std::unique_ptr<tflite::Interpreter> interpreter;
  if (tflite::InterpreterBuilder(*model, resolver)(&interpreter) != kTfLiteOk) return 1;
  tflite::SignatureRunner* decode = interpreter->GetSignatureRunner("decode");
  if (decode == nullptr || decode->AllocateTensors() != kTfLiteOk) return 1;
  tflite::SignatureRunner* score = interpreter->GetSignatureRunner("score");
  if (score == nullptr || score->AllocateTensors() != kTfLiteOk) return 1;
  const size_t context = score->input_tensor("tokens")->dims->data[1];
  const TfLiteIntArray* scores = decode->output_tensor("logits")->dims;
  const int vocabulary = scores->data[scores->size - 1];
  std::vector<int32_t> tokens;
  for (int i = 3; i < argc; ++i) tokens.push_back(std::atoi(argv[i]));
  for (int32_t token : tokens) {
    if (token < 0 || token >= vocabulary) return std::fprintf(stderr, "no token %d\\n", token), 2;
  }
  const int count = std::atoi(argv[2]);
  const size_t wanted = tokens.size() + std::max(count, 0);
  if (count < 1 || wanted > context + 1) {
    return std::fprintf(stderr, "COUNT below 1, or more than the cache holds\\n"), 2;
  }
  std::vector<std::string> state;
  for (const char* name : decode->input_names()) {
    if (std::strncmp(name, "kv_cache_", 9) != 0) continue;
    state.push_back(name);
    std::memset(decode->input_tensor(name)->data.raw, 0, decode->input_tensor(name)->bytes);
  }
  for (size_t position = 0; tokens.size() < wanted; ++position) {
    decode->input_tensor("tokens")->data.i32[0] = tokens[position];
    decode->input_tensor("input_pos")->data.i32[0] = static_cast<int32_t>(position);
    if (decode->Invoke() != kTfLiteOk) return 1;
    for (const std::string& name : state) {
      std::memcpy(decode->input_tensor(name.c_str())->data.raw,
                  decode->output_tensor(name.c_str())->data.raw,
                  decode->input_tensor(name.c_str())->bytes);
    }
    if (position + 1 < tokens.size()) continue;
    const TfLiteTensor* logits = decode->output_tensor("logits");
    const float* begin = logits->data.f;
    const float* end = begin + logits->bytes / sizeof(float);
    tokens.push_back(static_cast<int32_t>(std::max_element(begin, end) - begin));
    std::printf("%d\\n", tokens.back());
  }
  return 0;
}
"""


def render_runners() -> dict[str, str]:
    """File name → source.

    >>> sorted(render_runners())
    ['run.cpp', 'run.py']
    """
    return {"run.py": _PYTHON, "run.cpp": _CPP}
