"""No process of a report asks the network: every one of them is listened to, children included."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.accounting.test_report import bundle_of, ledger_of
from tests.conftest import ROOT

# Python runs a module of this name when it starts, in child processes too.
LISTENER = """
import os, sys

def listen(event, given):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        with open({tried!r}, "a") as stream:
            print(event, given, file=stream)

sys.addaudithook(listen)
with open({started!r}, "a") as stream:
    print(os.getpid(), file=stream)
"""

SCRIPT = """
import socket, sys
from tfgreen.cli.main import tfgreen_command
from tfgreen.footprint import codecarbon
from tfgreen.footprint.meter import Meter

codecarbon._is_raspberry = lambda: True  # so that codecarbon, if it is here, is asked for a meter
with Meter() as meter:
    pass
assert "codecarbon" in str(meter.reading)
tfgreen_command(sys.argv[1:], standalone_mode=False)
"""


def test_nothing_is_tried(tmp_path: Path) -> None:
    tried, started = tmp_path / "tried", tmp_path / "started"
    listener = LISTENER.format(tried=str(tried), started=str(started))
    (tmp_path / "sitecustomize.py").write_text(listener)
    path = bundle_of("mobile-int8", ledger_of(train=1.0)).save(tmp_path / "kws")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    options = ["--region", "DEU", "--price-kwh", "0.3", "--kernels", "xnnpack", "--json"]
    command = [sys.executable, "-c", SCRIPT, "report", str(path), *options]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    assert '"modelled"' in told.stdout
    assert len(started.read_text().split()) >= 2  # the report and what times the files
    assert not tried.exists(), tried.read_text()
