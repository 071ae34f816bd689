# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts that were recorded from a real instance, and how a test changes one of them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parents[3] / "fixtures"


def load(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text())


def changed(facts: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of facts with value at path (keys with dots between)."""
    result = copy.deepcopy(facts)
    *above, last = path.split(".")
    place: Any = result
    for key in above:
        place = place[int(key)] if isinstance(place, list) else place[key]
    place[int(last) if isinstance(place, list) else last] = value
    return result


def without(facts: dict[str, Any], source: str, why: str = "gone") -> dict[str, Any]:
    """A copy of facts in which source could not be read."""
    result = copy.deepcopy(facts)
    del result[source]
    result["errors"][source] = {"why": why, "next_step": ""}
    return result
