# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the keeper answers many at once, whatever its database does."""

from __future__ import annotations

import asyncio
import statistics
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from .tools import NAME, PORT, fact, sh, until_writes

ENDPOINTS = PORT + 4000
_CLIENTS = 50
_SECONDS = 5.0
_SCRAPES = 20
_REQUEST = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

# Until the keeper has seen what happened to the server, and until it has looked again.
_NOTICED_SECONDS = 30.0


async def _ask() -> tuple[float, bytes]:
    """Seconds and code of one question with its own connection, as a load balancer asks."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", ENDPOINTS)
    writer.write(_REQUEST)
    answer = await reader.read()
    taken = time.monotonic() - began
    writer.close()
    await writer.wait_closed()
    return taken, answer[9:12]


async def _client(end: float, found: list[tuple[float, bytes]]) -> None:
    while time.monotonic() < end:
        found.append(await _ask())


async def _crowd() -> list[tuple[float, bytes]]:
    """Every client asks again as soon as it has its answer."""
    found: list[tuple[float, bytes]] = []
    end = time.monotonic() + _SECONDS
    await asyncio.gather(*(_client(end, found) for _turn in range(_CLIENTS)))
    return found


def _ready(state: str) -> None:
    found = asyncio.run(_crowd())
    taken = statistics.quantiles([seconds * 1000 for seconds, _code in found], n=100)
    codes = ", ".join(f"{number} x {code.decode()}" for code, number in Counter(code for _taken, code in found).items())
    fact(f"/ready, {_CLIENTS} clients at once, database {state} ({codes}): p50", f"{taken[49]:.1f} ms")
    fact("  p99", f"{taken[98]:.1f} ms", "<= 50 ms")


def _until(code: bytes) -> None:
    end = time.monotonic() + _NOTICED_SECONDS
    while asyncio.run(_ask())[1] != code and time.monotonic() < end:
        time.sleep(0.2)


def _while(state: str, begin: Callable[[], object], over: Callable[[], object]) -> None:
    begin()
    try:
        _until(b"503")
        _ready(state)
    finally:
        over()
    _until(b"200")


def _start() -> None:
    sh("docker", "start", NAME)
    until_writes(NAME)


def _scrape() -> float:
    token = Path(f"/etc/pgkeep/{NAME}/client/keeper.token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    began = time.monotonic()
    with urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{ENDPOINTS}/metrics", headers=headers)
    ) as got:
        got.read()
    return time.monotonic() - began


def measure() -> None:
    _until(b"200")
    _ready("healthy")
    _while("hung", lambda: sh("docker", "pause", NAME), lambda: sh("docker", "unpause", NAME))
    _while("down", lambda: sh("docker", "stop", NAME), _start)
    taken = [_scrape() * 1000 for _turn in range(_SCRAPES)]
    fact(f"/metrics, the slowest of {_SCRAPES} scrapes", f"{max(taken):.1f} ms", "<= 100 ms")
