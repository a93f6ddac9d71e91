"""Stands in for `tfgreen.tflite.worker`; the name of the "model" says what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

FACTS = {"inputs": [["x", [4], "float32"]], "outputs": ["y"]}
CONTENT = bytes(range(256))


def main() -> None:
    folder = Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    with (folder / "progress.jsonl").open("a") as stream:
        stream.write(json.dumps({"step": "doing odd things", "done": 1, "of": 2}) + "\n")
        stream.write('{"step": "half a li')
    print("what it said last", flush=True)
    behaviour = request["model_name"]
    if behaviour == "abort":
        os.abort()
    elif behaviour == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif behaviour == "sleep":
        time.sleep(60)
    elif behaviour == "leave":
        sys.exit(7)
    elif behaviour == "nothing":
        sys.exit(0)
    elif behaviour == "noise":
        os.write(1, b"\xff\x00 chatter\n" * 200_000)
        os.write(2, b"\xff\x00 chatter\n" * 200_000)
    elif behaviour == "environment":
        FACTS["environment"] = dict(os.environ)
    elif behaviour == "request":
        FACTS["request"] = request
    if behaviour in ("error", "unknown-name", "missing"):
        kinds = {"error": "UnsupportedModelError", "unknown-name": "UnknownNameError"}
        told = {"type": kinds.get(behaviour, "MissingPathError"), "message": "No, since so."}
        told["traceback"] = "Traceback of the child" if behaviour == "error" else ""
        (folder / "error.json").write_text(json.dumps(told))
        sys.exit(1)
    content = b"tiny" if behaviour == "stub" else CONTENT
    for name in ("float.tflite", "model.tflite"):
        (folder / name).write_bytes(content)
    (folder / "facts.json").write_text(json.dumps(FACTS))


if __name__ == "__main__":
    main()
