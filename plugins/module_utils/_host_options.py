# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The longer options of the commands of pgkeep on a host. Private to the collection."""

from __future__ import annotations

import argparse
from typing import Any, Mapping

# Options as argparse takes them.
Options = tuple[tuple[str, Mapping[str, Any]], ...]

CHECK = ("--check", {"action": "store_true", "help": "only say what would be done"})

# Field of _restore_plan.Request -> option. A new kind of target is a new row.
RESTORE: Options = (
    (
        "action",
        {
            "nargs": "?",
            "choices": ("restore", "preview", "promote", "clone", "abandon", "sweep"),
            "default": "restore",
            "help": "preview makes a read-only copy to look at, promote puts it in place; clone makes one --into with"
            " a volume of its own; abandon ends the preview or the clone --into, sweep what is over;"
            " default: %(default)s",
        },
    ),
    ("--label", {"help": "the state at the end of this backup"}),
    ("--restore-point", {"metavar": "NAME", "help": "everything up to this point of the command restore-point"}),
    ("--lsn", {"help": "everything written before this position, such as 0/3000060"}),
    ("--xid", {"help": "everything up to and with this transaction"}),
    ("--immediate", {"action": "store_true", "help": "the state at the end of the newest clean backup"}),
    ("--repository", {"type": int, "metavar": "N", "help": "default: the first one that has a backup"}),
    (
        "--time",
        {"help": "everything committed before this moment, such as '2026-01-05 02:00:00+00'; a timezone is required"},
    ),
    (
        "--keep-previous",
        {"type": int, "default": 1, "metavar": "N", "help": "old data directories that stay; default: %(default)s"},
    ),
    ("--timeout-seconds", {"type": int, "default": 21600, "metavar": "N", "help": "default: %(default)s"}),
    ("--into", {"metavar": "NAME", "help": "name of the clone"}),
    ("--port", {"type": int, "help": "port of 127.0.0.1 for the clone"}),
    ("--masking-sql-file", {"metavar": "PATH", "help": "script for psql that masks the clone before it has a network"}),
    (
        "--ttl-seconds",
        {"type": int, "default": 14400, "metavar": "N", "help": "how long a copy stands; default: %(default)s"},
    ),
)
# What replaces the data; the other actions leave them alone.
REPLACING = ("restore", "promote")
DRILL: Options = (
    ("--label", {"help": "prove this backup instead of the newest clean one"}),
    ("--repository", {"type": int, "default": 1, "metavar": "N", "help": "default: %(default)s"}),
    ("--timeout-seconds", {"type": int, "metavar": "N", "help": "default: what the inventory says"}),
)


def seconds(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 3600:
        raise argparse.ArgumentTypeError("%s is not between 1 and 3600" % text)
    return value


MONITOR: Options = (
    ("--once", {"action": "store_true", "help": "print it once; exit code 0 healthy, 1 warning, 2 critical"}),
    ("--plain", {"action": "store_true", "help": "lines, also where there is a terminal"}),
    ("--interval", {"type": seconds, "default": 5.0, "metavar": "N", "help": "seconds; default: %(default)g"}),
)
