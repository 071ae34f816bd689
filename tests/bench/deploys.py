# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deploy beside what anybody would type, and the return after a crash."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from statistics import median

from ansible_collections.pgkeep.postgres.plugins.module_utils._gates import at_once
from ansible_collections.pgkeep.postgres.plugins.module_utils._outage import Outage
from ansible_collections.pgkeep.postgres.plugins.module_utils._probe import Target

from .tools import (
    FLOOR,
    NAME,
    PORT,
    ROUNDS,
    compare,
    drop_floor,
    drop_instance,
    fact,
    init_floor,
    module,
    play,
    row,
    seconds,
    server_image,
    sh,
    start_floor,
    until_writes,
)


def _recap(output: str) -> dict[str, int]:
    """Counts of the recap; ok is every executed task, the changed ones included."""
    found = re.search(rf"^{NAME} .*?: (.*)$", output, re.MULTILINE)
    assert found, output
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", found[1])}


def _floor(image_id: str) -> None:
    """What anybody would type: a volume, initdb, start, ready."""
    init_floor(image_id)
    # The same size and a published port: what an application needs of it.
    publish = ["--publish", f"127.0.0.1:{PORT + 1}:5432", "--restart", "unless-stopped"]
    start_floor(image_id, {"shared_buffers": "256MB", "listen_addresses": "*"}, publish)


def _kill_and_wait(container: str) -> None:
    pid = json.loads(sh("docker", "inspect", container))[0]["State"]["Pid"]
    os.kill(pid, 9)
    until_writes(container)


def _deploys(inventory: Path) -> None:
    outputs: list[str] = []
    # The image is there before the clock runs: building it is not what is compared.
    play(inventory, "deploy.yml")
    drop_instance()
    first = seconds(lambda: outputs.append(play(inventory, "deploy.yml")))
    again = seconds(lambda: outputs.append(play(inventory, "deploy.yml")))
    image_id = server_image()
    bare = seconds(lambda: _floor(image_id))
    counts = [_recap(output) for output in outputs]
    row("first deploy, backup and drill included / bare run", first, bare, "below 27 s")
    row("deploy without a change / bare run", again, bare, "below 8.2 s")
    fact("tasks executed by the first deploy", counts[0]["ok"], "at most 30")
    fact("tasks executed without a change", counts[1]["ok"], f"at most 20, changed={counts[1]['changed']}")


def _plain_restart() -> float:
    """Seconds without an answer, for the same client that measures ours."""
    client = Path(f"/etc/pgkeep/{NAME}/client")
    password = (client / "monitor.password").read_text().strip()
    target = Target("127.0.0.1", PORT, "pgkeep_monitor", password, str(client / "ca.crt"))
    with Outage([lambda: at_once([target])]) as outage:
        sh("docker", "restart", NAME)
        until_writes(NAME)
        return outage.stop() / 1000


def _rollbacks(inventory: Path) -> None:
    """To and fro between two releases with a container each."""
    play(inventory, "deploy.yml", "-e", "postgres_server_memory=1100MB")
    releases = sorted(path.stem for path in Path(f"/var/lib/pgkeep/{NAME}/releases").glob("*.json"))[-2:]
    ours, plain = [], []
    # It ends with the first one, which the others are measured with.
    for release in (releases * ROUNDS)[:-1]:
        output = module(inventory, "rollback", f"release={release}")
        found = re.search(r"interruption_ms\W+(\d+)", output)
        assert found, output
        ours.append(int(found[1]) / 1000)
        plain.append(_plain_restart())
    row("rollback: time without a server / plain restart", median(ours), median(plain), "<= 1.5")


def measure(inventory: Path) -> None:
    _deploys(inventory)
    _rollbacks(inventory)
    compare(
        "kill -9 of PID 1 to accepting writes",
        "<= 1.2",
        lambda: _kill_and_wait(NAME),
        lambda: _kill_and_wait(FLOOR),
    )
    drop_floor()
