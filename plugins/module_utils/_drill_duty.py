# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper cleans up after a drill that was killed; its topic is judged here. Private to the collection."""

from __future__ import annotations

import os

from . import _sandbox_keeper as sandbox
from ._backup_repository import Keeper
from ._drill_checks import TOPIC, parse
from ._errors import PgkeepError
from ._keeper_config import topic
from ._layout import DRILL_LOCK, SCRATCH_MOUNT
from ._lock import hold


def check(keeper: Keeper) -> None:
    parse(keeper.instance, topic(keeper, TOPIC))


def tick(keeper: Keeper, scratch: str = SCRATCH_MOUNT) -> None:
    """Remove what no drill uses: the lock is free, so nobody works there."""
    if not os.path.isdir(scratch):
        # Outside of a keeper, or in one of an earlier release: nothing to clean, and no lock file to leave.
        return
    try:
        what = "cleaning up after a drill of %s" % keeper.instance
        with hold("%s/%s" % (keeper.state, DRILL_LOCK), what, who=keeper.actor):
            sandbox.clear(scratch)
    except PgkeepError as error:
        if not error.busy:
            raise
