"""Several devices: all techniques on two logical processors, and two workers on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tfgreen.bundle import Bundle

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def test_all_techniques_on_two_devices(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.pipeline.two_devices", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=600, env=ENVIRONMENT, capture_output=True)
    outcomes = json.loads((tmp_path / "outcomes.json").read_text())
    one, two = outcomes["one"], outcomes["two"]
    assert two["strategy"] == "mirrored"
    assert two["hashes"] != one["hashes"]
    # The gradients of half batches add up to those of whole ones. Ranges, which move with every
    # batch, are the mean of both halves'.
    assert two["losses"][:2] == pytest.approx(one["losses"][:2], rel=1e-5)
    assert two["losses"][2] == pytest.approx(one["losses"][2], rel=1e-3)
    assert any("sparsity 0.5" in note for note in two["notes"])


@pytest.mark.slow
def test_two_workers(tmp_path: Path) -> None:
    ports = free_ports(2)
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    command = [sys.executable, "-W", "ignore", "-m", "tests.pipeline.worker_of_two", str(tmp_path)]
    workers = []
    for index in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        workers.append(
            subprocess.Popen(
                command, cwd=ROOT, env={**ENVIRONMENT, "TF_CONFIG": config}, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
        )  # fmt: skip
    told = [worker.communicate(timeout=600) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
    assert told[0][0] == told[1][0]
    bundle = Bundle.read(tmp_path / "out")
    assert bundle.compression is not None
    assert bundle.compression.strategy == "multiworker"


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens at."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
