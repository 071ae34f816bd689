# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart an instance's server for somebody on the host, or start one that is down. Private to the collection."""

from __future__ import annotations

import time
from typing import Any

from . import _docker as docker
from ._audit import recorded
from ._errors import PgkeepError
from ._layout import Layout
from ._lock import hold
from ._maintenance import working
from ._pooler import held
from ._run import Run
from ._server import accepts_writes, checkpoint, facts, wait_until_serving
from ._undo import finish_interrupted


def restart(run: Run, layout: Layout, who: str, timeout_seconds: float) -> dict[str, Any]:
    """Checkpoint, stop, start, wait until it serves. A deploy that was killed on its way is taken back first.

    interruption_seconds is None when nothing served before. A server that does not come up raises with its last words
    and is left as it is: whatever kept it down is still there.
    """
    what = "restart of %s" % layout.name
    with hold(layout.lock_file, what, who=who):
        finish_interrupted(run, layout)
        if docker.inspect(run, layout.server) is None:
            raise PgkeepError(
                "The server of %s cannot be restarted" % layout.name,
                "there is no container %s" % layout.server,
                "bring it back with pgkeep %s restore --confirm %s, or with the playbook deploy.yml"
                % (layout.name, layout.name),
            )
        with recorded(layout.state_dir, "restart", who) as outcome, working(layout, what, who):
            served = accepts_writes(layout)
            checkpoint(layout)
            with held(run, layout):
                began = time.monotonic()
                if docker.running(docker.inspect(run, layout.server)):
                    docker.stop(run, layout.server)
                docker.start(run, layout.server)
                wait_until_serving(run, layout, timeout_seconds)
                seconds = round(time.monotonic() - began, 3)
            outcome.details["seconds"] = seconds
    return {
        "restart": {
            "instance": layout.name,
            "interruption_seconds": seconds if served else None,
            "start_seconds": None if served else seconds,
            **facts(layout),
        }
    }
