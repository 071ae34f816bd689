# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of a drill in a container of its own, with the server's image and limits. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Sequence

from . import _docker as docker
from ._container import ContainerSpec, spec_from_dict
from ._keeper import ask
from ._layout import GID, SOCKET_MOUNT, STATE_MOUNT, UID, Layout
from ._restore_plan import require_release
from ._run import Result, Run
from ._sandbox import Recovery, access_settings, write_access
from ._throwaway import (
    MINIMUM_MEMORY,
    Place,
    derive,
    discard,
    host_path,
    is_mounted,
    prepare,
    remove_leftovers,
    require_space,
    start,
    wait_until_open,
)
from ._units import postgres_size

ROLE = "drill"

# For a copy with a network: the worker of an extension may call whomever it likes.
_QUIET = {"max_worker_processes": "0"}


@dataclass
class HostSandbox:
    """See Sandbox. server is the spec of the real one, from the release."""

    run: Run
    layout: Layout
    server: ContainerSpec
    memory_bytes: int
    cpus: float
    where: str = "host"
    inside_socket_dir: str = SOCKET_MOUNT

    @property
    def instance(self) -> str:
        return self.layout.name

    @property
    def name(self) -> str:
        """Of the container and its volume."""
        return "%s-%s" % (self.layout.name, ROLE)

    @property
    def place(self) -> Place:
        return Place(self.layout.home + "/" + ROLE)

    @property
    def jobs(self) -> int:
        return max(int(self.cpus), 1)

    @property
    def production(self) -> str:
        return self.layout.socket_dir

    @property
    def socket_dir(self) -> str:
        return self.place.socket_dir

    @property
    def state_dir(self) -> str:
        return self.layout.state_dir

    @property
    def dumps_dir(self) -> str:
        return host_path(self.run, self.layout.dumps_volume)

    @property
    def config_dir(self) -> str:
        return self.layout.keeper_config_dir

    @property
    def lock_files(self) -> Sequence[str]:
        return (self.layout.lock_file, self.layout.drill_lock_file)

    def ask(self, words: Sequence[str]) -> dict[str, Any]:
        return ask(self.run, self.layout, words)

    def clear(self) -> None:
        remove_leftovers(self.run, self.layout.name, ROLE)
        discard(self.place)

    def require_space(self, needed_bytes: int) -> None:
        root = str(docker.engine(self.run)["DockerRootDir"])
        require_space(root, needed_bytes, "drill of %s" % self.layout.name)

    def prepare(self) -> None:
        prepare(self.place)
        write_access(self.place.state_dir, UID, GID)
        docker.create_volume(self.run, self.name, self.layout.name, ROLE)

    def start(self, recovery: Recovery) -> None:
        """The rehearsal of a lost data volume: an empty one, the real entrypoint and settings."""
        quiet = {} if is_mounted(self.server, recovery.repository) else _QUIET
        spec = derive(
            self.server,
            self.place,
            name=self.name,
            role=ROLE,
            data=self.name,
            environment={"PGKEEP_RESTORE_ARGS": recovery.words, **recovery.environment},
            settings={
                "archive_mode": "off",
                "maintenance_work_mem": postgres_size(self.memory_bytes // 8),
                **access_settings(STATE_MOUNT),
                **quiet,
            },
            memory_bytes=self.memory_bytes,
            cpus=self.cpus,
            repository=recovery.repository,
        )
        start(self.run, spec)

    def wait(self, timeout_seconds: float) -> None:
        wait_until_open(self.run, self.name, self.socket_dir, timeout_seconds)

    def execute(self, argv: Sequence[str], timeout: float) -> Result:
        return docker.execute(self.run, self.name, argv, timeout=timeout)

    def tool(self, argv: Sequence[str]) -> Result:
        return docker.execute(self.run, self.layout.keeper, argv)

    def kill(self) -> None:
        docker.attempt(self.run, ["kill", self.name])

    def kept(self) -> str:
        return "docker logs %s" % self.name


def on_host(run: Run, name: str, memory_bytes: Optional[int] = None, cpus: Optional[float] = None) -> HostSandbox:
    """The sandbox for the instance called name; None means the default, half of the server's memory, its processors."""
    layout = Layout(name)
    server = spec_from_dict(require_release(layout)["server"])
    memory = memory_bytes or min(max(server.memory_bytes // 2, MINIMUM_MEMORY), server.memory_bytes)
    return HostSandbox(run, layout, server, memory, cpus or server.cpus)
