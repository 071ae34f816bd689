# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the further repositories are, from files of this machine alone: nobody waits for one that is down.

Private to the collection.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from ._backup_repository import Keeper
from ._files import read
from ._layout import Layout
from ._repositories import parse
from ._run import Run
from ._ship import archived_here, behind
from ._ship_state import load

# WAL arrives seconds after it was written; what is behind is lost with the machine. Warning from, critical above.
LAG_SECONDS = (900.0, 86400.0)


def look(run: Run, layout: Layout, repository: Optional[str], now: float) -> list[dict[str, Any]]:
    """number, type, begun, lag_seconds, failing_seconds and error of each repository besides the first one.

    repository is the host folder of the first one, None where that is not known: the lag is None then. begun: whether
    any WAL was brought there. Raises OSError.
    """
    keeper = Keeper(
        layout.name,
        run,
        "",
        repository=repository or "",
        state=layout.state_dir,
        tool_config=layout.pgbackrest_config_dir,
    )
    return of(keeper, now)


def of(keeper: Keeper, now: float) -> list[dict[str, Any]]:
    """The same for whoever is a keeper; its repository is empty where that is not known."""
    types = parse(read(keeper.tool_config + "/pgbackrest.conf") or "")
    found = []
    here: Mapping[str, float] = {}
    if keeper.repository and len(types) > 1:
        here = archived_here(keeper)[1]
    for number in sorted(types):
        if number == 1:
            continue
        shipped = load(keeper.state, number)
        oldest = min(behind(here, shipped.last), default=now)
        found.append(
            {
                "number": number,
                "type": types[number],
                "begun": shipped.last is not None,
                "lag_seconds": None if shipped.last is None or not keeper.repository else max(now - oldest, 0.0),
                "failing_seconds": None if shipped.failing_since is None else max(now - shipped.failing_since, 0.0),
                "error": " ".join(str((shipped.error or {}).get("why") or "").split()) or None,
            }
        )
    return found


def seconds_behind(found: Sequence[Mapping[str, Any]]) -> float:
    """The longest that any of them is behind, or fails already."""
    return max((each[name] or 0.0 for each in found for name in ("lag_seconds", "failing_seconds")), default=0.0)
