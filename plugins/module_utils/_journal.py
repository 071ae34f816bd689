# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy has begun to change, on disk until it is committed or taken back. Private to the collection.

It is written before anything is touched. A deploy that is killed leaves it, with the files and containers as they were
under second names, which no instance can have: the next run goes on from there, and what that takes back is the whole.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any, Iterable, Mapping, Optional

from . import _docker as docker
from ._errors import PgkeepError
from ._files import File, forget, read, write
from ._layout import LABEL_INSTANCE, Layout
from ._release import in_force
from ._run import Run


@dataclass
class Journal:
    """base: the release in force when it began. served: whether the server accepted writes then. waiting: settings that
    waited for a restart then. restarted: whether the server was started on other files than before.

    files: path -> whether it was there. containers: name -> what was first done to it. units: whether systemd was told
    of other timers. able: (database, user) of the applications that could log in, None where nobody asked. crosses:
    whether the major version changes. paused: whether clients of the pooler may wait. killed: whether an earlier run
    began it.
    """

    base: str
    served: bool
    waiting: list[str] = field(default_factory=list)
    restarted: bool = False
    files: dict[str, bool] = field(default_factory=dict)
    containers: dict[str, str] = field(default_factory=dict)
    units: bool = False
    restore_point: Optional[str] = None
    able: Optional[list[tuple[str, str]]] = None
    crosses: bool = False
    paused: bool = False
    killed: bool = False

    def save(self, layout: Layout) -> None:
        write(File(_path(layout), json.dumps(asdict(self), sort_keys=True) + "\n", 0o600, gid=0))

    def note(self, run: Run, layout: Layout, files: Mapping[str, bool], containers: Mapping[str, str]) -> None:
        """What is about to be touched, files by whether they are there. What a killed run noted stays as it is."""
        for path in files.keys() - self.files.keys():
            forget(path)
        _remove(run, layout, map(former, containers.keys() - self.containers.keys()))
        self.files = {**files, **self.files}
        # Server, keeper, pooler, which is the order of a plan, and on disk too.
        self.containers = dict(sorted({**containers, **self.containers}.items()))
        if self.files or self.containers:
            self.save(layout)

    def close(self, run: Run, layout: Layout) -> None:
        """Nothing of it is taken back any more."""
        _remove(run, layout, [other(name) for name in self.containers for other in (former, successor)])
        for path in self.files:
            forget(path)
        drop(layout)


def _path(layout: Layout) -> str:
    return layout.releases_dir + "/journal"


def drop(layout: Layout) -> None:
    if pending(layout):
        os.unlink(_path(layout))


def pending(layout: Layout) -> bool:
    return os.path.exists(_path(layout))


def begun(layout: Layout) -> Optional[Journal]:
    """The journal of a deploy that was killed, None when there is none."""
    text = read(_path(layout))
    if text is None:
        return None
    try:
        values: dict[str, Any] = json.loads(text)
        # Not saved when they begin to wait, which would be one more thing to wait for.
        return Journal(**{**values, "paused": True, "killed": True})
    except (ValueError, TypeError) as error:
        raise PgkeepError(
            "The deploy of %s that was killed cannot be gone on with" % layout.name,
            "%s: %s" % (_path(layout), error),
            "look at docker ps --all, remove that file, then deploy",
        ) from error


def close_committed(run: Run, layout: Layout) -> None:
    """A run that was killed after its commit left only names to tidy up."""
    journal = begun(layout)
    if journal is not None and journal.base != in_force(layout):
        journal.close(run, layout)


def former(name: str) -> str:
    """Where the container name waits that is being replaced."""
    return name + ".former"


def successor(name: str) -> str:
    """Where the container is made that will be name."""
    return name + ".next"


def containers(run: Run, layout: Layout) -> set[str]:
    """Names of all containers that were made for the instance: another one's are never touched."""
    argv = ["ps", "--all", "--filter", "label=%s=%s" % (LABEL_INSTANCE, layout.name), "--format", "{{.Names}}"]
    return set(docker.docker(run, argv, what="The containers of %s cannot be listed" % layout.name).split())


def _remove(run: Run, layout: Layout, names: Iterable[str]) -> None:
    wanted = set(names)
    for name in sorted(wanted & containers(run, layout) if wanted else wanted):
        docker.remove(run, name)
