# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the keeper from the host: its command line answers with one JSON object. Private to the collection."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Optional, Sequence

from . import _docker as docker
from ._container import ContainerSpec, create_argv
from ._errors import PgkeepError
from ._layout import Layout
from ._run import Result, Run

COMMAND = "pgkeep"


def ask(run: Run, layout: Layout, argv: Sequence[str], timeout: Optional[float] = None) -> dict[str, Any]:
    """Run ``pgkeep argv`` in the running keeper and return its object. Raises the keeper's own PgkeepError."""
    result = docker.execute(run, layout.keeper, [COMMAND, *argv], timeout=timeout)
    if result.rc != 0 and any(words in result.stderr for words in ("No such container", "is not running", "is paused")):
        raise PgkeepError(
            "The keeper of %s cannot be asked" % layout.name,
            result.stderr.strip(),
            "docker start %s; if there is no such container, run the playbook deploy.yml" % layout.keeper,
        )
    return answer(result, argv)


def ask_once(run: Run, keeper: ContainerSpec, argv: Sequence[str], timeout: Optional[float] = None) -> dict[str, Any]:
    """The same from a container that lives for this one question: for a host whose keeper is gone or broken.

    keeper is its spec from the release; the mounts are made read-only where they are not already, except the spool,
    where the locks lie.
    """
    spec = replace(
        keeper,
        name=keeper.name + "-once",
        command=(COMMAND, *argv),
        mounts=tuple(mount if mount.endswith(":ro") or "-spool:" in mount else mount + ":ro" for mount in keeper.mounts),
        restart="no",
        ports=(),
        network="none",
    )
    docker.remove(run, spec.name)
    try:
        return answer(docker.attempt(run, create_argv(spec, "run --rm"), timeout=timeout), argv)
    finally:
        docker.remove(run, spec.name)


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
