"""A headless Chromium, driven over its DevTools pipe: screenshots, coordinates, and what it loads.

It needs nothing from Python's package index. `find()` tells where Chromium is, None without one.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
# DevTools reads descriptor 3 and writes descriptor 4.
_LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for number, end in zip((3, 4), ends):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find() -> str | None:
    """The browser to use; TFGREEN_CHROMIUM names another one."""
    chosen = os.environ.get("TFGREEN_CHROMIUM")
    return chosen or next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass
class Page:
    """One tab. `requested` are the addresses that it asked for, the page itself first."""

    _send: int
    _receive: int
    _session: str = ""
    _number: int = 0
    _unread: bytes = b""
    requested: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its result."""
        self._number += 1
        order = {"id": self._number, "method": method, "params": params}
        if self._session:
            order["sessionId"] = self._session
        os.write(self._send, json.dumps(order).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def open(self, path: Path, width: int, height: int, scheme: str = "light") -> None:
        """Load a file at a size of the screen, in the "light" or the "dark" scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media="screen", features=features)
        self.requested.clear()
        self.messages.clear()
        self._loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._next()

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def screenshot(self, path: Path, *, whole: bool = False) -> Path:
        """A PNG of the screen, or of the whole page."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(data["data"]))
        return path

    def pdf(self, path: Path) -> Path:
        """What a printer gets."""
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF")["data"]))
        return path

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            read = os.read(self._receive, 1 << 16)
            assert read, "Chromium has gone."
            self._unread += read
        text, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif method in (
            "Runtime.exceptionThrown",
            "Log.entryAdded",
            "Page.javascriptDialogOpening",
        ):
            self.messages.append(json.dumps(params))
        elif method == "Page.loadEventFired":
            self._loaded = True
        return message


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Chromium with its profile in `folder`; it is ended with everything that it started."""
    program = find()
    assert program is not None
    to_browser, from_us = os.pipe()
    from_browser, to_us = os.pipe()
    arguments = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--hide-scrollbars", "--no-first-run", "--disable-background-networking"),
        *(f"--user-data-dir={folder}", "--remote-debugging-pipe"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, str(to_browser), str(to_us), program, *arguments],
        pass_fds=(to_browser, to_us),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(to_browser)
    os.close(to_us)
    try:
        yield _tab(from_us, from_browser)
    finally:
        os.close(from_us)
        os.close(from_browser)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def _tab(send: int, receive: int) -> Page:
    page = Page(send, receive)
    target = page.call("Target.createTarget", url="about:blank")["targetId"]
    page._session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Network", "Runtime", "Log"):
        page.call(f"{domain}.enable")
    return page
