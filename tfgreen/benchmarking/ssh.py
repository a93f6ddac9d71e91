"""The runner on another machine, over the system's own `ssh`.

One connection carries everything: the runner, the order, the files and their inputs go in as a
tar on standard input, and the answer comes back on standard output. The other machine needs
Python 3.8 with NumPy and ai-edge-litert; what is written there lies in one temporary folder,
which is gone afterwards.
"""

from __future__ import annotations

import base64
import io
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfgreen.benchmarking import runner
from tfgreen.benchmarking.local import Ended, converse
from tfgreen.errors import MissingDependencyError, RemoteHostError, UsageError

OnProgress = Callable[[str, int, int], None]

_RUNNER = "runner.py"
_SSH_FAILED = 255
_NO_COMMAND = {126, 127, 9009}
_TIMEOUT_SECONDS = 10
_SHELL = "\"'`$;&|<>()"

# What the remote Python reads from the first line of its standard input. It writes plain files
# (no names from outside: the tar is ours) and runs the runner as a child, with its own pipes.
_UNPACK = """
import os, shutil, subprocess, sys, tarfile, tempfile
folder = tempfile.mkdtemp(prefix="tfgreen-")
code = 1
try:
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        for member in archive:
            with open(os.path.join(folder, os.path.basename(member.name)), "wb") as file:
                shutil.copyfileobj(archive.extractfile(member), file)
    command = [sys.executable, "-W", "ignore", "runner.py", "order.json"]
    code = subprocess.call(command, cwd=folder, stdin=subprocess.DEVNULL)
finally:
    shutil.rmtree(folder, ignore_errors=True)
raise SystemExit(code)
"""


@dataclass(frozen=True)
class Remote:
    """Another machine.

    host: as ssh knows it: "pi@raspberrypi.local", or a Host of ~/.ssh/config.
    port: None for ssh's own choice. python: the command that starts Python there.
    config: another file than ~/.ssh/config.

    Raises UsageError for a host or a Python that ssh or a shell would take for something else.

    >>> Remote("pi@raspberrypi.local").python
    'python3'
    """

    host: str
    port: int | None = None
    python: str = "python3"
    config: str | Path | None = None

    def __post_init__(self) -> None:
        # A ProxyCommand of ssh's configuration hands the name on to a shell.
        is_odd = any(c.isspace() or c in _SHELL or c == "\\" for c in self.host)
        if not self.host or self.host.startswith("-") or is_odd:
            raise UsageError(
                f"Received the host '{self.host}'; expected one as for ssh: HOST or USER@HOST."
            )
        if not self.python or any(letter in _SHELL + "\n" for letter in self.python):
            raise UsageError(
                f"Received the remote Python '{self.python}'; expected a command or a path "
                "without quotes, such as python3 or venv/bin/python."
            )

    def command(self) -> list[str]:
        """The whole ssh command; nobody is ever asked for a password."""
        options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={_TIMEOUT_SECONDS}"]
        options += ["-F", str(self.config)] if self.config is not None else []
        options += ["-p", str(self.port)] if self.port is not None else []
        # Double quotes are understood by sh, cmd and PowerShell alike.
        start = f'{self.python} -c "import sys;exec(sys.stdin.buffer.readline())"'
        return ["ssh", "-T", *options, "--", self.host, start]


def run_there(remote: Remote, folder: Path, on_progress: OnProgress) -> dict[str, Any]:
    """Carry out the order in a folder on another machine.

    Raises:
        RemoteHostError: ssh could not log in, there is no Python, or the runner died.
        MissingDependencyError: ssh is missing here, or NumPy or ai-edge-litert there.
    """
    if shutil.which("ssh") is None:
        raise MissingDependencyError(
            "Measuring on another machine needs the command ssh, which is not installed here. "
            "Install OpenSSH's client (Debian: apt install openssh-client)."
        )
    on_progress(f"sending to {remote.host}", 0, 0)
    ended = converse(remote.command(), _payload(folder), on_progress)
    if ended.answer is None:
        raise RemoteHostError(_explained(remote, ended))
    if ended.answer.get("error") == runner.NO_LITERT:
        raise MissingDependencyError(
            f"{remote.host} lacks what the runner needs ({ended.answer['message']}). Install it "
            f"there: {remote.python} -m pip install numpy ai-edge-litert; or name another Python "
            "with --remote-python."
        )
    return ended.answer


def _payload(folder: Path) -> bytes:
    """The line that unpacks, then a tar of the folder and the runner."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name)
        archive.add(runner.__file__, arcname=_RUNNER)
    code = base64.b64encode(_UNPACK.encode()).decode()
    line = f"exec(__import__('base64').b64decode('{code}'))\n"
    return line.encode() + packed.getvalue()


def _explained(remote: Remote, ended: Ended) -> str:
    """Why there is no answer, and what to do."""
    words = ended.words
    if ended.code == _SSH_FAILED:
        if "Host key verification failed" in words:
            todo = f"Log in once by hand (ssh {remote.host}) and accept its key"
        elif "Permission denied" in words:
            todo = f"Give it your public key (ssh-copy-id {remote.host}): passwords are not asked"
        else:
            todo = "Check the name, --port and that the machine is on"
        return f"ssh could not log in to {remote.host} ({words}). {todo}."
    missing = "not found" in words or "not recognized" in words
    if ended.code in _NO_COMMAND or missing:
        return (
            f"{remote.host} has no Python called '{remote.python}' ({words}). Name one with "
            "--remote-python, such as venv/bin/python."
        )
    return (
        f"The runner on {remote.host} ended with {ended.code} and gave no answer ({words}). "
        "It needs Python 3.8 or newer (--remote-python)."
    )
