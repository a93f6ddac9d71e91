"""Measuring on another machine: a real SSH server on loopback, the system's own ssh client."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarking.test_latency import QUICK
from tests.tiny_models import int8_classifier
from tfgreen.benchmarking import latency, runner
from tfgreen.benchmarking.latency import benchmark
from tfgreen.benchmarking.local import converse
from tfgreen.benchmarking.ssh import Remote
from tfgreen.errors import MissingDependencyError, RemoteHostError, UsageError

asyncssh = pytest.importorskip("asyncssh", reason="the [test] extra brings it")
needs_ssh = pytest.mark.skipif(
    shutil.which("ssh") is None, reason="the command ssh is not installed (openssh-client)"
)


@dataclass(frozen=True)
class Server:
    """A server that is up: how to get in, and what was run on it."""

    remote: Remote
    commands: list[str]
    folder: Path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def answer(process: Any, commands: list[str], place: Path) -> None:
    """Run what the client asks for in a shell, as sshd does."""
    commands.append(process.command)
    child = await asyncio.create_subprocess_shell(
        process.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(place)},
        cwd=place,
    )
    said, complained = await child.communicate(await process.stdin.read())
    process.stdout.write(said)
    process.stderr.write(complained)
    process.exit(child.returncode)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """asyncssh in a thread, with keys of its own; only the one client key gets in."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = folder / "there"
        place.mkdir()
        host_key, client_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        client_key.write_private_key(str(folder / "id"))
        (folder / "id").chmod(0o600)
        port, commands = free_port(), []
        known = f"[127.0.0.1]:{port} {host_key.export_public_key().decode()}"
        (folder / "known_hosts").write_text(known)
        config = folder / "config"
        config.write_text(
            "Host board\n  HostName 127.0.0.1\n  User someone\n  IdentitiesOnly yes\n"
            f"  IdentityAgent none\n  IdentityFile {folder / 'id'}\n"
            f"  UserKnownHostsFile {folder / 'known_hosts'}\n  StrictHostKeyChecking yes\n"
        )
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()

        async def start() -> Any:
            return await asyncssh.create_server(
                asyncssh.SSHServer,
                "127.0.0.1",
                port,
                server_host_keys=[host_key],
                authorized_client_keys=asyncssh.import_authorized_keys(
                    client_key.export_public_key().decode()
                ),
                process_factory=lambda process: answer(process, commands, place),
                encoding=None,
            )

        running = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
        remote = Remote("board", port, sys.executable, config)
        try:
            yield Server(remote, commands, place)
        finally:

            async def stop() -> None:
                running.close()
                await running.wait_closed()

            asyncio.run_coroutine_threadsafe(stop(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes(int8_classifier())
    return path


@needs_ssh
def test_the_figures_come_from_there(server: Server, file: Path) -> None:
    steps: list[str] = []
    found = benchmark(
        file,
        threads=1,
        ssh=server.remote,
        effort=QUICK,
        on_progress=lambda step, done, of: steps.append(step),
    )
    (row,) = found.rows
    assert row.status == "ok"
    assert row.latency is not None
    assert row.latency.blocks == 5
    assert found.host.name == "board"
    assert list(dict.fromkeys(steps)) == ["sending to board", "loading", "timing"]
    assert sys.executable in server.commands[-1]
    assert not list(server.folder.iterdir())  # nothing is left there


@needs_ssh
def test_no_python_there(server: Server, file: Path) -> None:
    remote = replace(server.remote, python="no-such-python")
    with pytest.raises(RemoteHostError, match=r"board has no Python called 'no-such-python'"):
        benchmark(file, ssh=remote, effort=QUICK)


@needs_ssh
def test_no_litert_there(server: Server, file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")]
    subprocess.run(command, check=True, timeout=60)
    remote = replace(server.remote, python=str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(MissingDependencyError, match="-m pip install numpy ai-edge-litert"):
        benchmark(file, ssh=remote, effort=QUICK)


@needs_ssh
def test_nobody_listens(server: Server, file: Path) -> None:
    remote = replace(server.remote, port=free_port())
    with pytest.raises(RemoteHostError, match=r"could not log in to board \(.*refused"):
        benchmark(file, ssh=remote, effort=QUICK)


@needs_ssh
def test_a_key_that_nobody_knows(server: Server, file: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(stranger))
    stranger.chmod(0o600)
    text = Path(str(server.remote.config)).read_text()
    own = next(line.split()[1] for line in text.splitlines() if "IdentityFile" in line)
    config = tmp_path / "config"
    config.write_text(text.replace(own, str(stranger)))
    with pytest.raises(RemoteHostError, match="ssh-copy-id board"):
        benchmark(file, ssh=replace(server.remote, config=config), effort=QUICK)


@needs_ssh
def test_a_machine_that_is_new(server: Server, file: Path, tmp_path: Path) -> None:
    text = Path(str(server.remote.config)).read_text()
    known = next(line.split()[1] for line in text.splitlines() if "UserKnownHostsFile" in line)
    config = tmp_path / "config"
    config.write_text(text.replace(known, str(tmp_path / "none")))
    with pytest.raises(RemoteHostError, match="Log in once by hand"):
        benchmark(file, ssh=replace(server.remote, config=config), effort=QUICK)


@pytest.mark.parametrize("host", ["", "-oProxyCommand=touch x", "a b", "a\nb", "$(id)", "a;id"])
def test_hosts_that_ssh_would_take_for_options(host: str) -> None:
    with pytest.raises(UsageError, match="expected one as for ssh"):
        Remote(host)


@pytest.mark.parametrize("python", ["", 'python3"; rm x; "', "$(id)", "python3 | cat"])
def test_pythons_that_a_shell_would_take_apart(python: str) -> None:
    with pytest.raises(UsageError, match="remote Python"):
        Remote("host", python=python)


def test_no_ssh_here(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingDependencyError, match="openssh-client"):
        benchmark(file, ssh="host", effort=QUICK)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"host": {}, "threads": [1], "probes": [], "sessions": []},
        {"host": {"load_before": None, "cpus": 2}, "threads": 1, "probes": [[]], "sessions": []},
        {"host": None, "threads": [1], "probes": [[None]], "sessions": [{}]},
    ],
)
def test_answers_that_are_not_the_runners(
    monkeypatch: pytest.MonkeyPatch, file: Path, answer: dict[str, Any]
) -> None:
    monkeypatch.setattr(latency, "run_there", lambda remote, folder, tell: answer)
    with pytest.raises(RemoteHostError, match=r"board gave an answer that is not the runner's"):
        benchmark(file, ssh="board", effort=QUICK)


def test_lines_that_only_look_like_the_runners() -> None:
    lines = [runner.RESULT + "{", runner.RESULT + "[1]", runner.PROGRESS + "[1]", "the end"]
    command = [sys.executable, "-c", f"print({chr(10).join(lines)!r})"]
    ended = converse(command, b"", lambda *step: pytest.fail(f"told {step}"))
    assert ended.answer is None
    assert "the end" in ended.words.split(" | ")
