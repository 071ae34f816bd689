# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is known about the dumps of an instance. Private to the collection."""

from __future__ import annotations

import os
from typing import Any, Optional

from . import _dump_manifest as manifests
from . import _dump_settings as settings_of
from ._backup_repository import Keeper
from ._dump import described, read_through
from ._dump_manifest import Dump, Run
from ._dump_pipe import Deadline, within
from ._errors import PgkeepError


def info(keeper: Keeper, *, verify: bool = False) -> dict[str, Any]:
    """The object dumps. verify: read every file and let pg_restore read every dump, instead of looking at sizes."""
    deadline = within(settings_of.load(keeper).deadline_seconds)
    found = manifests.runs(keeper)
    runs, unreadable, newest = [], [], {}
    for each in found:
        if each.run is None:
            unreadable.append({"run": each.name, "why": each.why})
            continue
        problems = _problems(keeper, each.run, deadline, verify=verify)
        runs.append(described(keeper, each.run, problems))
        newest.update({dump.database: each.run.run for dump in each.run.databases if dump.file not in problems})
    disk = os.statvfs(keeper.dumps)
    return {
        "instance": keeper.instance,
        "verified": verify,
        "runs": runs,
        "unreadable": unreadable,
        "newest": newest,
        "size_bytes": sum(run["size_bytes"] for run in runs),
        "free_bytes": disk.f_bavail * disk.f_frsize,
    }


def _problems(keeper: Keeper, run: Run, deadline: Deadline, *, verify: bool) -> dict[str, str]:
    folder = "%s/%s" % (keeper.dumps, run.run)
    problems = {}
    for stored in run.files:
        wrong = manifests.problem(folder, stored, reread=verify)
        if wrong is None and verify and isinstance(stored, Dump):
            wrong = _unreadable(keeper, folder + "/" + stored.file, run, deadline)
        if wrong is not None:
            problems[stored.file] = wrong
    return problems


def _unreadable(keeper: Keeper, path: str, run: Run, deadline: Deadline) -> Optional[str]:
    try:
        if run.encrypted:
            settings_of.require_passphrase(keeper)
        read_through(keeper, "not read", path, deadline, encrypted=run.encrypted, whole=True)
    except PgkeepError as error:
        return error.why
    return None
