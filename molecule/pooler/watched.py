# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the keeper says of the pooler while clients wait for it, while it hangs and while it is gone; and that a restart
of the keeper forgets nothing. Arguments: instance, port of the endpoints, clients; or only the first two, where there
is no pooler any more."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from typing import Any, Callable

NAME, PORT, *CLIENTS = sys.argv[1:]
POOLER, KEEPER = NAME + "-pooler", NAME + "-keeper"
# Some looks and some for a slow machine.
SOON_SECONDS = 40.0


def docker(*words: str) -> None:
    subprocess.run(["docker", *words], check=True, stdout=subprocess.DEVNULL)


def asked(path: str) -> str:
    with open("/etc/pgkeep/%s/client/keeper.token" % NAME, encoding="utf-8") as handle:
        token = handle.read().strip()
    request = urllib.request.Request(
        "http://127.0.0.1:%s/%s" % (PORT, path), headers={"Authorization": "Bearer " + token}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(answer.read().decode())


def check(found: Any, name: str) -> Any:
    return next(each for each in found["checks"] if each["id"] == name)


def until(words: str, condition: Callable[[Any], Any]) -> Any:
    """Wait until the snapshot fulfils condition; whatever the pooler does, it may not become stale meanwhile."""
    began, found = time.monotonic(), None
    while time.monotonic() - began < SOON_SECONDS:
        found = json.loads(asked("status"))
        assert found["live"], "the snapshot became stale: %(snapshot_age_ms)s ms" % found
        if condition(found):
            sys.stdout.write("%4.1f s until %s\n" % (time.monotonic() - began, words))
            return found
        time.sleep(0.2)
    parts = {name: found[name] for name in ("pool", "reasons", "taken_at")}
    raise SystemExit("no sign of %s: %s" % (words, json.dumps(parts)))


def busy() -> None:
    """More clients than connections, so that some of them wait."""
    argv = ["psql", "service=app-pooler", "-XAtqc", "select pg_sleep(60)"]
    sleepers = [subprocess.Popen(argv, stdout=subprocess.DEVNULL) for _client in range(int(CLIENTS[0]))]
    try:
        found = until("clients that wait for others", lambda look: look["pool"]["clients_waiting"])["pool"]
        metrics = asked("metrics")
    finally:
        for sleeper in sleepers:
            sleeper.terminate()
            sleeper.wait()
    # Who has logged in and asked nothing yet is active too.
    assert 0 < found["servers_active"] <= found["clients_active"], found
    assert found["clients_active"] + found["clients_waiting"] <= len(sleepers), found
    assert "\npgkeep_pool_clients_waiting " in metrics, metrics


def broken() -> None:
    well = until("a pooler that is well", lambda found: check(found, "pooler")["value"] == "accepting")
    assert well["pool"]["up"], well["pool"]
    docker("pause", POOLER)
    try:
        found = until("a pooler that hangs", lambda found: not found["pool"]["up"])
    finally:
        docker("unpause", POOLER)
    assert found["pool"]["clients_active"] is None, found["pool"]
    docker("stop", "--time=1", POOLER)
    try:
        found = until("a pooler that is gone", lambda found: check(found, "pooler")["status"] == "critical")
        metrics = asked("metrics")
    finally:
        docker("start", POOLER)
    # The server is there all the time.
    assert found["ready"], found["reasons_not_ready"]
    assert "\npgkeep_pool_up 0.0\n" in metrics, metrics
    until("a pooler that is back", lambda found: found["pool"]["up"])


def remembered() -> None:
    """The minutes that are over."""
    before = json.loads(asked("status"))["history"]["sessions_active"]
    assert [value for value in before[:-1] if value is not None], before
    docker("restart", KEEPER)
    end = time.monotonic() + SOON_SECONDS
    after: list[Any] = []
    while not after:
        try:
            after = json.loads(asked("status"))["history"]["sessions_active"]
        except OSError:
            after = []
        assert time.monotonic() < end, "the keeper does not come back"
        time.sleep(0.2)
    # It may have lost the last of them, and begun another one.
    over = before[:-1]
    assert over in (after[: len(over)], after[-len(over) - 1 : -1]), (before, after)


if CLIENTS:
    busy()
    broken()
    remembered()
else:
    until("no pooler", lambda found: found["pool"] is None)
