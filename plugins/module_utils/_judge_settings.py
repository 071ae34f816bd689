# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New settings judged before they are in force. Private to the collection."""

from __future__ import annotations

import re
from dataclasses import replace

from . import _docker as docker
from ._container import aside, create_argv
from ._declared import Declared
from ._errors import PgkeepError
from ._keeper import COMMAND, answer
from ._layout import CONFIG_MOUNT, KEEPER_CONFIG_MOUNT, Layout, pgdata
from ._plan import Plan
from ._run import Run
from ._server import accepts_writes, message
from ._sql import query

# An option it does not know is only a warning; 31, 32 and 37 are options that are invalid, have a bad value or miss.
_OPTION_ERROR = re.compile(r"(?:WARN: |ERROR: \[03[127]\]: )(.*option.*)")

_HBA_ERRORS = "select line_number, error from pg_hba_file_rules where error is not null order by line_number"


def judge_settings(run: Run, declared: Declared, plan: Plan) -> None:
    """Let the running server judge the new files before they are in force, and before it is stopped for a successor.

    The first server has nobody to ask: it is judged by its start.
    """
    layout = declared.layout
    if any(change.file.path.startswith(layout.keeper_config_dir + "/") for change in plan.files):
        _judge_keeper(run, declared)
    if not plan.files or not accepts_writes(layout):
        return
    # -C of any setting reads and checks the whole configuration and starts nothing.
    command = ["postgres", "-D", pgdata(declared.major), "-c", "config_file=%s/postgresql.conf" % CONFIG_MOUNT]
    checked = docker.execute(run, layout.server, [*command, "-C", "data_directory"])
    errors = []
    if checked.rc != 0:
        said = checked.stderr.splitlines()
        # Without such a line it was not PostgreSQL that failed, and the last words are all there is.
        errors = [message(line) for line in said if "LOG:" in line] or said[-1:]
    errors += ["pg_hba.conf, line %s: %s" % error for error in query(layout.socket_dir, _HBA_ERRORS)]
    if any(change.file.path.startswith(layout.pgbackrest_config_dir) for change in plan.files):
        errors += _tool_errors(run, layout)
    if errors:
        raise PgkeepError(
            "The settings of %s are not valid" % layout.name,
            "; ".join(errors),
            "correct them in the inventory and run again",
        )


def _judge_keeper(run: Run, declared: Declared) -> None:
    """The keeper's own program reads its new files, in a container that has nothing else. Raises what it says."""
    keeper = declared.keeper
    argv = [COMMAND, "check-config"]
    spec = replace(
        aside(keeper),
        name=keeper.name + "-check",
        command=tuple(argv),
        mounts=tuple(mount for mount in keeper.mounts if mount.split(":")[1] == KEEPER_CONFIG_MOUNT),
    )
    docker.remove(run, spec.name)
    try:
        answer(docker.attempt(run, create_argv(spec, "run --rm"), timeout=60), argv[1:])
    finally:
        docker.remove(run, spec.name)


def _tool_errors(run: Run, layout: Layout) -> list[str]:
    """What pgBackRest says of its new settings. Each command checks only the options that it takes, so the one is run
    that archives WAL, on a file that is not there: bad options end it before it looks for the file."""
    nothing = "/nonexistent/000000010000000000000001"
    words = ["--stanza=" + layout.name, "--no-archive-async", "archive-push", nothing]
    said = docker.execute(run, layout.server, ["pgbackrest", *words], timeout=60)
    return ["pgbackrest.conf: " + found for found in _OPTION_ERROR.findall(said.stdout + said.stderr)]
