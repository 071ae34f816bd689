# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance for the tests of the monitor: the recorded status, an engine that knows its containers."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils._board import present
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._monitor_status import observe
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .recorded import load

NOW = 1795514405.0
HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold red]x[/] \u202egnp.exe\r\nnext\tline 日本"


def container(name: str, status: str = "running", health: Any = "healthy") -> dict[str, Any]:
    state = {
        "Status": status,
        "StartedAt": "2026-11-24T08:34:40.5Z",
        **({"Health": {"Status": health}} if health else {}),
    }
    ports = (
        {"8432/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9432"}]}
        if name.endswith("-keeper") and status == "running"
        else {}
    )
    return {"Name": "/" + name, "State": state, "RestartCount": 0, "NetworkSettings": {"Ports": ports}}


def engine(*containers: dict[str, Any]):
    """A runner that has these containers; as docker, it fails when one of those it is asked for is absent."""

    def run(argv, data=None, env=None, timeout=None):
        assert argv[:3] == ["docker", "container", "inspect"]
        there = [each for each in containers if each["Name"].lstrip("/") in argv[3:]]
        missing = len(there) < len(argv[3:])
        return Result(int(missing), json.dumps(there), "Error: No such container: x" if missing else "")

    return run


def status(**changes: Any) -> dict[str, Any]:
    """The recorded snapshot as /status answers it two seconds later, with changes."""
    return {**present(load("keeper/status.json"), NOW, 5.0), **changes}


def seen(tmp_path: Any, monkeypatch: Any, get: Any = None, *containers: dict[str, Any]) -> dict[str, Any]:
    """What observe() makes of it; get answers for the keeper."""
    monkeypatch.setattr(Layout, "config_dir", property(lambda self: str(tmp_path)))
    (tmp_path / "client").mkdir(exist_ok=True)
    (tmp_path / "client/keeper.token").write_text("secret\n")
    there = containers or tuple(container(name) for name in ("app", "app-keeper", "app-pooler"))
    return observe(engine(*there), Layout("app"), NOW, get or (lambda url, token: json.dumps(status())))
