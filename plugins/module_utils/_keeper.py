# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the keeper from the host: its command line answers with one JSON object. Private to the collection."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Collection, Mapping, Optional, Sequence

from . import _docker as docker
from ._actor import ANSIBLE, actor
from ._container import ContainerSpec, aside, create_argv
from ._errors import PgkeepError
from ._layout import DATA_MOUNT, DUMPS_MOUNT, SCRATCH_MOUNT, SPOOL_MOUNT, Layout
from ._run import Result, Run

COMMAND = "pgkeep"

# str() of a PgkeepError.
_TOLD = re.compile(r"(.*?)\. Why: (.*?)\. Next: (.*)\.\Z", re.DOTALL)

# The engine's words for docker exec into nothing.
_NOT_THERE = ("No such container", "is not running", "is paused", "is restarting")


def ask(
    run: Run, layout: Layout, argv: Sequence[str], timeout: Optional[float] = None, who: Optional[str] = None
) -> dict[str, Any]:
    """Run ``pgkeep argv`` in the running keeper and return its object. Raises the keeper's own PgkeepError.

    who stands in the keeper's audit trail; without it, it is Ansible and the user it logged in as.
    """
    words = [COMMAND, "--actor", who or actor(ANSIBLE), *argv]
    result = docker.execute(run, layout.keeper, words, timeout=timeout)
    if result.rc != 0 and any(words in result.stderr for words in _NOT_THERE):
        raise PgkeepError(
            "The keeper of %s cannot be asked" % layout.name,
            result.stderr.strip(),
            "docker start %s; if there is no such container, run the playbook deploy.yml" % layout.keeper,
        )
    return answer(result, argv)


def once(
    run: Run,
    keeper: ContainerSpec,
    argv: Sequence[str],
    timeout: Optional[float] = None,
    *,
    missing: Collection[str] = (),
    network: str = "none",
) -> Result:
    """Run any command in a container made for it, for a host whose keeper is gone or broken.

    keeper is the spec from the release. The data volume, what is the keeper's own and volumes that are missing are left
    out, because Docker would make them, and what remains is read-only.
    """
    mounts = []
    for mount in keeper.mounts:
        source, inside = mount.split(":")[:2]
        if inside not in (DATA_MOUNT, SPOOL_MOUNT, SCRATCH_MOUNT, DUMPS_MOUNT) and source not in missing:
            mounts.append("%s:%s:ro" % (source, inside))
    spec = replace(
        aside(keeper), name=keeper.name + "-once", command=tuple(argv), mounts=tuple(mounts), network=network
    )
    docker.remove(run, spec.name)
    try:
        return docker.attempt(run, create_argv(spec, "run --rm"), timeout=timeout)
    finally:
        docker.remove(run, spec.name)


def require_readable(info: Mapping[str, Any]) -> None:
    """Raise what the keeper found wrong with the repository that the object backup_info describes."""
    if info["status"] != "error":
        return
    told = _TOLD.match(info["status_text"])
    if told:
        raise PgkeepError(*told.groups())
    raise PgkeepError(
        "The repository of %s cannot be read" % info["instance"], info["status_text"], "correct what it names"
    )


def answer(result: Result, argv: Sequence[str]) -> dict[str, Any]:
    """The object on standard output; an "error" in it is raised, and so is anything that is not such an object."""
    try:
        found = json.loads(result.stdout)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        words = (result.stderr.strip() or result.stdout.strip() or "it said nothing").splitlines()[-1]
        raise PgkeepError(
            "The keeper gave no answer to %s %s" % (COMMAND, argv[0]),
            "exit code %d: %s" % (result.rc, words),
            "read docker logs of the keeper; an image that is older than the collection is the usual cause",
        )
    error = found.get("error")
    if error:
        raise PgkeepError(error["what"], error["why"], error["next_step"], busy=bool(error.get("busy")))
    if result.rc != 0:
        raise PgkeepError("The keeper failed at %s %s" % (COMMAND, argv[0]), "exit code %d" % result.rc)
    return found
