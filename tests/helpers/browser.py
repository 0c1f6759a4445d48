"""Pages in a real browser, headless Chromium: what it shows, says and prints.

Chromium is spoken to in its DevTools protocol (https://chromedevtools.github.io/devtools-protocol)
through two pipes, messages ended by a zero byte; so no driver is needed.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
EXECUTABLE = next(filter(None, map(shutil.which, NAMES)), None)
PATIENCE = 60  # seconds for an answer

LOOK = """(async () => {
  const images = [...document.images];
  const page = document.documentElement;
  const boxes = [...document.querySelectorAll(".scroll")];
  return JSON.stringify({
    title: document.title,
    pictures: await Promise.all(
      images.map(image => image.decode().then(() => image.naturalWidth > 0, () => false))),
    shown: images.map(image => image.getBoundingClientRect().width),
    charts: [...document.querySelectorAll("svg")].map(chart => ({
      width: chart.getBoundingClientRect().width,
      column: chart.closest("figure").getBoundingClientRect().width,
      ink: getComputedStyle(chart).fill,
      title: chart.getAttribute("aria-label"),
    })),
    tables: document.querySelectorAll("table").length,
    rows: document.querySelectorAll("tbody tr").length,
    width: page.clientWidth,
    content: page.scrollWidth,
    scrolling: boxes.filter(box => box.scrollWidth > box.clientWidth).length,
    background: getComputedStyle(document.body).backgroundColor,
  });
})()"""


class Seen(NamedTuple):
    """What a browser made of a page: see `LOOK`, and all that it complained of or was told."""

    page: dict[str, Any]
    console: list[str]


class Browser:
    """Chromium without a window, for a `with` statement."""

    def __init__(self, folder: Path) -> None:
        theirs, self._to = os.pipe()
        self._from, ours = os.pipe()
        # Its ends must be the files 3 and 4, from wherever they are now.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs, ours)]

        def place() -> None:
            for end, number in zip(ends, (3, 4), strict=True):
                os.dup2(end, number)

        assert EXECUTABLE is not None
        command = [EXECUTABLE, "--headless", "--disable-gpu", "--hide-scrollbars"]
        command += ["--no-first-run", "--no-sandbox"]  # root cannot have a sandbox
        command += ["--remote-debugging-pipe", f"--user-data-dir={folder}"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=place,
            pass_fds=(3, 4),
        )
        for end in (theirs, ours, *ends):
            os.close(end)
        self._rest = b""
        self._calls = 0

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._send("Browser.close")
        self._process.wait(PATIENCE)
        os.close(self._to)
        os.close(self._from)

    def look(self, url: str, width: int = 375, dark: bool = False) -> Seen:
        """Opens a page on a screen of a width in pixels."""
        page = self._open()
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable", page)
        size = {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", page, **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", page, features=[scheme])
        events = self._visit(page, url)
        look = {"expression": LOOK, "awaitPromise": True}
        answer, more = self._call("Runtime.evaluate", page, **look)
        told = [_complaint(event) for event in events + more]
        return Seen(json.loads(answer["result"]["value"]), [text for text in told if text])

    def evaluate(self, url: str, program: str) -> str:
        """Opens a page and returns what a program in it, an async function's call, comes to."""
        page = self._open()
        for domain in ("Page", "Runtime"):
            self._call(f"{domain}.enable", page)
        self._visit(page, url)
        options = {"expression": program, "awaitPromise": True}
        answer, _ = self._call("Runtime.evaluate", page, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    def print_pdf(self, url: str) -> bytes:
        """Prints a page, on paper of its own choice."""
        page = self._open()
        self._call("Page.enable", page)
        self._visit(page, url)
        answer, _ = self._call("Page.printToPDF", page, preferCSSPageSize=True)
        return base64.b64decode(answer["data"])

    def _open(self) -> str:
        target = self._call("Target.createTarget", url="about:blank")[0]["targetId"]
        attached, _ = self._call("Target.attachToTarget", targetId=target, flatten=True)
        return attached["sessionId"]

    def _visit(self, page: str, url: str) -> list[dict[str, Any]]:
        """Goes to a page and returns what happened until all of it was loaded."""
        _, events = self._call("Page.navigate", page, url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in events):
            events.append(self._receive())
        return events

    def _call(
        self, method: str, page: str | None = None, **parameters: object
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Returns the answer, and the events before it."""
        number = self._send(method, page, **parameters)
        events = []
        while (message := self._receive()).get("id") != number:
            events.append(message)
        assert "error" not in message, message
        return message["result"], events

    def _send(self, method: str, page: str | None = None, **parameters: object) -> int:
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters}
        os.write(self._to, json.dumps(message | ({"sessionId": page} if page else {})).encode())
        os.write(self._to, b"\0")
        return self._calls

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], PATIENCE)
            more = os.read(self._from, 1 << 20) if ready else b""
            assert more, "Chromium does not answer"
            self._rest += more
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)


def _complaint(event: dict[str, Any]) -> str:
    """The text of an event that a console would show, or nothing."""
    told = event["params"]
    if event["method"] == "Runtime.consoleAPICalled":
        return f"{told['type']}: " + " ".join(str(each.get("value")) for each in told["args"])
    if event["method"] == "Runtime.exceptionThrown":
        return f"exception: {told['exceptionDetails']['exception']['description']}"
    return f"log: {told['entry']['text']}" if event["method"] == "Log.entryAdded" else ""
