"""Watching child processes of other processes, for tests of what happens when a parent ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def wait_for_child(parent_id: int, busy_seconds: float = 0.0, limit_seconds: float = 60) -> int:
    """The id of the only child of a process, once it has computed for `busy_seconds`."""
    children = Path(f"/proc/{parent_id}/task/{parent_id}/children")
    found: list[str] = []

    def at_work() -> bool:
        found[:] = children.read_text().split()
        if not found:
            return False
        fields = Path(f"/proc/{found[0]}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) / os.sysconf("SC_CLK_TCK") >= busy_seconds

    assert wait_until(at_work, limit_seconds), f"process {parent_id} has no child at work"
    return int(found[0])


def is_alive(process_id: int) -> bool:
    return Path(f"/proc/{process_id}").exists()


def wait_until(condition: Callable[[], bool], limit_seconds: float = 10) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + limit_seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False
