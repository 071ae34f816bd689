# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of the servers, which instances of a machine share. Private to the collection."""

from __future__ import annotations

from . import _docker as docker
from ._layout import LABEL_INSTANCE, Layout
from ._lock import hold
from ._run import Run

# Creating a network takes an engine well below a second.
_WAIT_SECONDS = 60


def ensure_network(run: Run, layout: Layout, name: str) -> None:
    """Create the network name unless it is there; layout says on whose behalf.

    Instances of one machine are deployed side by side, and the engine lets each create a network of the same name,
    none of which can then be used by it: hence the lock of the machine.
    """
    with hold(layout.machine_lock_file, "creation of the network %s" % name, _WAIT_SECONDS):
        if docker.network(run, name) is None:
            # No instance's label: it belongs to none.
            label = "%s=" % LABEL_INSTANCE
            docker.docker(
                run,
                ["network", "create", "--label", label, name],
                what="The network %s cannot be created" % name,
            )
