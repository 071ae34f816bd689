# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules backup, restore_point and backup_info: what they ask of the keeper. Private to the collection."""

from __future__ import annotations

import time
from typing import Any, Mapping

from ._backup_all import ALL
from ._errors import PgkeepError
from ._keeper import ask
from ._layout import Layout
from ._run import Run

TYPES = ("full", "diff", "incr")

# The keeper answers a list in less than a second; a slow store of objects takes longer.
INFO_SECONDS = 120


def backup(run: Run, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Take a backup and return what the keeper says: backup, changed, plan, expired, repositories."""
    layout = Layout(params["name"])
    argv = ["backup", "--type", params["type"]]
    if params["repository"] != ALL:
        argv += ["--repo", params["repository"]]
    if params["max_age_seconds"] is not None:
        argv += ["--max-age", str(params["max_age_seconds"])]
    if check_mode:
        argv.append("--check")
    timeout = params["timeout_seconds"]
    begun = time.monotonic()
    try:
        return ask(run, layout, argv, timeout=timeout)
    except PgkeepError as error:
        if time.monotonic() - begun < timeout:
            raise
        raise PgkeepError(
            "The backup of %s is not finished" % layout.name,
            "it takes longer than timeout_seconds, %d s; it goes on in the keeper" % timeout,
            "ask backup_info until running is false, and look at newest_clean; raise timeout_seconds for the next time",
        ) from error


def restore_point(run: Run, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make a restore point and return what the keeper says: restore_point, changed."""
    argv = ["restore-point", "--name", params["restore_point"], "--timeout", str(params["timeout_seconds"])]
    answer = ask(run, Layout(params["name"]), [*argv, *(["--check"] if check_mode else [])])
    return {"changed": True, "restore_point": answer["restore_point"]}


def backup_info(run: Run, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """What is known about the backups; reads only, so check mode is the same."""
    answer = ask(run, Layout(params["name"]), ["info"], timeout=INFO_SECONDS)
    result = {"changed": False, "backup_info": answer["backup_info"]}
    warnings = answer["backup_info"].get("warnings")
    return {**result, "warnings": warnings} if warnings else result


def backup_prune(run: Run, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Keep only the newest clean backups; returns what the keeper says: prune and changed."""
    argv = ["prune", "--keep", str(params["keep"])]
    return ask(run, Layout(params["name"]), [*argv, "--check"] if check_mode else argv, timeout=INFO_SECONDS * 10)
