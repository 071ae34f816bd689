# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far WAL has come on its way to each further repository: state/repositories/<number>.json.

Private to the collection.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import Any, Mapping, Optional

from ._files import File, read, write


@dataclass(frozen=True)
class Shipped:
    """Moments are seconds since the epoch. last is the newest WAL segment known to be there, last_at when it was
    brought by us (None when it was found there). error is the present trouble as PgkeepError.to_result() tells it."""

    last: Optional[str] = None
    last_at: Optional[float] = None
    failing_since: Optional[float] = None
    error: Optional[Mapping[str, Any]] = None
    alerted: bool = False


def _path(state_dir: str, number: int) -> str:
    return "%s/repositories/%d.json" % (state_dir, number)


def load(state_dir: str, number: int) -> Shipped:
    """Whatever cannot be read is as if nothing had been shipped yet; the repository itself is asked anyway."""
    try:
        return Shipped(**json.loads(read(_path(state_dir, number)) or "{}"))
    except (ValueError, TypeError):
        return Shipped()


def save(state_dir: str, number: int, shipped: Shipped) -> None:
    path = _path(state_dir, number)
    content = json.dumps(asdict(shipped), ensure_ascii=False) + "\n"
    if read(path) != content:
        os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
        write(File(path, content, 0o640, os.getuid(), os.getgid()))
