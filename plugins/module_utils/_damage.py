# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file of the repository is bad: pgBackRest's restore does not always say. Private to the collection."""

from __future__ import annotations

import re
from typing import Callable, Sequence

from ._errors import PgkeepError
from ._run import Result

Tool = Callable[[Sequence[str]], Result]

_CODE = re.compile(r"\[(\d{3})\]")
# Codes of pgBackRest that tell of settings, locks, targets and targets' directories, never of a file in the repository.
_HARMLESS = frozenset(("031", "032", "037", "038", "040", "050", "073", "075"))
# Its words for a host that does not answer, whatever code they come with.
_AWAY = re.compile(r"timeout (?:after|during)|unable to (?:connect to|get address)|HTTP request failed with 5")
# Lines of verify --verbose, such as: P01   INFO: invalid checksum '20261121-223930F/bundle/2'
_FINDING = re.compile(r"INFO: ((?:invalid|missing|file|size|unable)[^']*'[^']+')")
_NAMED = 5
_SECONDS = 600.0


class DamagedBackup(PgkeepError):
    """A failure whose cause is a bad file of the backup in the repository."""


def suspects_file(why: str) -> bool:
    """Whether a failure told like this may come from a bad file."""
    codes = set(_CODE.findall(why))
    return bool(codes) and not codes & _HARMLESS and not _AWAY.search(why)


def findings(log: str) -> list[str]:
    """What verify found, in its words: ``invalid checksum '20261121-223930F/bundle/2'``."""
    return list(dict.fromkeys(_FINDING.findall(log)))


def with_files(
    error: PgkeepError, tool: Tool, instance: str, label: str, repository: int = 1, seconds: float = _SECONDS
) -> PgkeepError:
    """error, and the bad files of the backup when it may be about them; tool runs a command where pgBackRest is. It is
    given so many seconds at the most.

    verify reads the whole backup, so it is asked only when something failed already; its exit code is always 0.
    """
    if not suspects_file(error.why):
        return error
    # In the container, because it would go on there when the engine's client is ended.
    argv = [
        "timeout",
        "%d" % max(min(seconds, _SECONDS), 1),
        "pgbackrest",
        "--stanza=" + instance,
        "--repo=%d" % repository,
        "--set=" + label,
        "--log-level-stderr=off",
    ]
    try:
        found = findings(tool([*argv, "--log-level-console=info", "--output=text", "--verbose", "verify"]).stdout)
    except PgkeepError:
        return error
    if not found:
        return error
    more = " and %d more" % (len(found) - _NAMED) if len(found) > _NAMED else ""
    return DamagedBackup(
        error.what,
        "%s; in the repository: %s%s" % (error.why, ", ".join(found[:_NAMED]), more),
        "choose another backup with label (backup_info lists them), then look after the repository's disk",
    )
