# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module instance: one server and its keeper, there or gone. Private to the collection."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any, ContextManager, Iterator, Optional, Sequence

from . import _docker as docker
from ._actor import ANSIBLE, actor
from ._audit import Outcome, recorded
from ._collation import load_pending, repair, save_pending
from ._container import authority
from ._crossing import given_up, recover, settle
from ._declared import Declared
from ._drift_plan import differences
from ._errors import PgkeepError
from ._files import make
from ._images import remove_unused
from ._interrupt import interruptible
from ._journal import begun, close_committed, containers, drop, former, successor
from ._layout import LABEL_MAJOR, Layout
from ._leftovers import remove as remove_leftovers
from ._lock import hold
from ._maintenance import working
from ._passage import Passage
from ._plan import Plan, make_plan
from ._release import forget_old, read_current, record
from ._rules import refuse_stranger
from ._run import Run
from ._server import accepts_writes, facts, pending_restart
from ._terms import Terms
from ._timers import is_clock, remove_clocks
from ._transaction import Applied, apply
from ._undo import finish_interrupted, give_up_upgrade, take_back
from ._upgrade_record import crossed


def image_id(run: Run, reference: str, check_mode: bool, major: Optional[int] = None) -> str:
    """The id behind a name, so that what runs is pinned whatever the name points to later.

    In check mode the name itself stands for an image that the role before would have obtained. major is the version of
    PostgreSQL that it shall have; images of ours say which one that is.
    """
    found = docker.image(run, reference)
    if found is None and check_mode:
        return reference
    if found is None:
        raise PgkeepError(
            "The image %s is not on this machine" % reference,
            "the engine does not know it",
            "run the playbook deploy.yml, whose role postgres_image pulls or builds it",
        )
    has = ((found.get("Config") or {}).get("Labels") or {}).get(LABEL_MAJOR)
    if major is not None and has is not None and has != str(major):
        raise PgkeepError(
            "The image %s cannot be used" % reference,
            "it has PostgreSQL %s, declared is %d" % (has, major),
            "set postgres_image_base to an image without another version of PostgreSQL",
        )
    return str(found["Id"])


def ensure(
    run: Run,
    declared: Declared,
    terms: Terms,
    check_mode: bool,
    *,
    release: Optional[str] = None,
    who: Optional[str] = None,
) -> dict[str, Any]:
    """Bring the instance to its declared state; returns instance, changed and diff for the module.

    release: the name of the kept release that declared comes from, for a rollback. who stands in the audit trail;
    without it, it is Ansible.
    """
    layout = declared.layout
    if check_mode:
        plan = make_plan(run, declared, terms.restart_allowed, check_mode)
        expected = Applied(interruption_ms=plan.interruption_seconds * 1000)
        result = _result(run, declared, plan, expected, _unfinished(layout), _moves(layout, release))
        result["instance"]["differences"] = differences(declared, plan)
        return result
    for folder in declared.folders:
        if folder.path == layout.home:
            # The lock lies in it, so it is there before anything else is looked at.
            make(folder)
    trail = _Trail(layout, "rollback" if release else "deploy", {"release": release} if release else {}, who)
    what = "%s of %s" % (trail.action, layout.name)
    with hold(layout.lock_file, what, who=who or actor(ANSIBLE)), interruptible():
        close_committed(run, layout)
        removed = _take_back_crossing(run, declared)
        removed += _remove_leftovers(run, layout, who) + _unfinished(layout)
        moves = _moves(layout, release)
        plan, applied = _carry_out(run, declared, terms, trail, release)
    return _result(run, declared, plan, applied, removed, moves)


def _take_back_crossing(run: Run, declared: Declared) -> list[str]:
    """A change of the major version that was killed does not go on from the middle, unless the new server has the data
    and nobody wants those of before; returns sentences."""
    layout, unwanted = declared.layout, given_up(declared)
    if unwanted is not None:
        with _Trail(layout, "undo-upgrade", {"upgrade": unwanted.words}).at_work():
            return give_up_upgrade(run, layout, Passage(run, declared, unwanted))
    journal = begun(layout)
    if journal is not None and journal.crosses and not crossed(layout):
        return finish_interrupted(run, layout)
    return recover(run, layout)


def _moves(layout: Layout, release: Optional[str]) -> bool:
    """Whether another release than before will be in force, even where the machine is already as that one says."""
    current = read_current(layout)
    return release is not None and (current is None or current["name"] != release)


def _unfinished(layout: Layout) -> list[str]:
    return ["Go on with the deploy that was killed"] if begun(layout) is not None else []


def _remove_leftovers(run: Run, layout: Layout, who: Optional[str]) -> list[str]:
    """What killed operations left, before the plan: their copies take memory and disk, and the data may lie aside."""
    removed = remove_leftovers(run, layout)
    if removed:
        with _Trail(layout, "clean-up", {}, who).recorded() as outcome:
            outcome.details["steps"] = removed
    return removed


def _carry_out(
    run: Run, declared: Declared, terms: Terms, trail: _Trail, release: Optional[str]
) -> tuple[Plan, Applied]:
    """Plan, apply, remember. The audit trail has every deploy that changed something or failed."""
    layout = declared.layout
    journal = begun(layout)
    try:
        plan = make_plan(run, declared, terms.restart_allowed)
    except PgkeepError as error:
        with trail.recorded():
            # What cannot go on goes back: a killed deploy may have left nothing that serves.
            if journal is None:
                raise
            raise take_back(run, layout, journal, error) from error
    if not plan.changed and journal is None and not _moves(layout, release) and read_current(layout) is not None:
        # Nothing to record, but a deploy that succeeds leaves a server that serves.
        return plan, apply(run, declared, plan, terms, lambda applied: None)
    for folder in plan.folders:
        if layout.state_dir.startswith(folder.path):
            make(folder)
    trail.parameters["plan"] = plan.words()
    with trail.at_work() as outcome:

        def commit(applied: Applied) -> None:
            more = {"interruption_ms": applied.interruption_ms, "restore_point": applied.restore_point}
            outcome.details.update(more)
            outcome.details["release"] = record(
                layout,
                declared.major,
                declared.server,
                declared.keeper,
                declared.files,
                pooler=declared.pooler,
                name=release,
                terms=terms.to_dict(),
                **more,
            )

        pending = load_pending(layout)
        save_pending(layout, plan.collations)
        try:
            applied = apply(run, declared, plan, terms, commit, trail.who)
        except PgkeepError:
            if "release" not in outcome.details:
                # The former image serves again, and its indexes are as they were.
                save_pending(layout, pending)
            raise
        if plan.crossing is not None:
            settle(run, declared, plan.crossing)
        remove_unused(run, layout, forget_old(layout, terms.releases_kept))
        if plan.collations:
            # Behind the release: indexes that are rebuilt already fit this image and no other. What is left of them is
            # remembered, so this may be interrupted again.
            with interruptible():
                outcome.details["reindexed"] = repair(layout.socket_dir, plan.collations)
            save_pending(layout, ())
    return plan, applied


@dataclass
class _Trail:
    """What an operation writes into the audit trail."""

    layout: Layout
    action: str
    parameters: dict[str, Any]
    who: Optional[str] = None

    def recorded(self) -> ContextManager[Outcome]:
        if not os.path.isdir(self.layout.state_dir):
            # What is refused before there is an instance has no trail to be in.
            return contextlib.nullcontext(Outcome())
        return recorded(self.layout.state_dir, self.action, self.who or actor(ANSIBLE), self.parameters)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[Outcome]:
        """Recorded, and known to the keeper, which alarms nobody meanwhile."""
        what = "%s of %s" % (self.action, self.layout.name)
        with self.recorded() as outcome, working(self.layout, what, self.who or actor(ANSIBLE)):
            yield outcome


def remove(run: Run, layout: Layout, check_mode: bool) -> dict[str, Any]:
    """Stop and remove the containers; volumes, settings and backups stay. Returns instance and changed."""
    existing = {name: docker.inspect(run, name) for name in (layout.keeper, layout.server)}
    for container in existing.values():
        refuse_stranger(layout, container)
    # The pooler by its label: another instance may be called so.
    others = [layout.pooler, *(other(name) for name in (*existing, layout.pooler) for other in (former, successor))]
    found = [name for name, container in existing.items() if container is not None]
    found += sorted(containers(run, layout) & set(others))
    release = read_current(layout)
    clocks = [path for path in (release["files"] if release else ()) if is_clock(path) and os.path.exists(path)]
    if not check_mode and (found or clocks):
        parameters = {"containers": found, "clocks": clocks}
        what, who = "removal of %s" % layout.name, actor(ANSIBLE)
        with hold(layout.lock_file, what, who=who), _Trail(layout, "remove", parameters).at_work():
            # The clocks first: nothing shall be started in a container that goes.
            remove_clocks(run, layout, clocks)
            for name in found:
                docker.stop(run, name)
                docker.remove(run, name)
            drop(layout)
    plan = [
        {"action": "remove", "target": target, "reason": "state is absent", "interruption_seconds": 0}
        for target in [*("file " + path for path in clocks), *("container " + name for name in found)]
    ]
    return {"changed": bool(plan), "instance": {"name": layout.name, "running": False, "plan": plan}}


def _endpoints(declared: Declared) -> Optional[str]:
    if not declared.keeper.ports:
        return None
    address, port, _inside = declared.keeper.ports[0].rsplit(":", 2)
    return authority(address, int(port))


def _result(
    run: Run, declared: Declared, plan: Plan, applied: Applied, steps: Sequence[str], moves: bool
) -> dict[str, Any]:
    layout = declared.layout
    container = docker.inspect(run, layout.server)
    serving = docker.running(container) and accepts_writes(layout)
    address, port, _inside = declared.server.ports[0].rsplit(":", 2)
    pending = pending_restart(layout) if serving else []
    release = read_current(layout)
    instance = {
        "name": layout.name,
        "running": serving,
        "image": declared.server.image,
        "host": address,
        "port": int(port),
        "pooler_port": int(declared.pooler.ports[0].rsplit(":", 2)[1]) if declared.pooler else None,
        "keeper_address": _endpoints(declared),
        "plan": [
            *(
                {"action": "clean up", "target": words, "reason": "no operation runs", "interruption_seconds": 0}
                for words in steps
            ),
            *plan.steps(),
        ],
        "interruption_ms": applied.interruption_ms,
        "restore_point": applied.restore_point,
        "gates": applied.gates,
        "restart_required": bool(pending),
        "pending_settings": pending,
        "waiting": plan.waiting(),
        "window_opens_at": plan.later.opens_at if plan.later and plan.waiting() else None,
        "release": release["name"] if release else None,
        **(facts(layout) if serving else {"version": None, "system_id": None, "role": None, "started_at": None}),
    }
    return {"changed": plan.changed or bool(steps) or moves, "diff": plan.diff(), "instance": instance}
