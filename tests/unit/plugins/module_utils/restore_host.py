# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as a restore finds it: the recorded data directory after a clean stop, an engine that answers, a release."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible_collections.pgkeep.postgres.plugins.module_utils import _release
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .instance_options import options
from .recorded import load

SYSTEM_ID = 7710752740587556885
READING = ("inspect", "info", "exec", "ps", "ls")


class Host:
    """found: (kind, name) -> what docker inspect says; everything else does not exist. Commands are remembered."""

    def __init__(self, tmp_path: Any, monkeypatch: Any) -> None:
        self.path = tmp_path
        for name in ("home", "config_dir"):
            monkeypatch.setattr(Layout, name, property(lambda self, place=name: str(tmp_path / place)))
        self.layout = Layout("app")
        self.commands: list[list[str]] = []
        self.info: dict[str, Any] = load("drill/info.json")
        self.keeper_answer: Any = None
        declared = declare(options(), "sha256:server", "sha256:keeper")
        for path in (self.layout.state_dir, self.layout.server_config_dir, self.layout.pgbackrest_config_dir):
            os.makedirs(path)
        os.makedirs(self.layout.releases_dir)
        # The real one gives files to the container's group, which only root can.
        monkeypatch.setattr(_release, "write", _write)
        _release.record(self.layout, 17, declared.server, declared.keeper, ())
        for path in (
            self.layout.server_config_dir + "/postgresql.conf",
            self.layout.pgbackrest_config_dir + "/pgbackrest.conf",
        ):
            open(path, "w").close()
        self.data = tmp_path / "volume/17/data"
        running = {"State": {"Running": True, "Restarting": False}, "RestartCount": 0}
        self.found: dict[tuple[str, str], Any] = {
            ("container", "app"): running,
            ("container", "app-keeper"): running,
            ("image", "sha256:server"): {},
            ("image", "sha256:keeper"): {},
            ("volume", "app-data"): {"Mountpoint": str(tmp_path / "volume"), "Options": None},
            ("volume", "app-repo"): {"Mountpoint": "/repo", "Options": None},
            ("volume", "app-spool"): {"Mountpoint": "/spool", "Options": None},
            ("volume", "app-scratch"): {"Mountpoint": "/scratch", "Options": None},
            ("volume", "app-dumps"): {"Mountpoint": "/dumps", "Options": None},
        }
        self._write_data()

    def _write_data(self) -> None:
        files = load("pgfiles/clean.json")
        (self.data / "global").mkdir(parents=True)
        (self.data / "global/pg_control").write_bytes(bytes.fromhex(files["pg_control"]))
        (self.data / "pg_wal/archive_status").mkdir(parents=True)
        for name, head in files["segments"].items():
            (self.data / "pg_wal" / name).write_bytes(bytes.fromhex(head))
        for name in files["archive_status"]:
            (self.data / "pg_wal/archive_status" / name).touch()
        for name, text in files["histories"].items():
            (self.data / "pg_wal" / name).write_text(text)

    def history(self, text: str) -> None:
        with open(self.layout.state_dir + "/history", "w") as handle:
            handle.write(text)

    def __call__(self, argv: list[str], data: Any = None, env: Any = None, timeout: Any = None) -> Result:
        self.commands.append(argv)
        words = argv[1:]
        if words[1] == "inspect":
            kind, name = words[0], words[2]
            if (kind, name) in self.found:
                return Result(0, json.dumps([self.found[kind, name]]))
            return Result(1, "", "Error: No such %s: %s" % (kind, name))
        if words[0] == "info":
            return Result(0, json.dumps({"DockerRootDir": str(self.path)}))
        if words[0] in ("exec", "run") and "pgkeep" in words:
            return self.keeper_answer or Result(0, json.dumps(self.info))
        return Result(0, "")

    def writing(self) -> list[list[str]]:
        """The commands that may have changed something."""
        return [argv for argv in self.commands if not set(READING) & set(argv[1:3])]


def _write(file: Any) -> None:
    with open(file.path, "w") as handle:
        handle.write(file.content)
