#!/usr/bin/env python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at the status page of a keeper in a real Chromium, while one session waits for another one.

Usage: page.py INSTANCE PORT

Prints one JSON object {"what was looked at": "what was seen"} of everything that is not as it should be, and ends with
1 when there is anything. Chromium is spoken to over two pipes (--remote-debugging-pipe), one JSON object and a zero
byte each; that works although the page allows no script.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

Finding = tuple[str, bool, Any]

INSTANCE, PORT = sys.argv[1], int(sys.argv[2])
URL = f"http://127.0.0.1:{PORT}/"
TOKEN = Path(f"/etc/pgkeep/{INSTANCE}/client/keeper.token").read_text().strip()
# As a browser sends what somebody typed.
BASIC = {"Authorization": "Basic " + base64.b64encode(f"anybody:{TOKEN}".encode()).decode()}
HOSTILE = "<script>document.title='x'</script><img src=//example.com/x>"
TABLE = "pgkeep_page_test"
PHONE, DESKTOP = 360, 1440
# A refresh is due every 5 s.
REFRESH_SECONDS = 12
GIVE_UP_SECONDS = 60

# What reaches over the right edge of the screen.
OVERHANG = """[...document.body.querySelectorAll('*')]
.filter(each => !each.closest('.sr') && each.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
.map(each => each.outerHTML.slice(0, 80))"""
SEEN = """({scroll: document.documentElement.scrollWidth, width: document.documentElement.clientWidth,
text: document.body.innerText, title: document.title,
scripts: document.scripts.length, images: document.images.length,
ground: getComputedStyle(document.body).backgroundColor,
grid: getComputedStyle(document.querySelector('main')).display})"""


class Chromium:
    """One tab. Ends with the pipe, so also when this program is killed."""

    def __init__(self, profile: str) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        # As root it does without its sandbox; it opens nothing but our page.
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        options += ["--remote-debugging-pipe", f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec chromium "$@" 3<&{commands} 4>&{answers}', "chromium", *options, "about:blank"],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._rest = b""
        self._number = 0
        self._session: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Network", "Log"):
            self.call(domain + ".enable")

    def call(self, method: str, **params: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                return answer["result"]
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._answers, 1 << 16)
            if not read:
                raise EOFError("Chromium has ended")
            self._rest += read
        message, _end, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def wait_for(self, method: str) -> None:
        while method not in [event.get("method") for event in self.events]:
            self.events.append(self._read())

    def open(self, width: int, scheme: str) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width == PHONE
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=URL)
        self.wait_for("Page.loadEventFired")

    def evaluate(self, script: str) -> Any:
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"]["value"]

    def close(self) -> None:
        self.call("Browser.close")
        self._process.wait(10)


def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, Message, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def session(name: str, *statements: str) -> subprocess.Popen[bytes]:
    """Somebody who says this to the server and goes when the program ends."""
    program = ["docker", "exec", "-e", "PGAPPNAME=" + name, INSTANCE, "psql", "-q"]
    commands = [word for statement in statements for word in ("-c", statement)]
    return subprocess.Popen([*program, *commands], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def answers() -> Iterator[Finding]:
    code, headers, _body = ask("/")
    ways = [way.split()[0] for way in headers.get_all("www-authenticate", [])]
    yield "without the token", (code, ways) == (401, ["Basic", "Bearer"]), (code, ways)
    code, headers, body = ask("/", **BASIC)
    yield "with it as password", code == 200 and headers.get_content_type() == "text/html", code
    bearer = ask("/?refresh=0", Authorization="Bearer " + TOKEN)
    yield "without refresh", bearer[0] == 200 and b"http-equiv" in body and b"http-equiv" not in bearer[2], bearer[0]
    code, _headers, body = ask("/", "HEAD", **BASIC)
    yield "HEAD", (code, body) == (200, b""), (code, body)
    yield "a parameter that means nothing", ask("/?refesh=0", **BASIC)[0] == 400, "not refused"


def shown(browser: Chromium, width: int, scheme: str) -> Iterator[Finding]:
    where = f"at {width} px, {scheme}: "
    browser.open(width, scheme)
    seen = browser.evaluate(SEEN)
    yield where + "nothing to scroll sideways", seen["scroll"] <= seen["width"], (seen, browser.evaluate(OVERHANG))
    yield where + "the style is allowed", seen["grid"] == "grid", seen
    bright = sum(int(part) for part in seen["ground"].strip("rgb()").split(",")) > 3 * 128
    yield where + "the ground", bright == (scheme == "light"), seen["ground"]
    words = [word for word in (INSTANCE, "blocked by", HOSTILE[:20], "Ready for traffic") if word not in seen["text"]]
    yield where + "it says what is", not words, (words, seen["text"])
    yield where + "words stay words", (seen["scripts"], seen["images"]) == (0, 0) and INSTANCE in seen["title"], seen
    asked = [event["params"]["request"]["url"] for event in browser.events if event.get("method") == _REQUEST]
    yield where + "nothing else is fetched", [url for url in asked if not url.startswith("data:")] == [URL], asked
    logged = [event["params"]["entry"] for event in browser.events if event.get("method") == "Log.entryAdded"]
    yield where + "no complaint of the browser", not logged, logged


_REQUEST = "Network.requestWillBeSent"


def renewed(browser: Chromium) -> Iterator[Finding]:
    browser.events.clear()
    began = time.monotonic()
    browser.wait_for("Page.loadEventFired")
    took = time.monotonic() - began
    yield "it renews itself", took < REFRESH_SECONDS, took


def blocked(page: bytes) -> bool:
    return b"&lt;script&gt;" in page and b"blocked by" in page


def look() -> Iterator[Finding]:
    yield from answers()
    holder = session("holder", "BEGIN", f"LOCK {TABLE}", "SELECT pg_sleep(60)")
    waiter = session(HOSTILE, "SELECT pg_sleep(1)", f"SELECT count(*) FROM {TABLE}")
    try:
        until = time.monotonic() + 20
        while not blocked(ask("/", **BASIC)[2]) and time.monotonic() < until:
            time.sleep(0.5)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            browser = Chromium(profile)
            browser.call("Network.setExtraHTTPHeaders", headers=BASIC)
            for width in (PHONE, DESKTOP):
                for scheme in ("light", "dark"):
                    yield from shown(browser, width, scheme)
            yield from renewed(browser)
            browser.close()
    finally:
        for each in (holder, waiter):
            each.kill()
            each.wait()


def give_up(_signal: int, _frame: Any) -> None:
    raise TimeoutError(f"not done within {GIVE_UP_SECONDS} s")


def main() -> int:
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(GIVE_UP_SECONDS)
    session("page", f"CREATE TABLE {TABLE} ()").wait()
    try:
        found = {what: str(seen) for what, good, seen in look() if not good}
    finally:
        # Who is killed outside of the container lives on within it.
        holders = f"SELECT pid FROM pg_locks WHERE relation = '{TABLE}'::regclass AND pid <> pg_backend_pid()"
        session("page", f"SELECT pg_terminate_backend(pid) FROM ({holders}) AS each", f"DROP TABLE {TABLE}").wait()
    print(json.dumps(found, indent=1))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
