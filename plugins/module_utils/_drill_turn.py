# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old the proof of each repository is, and whose turn it is; from files of this machine alone, so that nobody waits
for a repository that is away. Private to the collection.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any, Callable, Optional, Sequence

from ._backup_repository import Keeper, types
from ._drill_checks import TOPIC, parse
from ._drill_record import summary
from ._errors import PgkeepError
from ._interrupt import Interrupted
from ._keeper_config import topic
from ._times import epoch_of

# What a drill is asked for instead of a number: the repository whose turn it is.
DUE = "due"
# Whoever was proven within it needs no drill because that of another repository failed.
_RECENT_SECONDS = 20 * 3600.0


@dataclass(frozen=True)
class Proof:
    """Of one repository. proven_at: when the last drill that passed began, None when none did. declared_at: since when
    its settings are what they are. Seconds since the epoch."""

    number: int
    type: str
    proven_at: Optional[float]
    declared_at: float

    def age(self, now: float, since: float = 0.0) -> float:
        """Seconds without a proof. One that was never proven is that old since it was declared, at the most since."""
        begin = max(self.declared_at, since) if self.proven_at is None else self.proven_at
        return max(now - begin, 0.0)


def proofs(keeper: Keeper) -> list[Proof]:
    """Of the repositories that the drills take in turn, by number: all, or those that the inventory names.

    Raises PgkeepError for settings that cannot be used.
    """
    kinds = types(keeper)
    wanted = parse(keeper.instance, topic(keeper, TOPIC)).repositories
    numbers = sorted(kinds.keys() & set(wanted)) or sorted(kinds)
    return [
        Proof(
            number,
            kinds[number],
            epoch_of(summary(keeper.state, number)["last_passed_at"]),
            _declared_at(keeper, number),
        )
        for number in numbers
    ]


def _declared_at(keeper: Keeper, number: int) -> float:
    """A deploy writes only what is new. An instance of an early release has one file for all repositories."""
    for name in ("archive.conf" if number == 1 else "repository%d.conf" % number, "pgbackrest.conf"):
        with contextlib.suppress(FileNotFoundError):
            return os.stat("%s/%s" % (keeper.tool_config, name)).st_mtime
    return 0.0


def take_turns(found: Sequence[Proof], prove: Callable[[int], dict[str, Any]], now: float) -> dict[str, Any]:
    """What prove returns for the repository whose proof is the oldest.

    When that fails the next one has its turn, so that a broken repository keeps no other from being proven; the first
    error is raised all the same. One that says busy ends it: somebody else works, and would say the same again.
    """
    result: dict[str, Any] = {}
    first: Optional[PgkeepError] = None
    for proof in sorted(found, key=lambda each: (each.proven_at or 0.0, each.number)):
        if first is not None and now - (proof.proven_at or 0.0) < _RECENT_SECONDS:
            continue
        try:
            result = prove(proof.number)
            break
        except Interrupted:
            raise
        except PgkeepError as error:
            first = first or error
            if error.busy:
                break
    if first is not None:
        raise first
    return result
