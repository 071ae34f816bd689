# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions of the module restore. Private to the collection."""

from __future__ import annotations

from typing import Any, Optional

from ._actor import ANSIBLE, actor
from ._audit import recorded
from ._clone import clone
from ._copies import abandon, remove_expired, standing
from ._interrupt import interruptible
from ._layout import Layout
from ._lock import hold
from ._preview import preview, promote
from ._restore import restore
from ._restore_plan import Request, require_release
from ._restore_result import blank
from ._run import Run

_CHANGING = {"preview": preview, "promote": promote, "clone": clone}
ACTIONS = ("restore", *_CHANGING, "abandon", "sweep")


def act(run: Run, request: Request, check_mode: bool, who: Optional[str] = None) -> dict[str, Any]:
    """What the module returns: changed and restore. who stands in the audit trail; without it, it is Ansible."""
    if request.action == "restore":
        return {"changed": True, "restore": restore(run, request, check_mode, who)}
    if check_mode:
        return _carry_out(run, request, check_mode)
    layout = Layout(request.name)
    require_release(layout)
    with recorded(layout.state_dir, request.action, who or actor(ANSIBLE), request.told()) as outcome:
        result = _carry_out(run, request, check_mode)
        outcome.details["changed"] = result["changed"]
    return result


def _carry_out(run: Run, request: Request, check_mode: bool) -> dict[str, Any]:
    if request.action in _CHANGING:
        return {"changed": True, "restore": _CHANGING[request.action](run, request, check_mode)}
    return _tidy_up(run, request, check_mode)


def _tidy_up(run: Run, request: Request, check_mode: bool) -> dict[str, Any]:
    layout = Layout(request.name)
    require_release(layout)
    steps: list[str] = []
    if not check_mode:
        with hold(layout.lock_file, "%s of copies of %s" % (request.action, layout.name)), interruptible():
            steps = abandon(run, layout, request.into) if request.action == "abandon" else remove_expired(run, layout)
    copies = [copy.to_result() for copy in standing(run, layout)]
    return {"changed": bool(steps), "restore": {**blank(layout.name, steps), "copies": copies}}
