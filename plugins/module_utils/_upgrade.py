# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module upgrade: what a change of the major version needs before and after it. Private to the collection."""

from __future__ import annotations

import glob
import os
import shutil
from typing import Any, Optional

from . import _docker as docker
from . import _upgrade_record as records
from ._actor import ANSIBLE, actor
from ._audit import recorded
from ._container import spec_from_dict
from ._crossing import recover
from ._errors import PgkeepError
from ._files import read
from ._interrupt import interruptible
from ._journal import pending
from ._keeper import ask
from ._layout import DATA_MOUNT, PGBACKREST_CONFIG_MOUNT, Layout, pgdata
from ._leftovers import remove as remove_leftovers
from ._lock import hold
from ._rehearsal import Rehearsal, Request, rehearse
from ._repositories import parse
from ._restore_plan import require_release
from ._run import Run
from ._server import wait_until_serving
from ._sql import as_options, connection, driver, guarded, rows
from ._throwaway import databases, host_path, source_of
from ._undo import finish_interrupted

_ANSWER_SECONDS = 600.0
_BACK_SECONDS = 3600.0
# From here on pg_upgrade brings the planner's statistics along.
_KEEPS_STATISTICS = 18
# What a folder is called while it is removed.
_GIVEN_UP = ".removed"

_EXTENSIONS = """
select name, installed_version, default_version from pg_available_extensions
where installed_version is not null and installed_version <> default_version order by name
"""
# Tables with rows of which the planner knows nothing.
_UNANALYZED = """
select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and pg_relation_size(c.oid) > 0
  and not exists (select from pg_statistic s where s.starelid = c.oid)
"""


def upgrade(run: Run, name: str, action: str, request: Optional[Request], check_mode: bool) -> dict[str, Any]:
    """changed and the object upgrade. action: rehearse, which needs the request, finish or clean."""
    layout = Layout(name)
    release = require_release(layout)
    result = _blank(name, action, int(release["major"]), request.major if request else None)
    if request is not None:
        serving = records.serving_major(layout)
        # One that was started and never recorded is past its rehearsal.
        due = serving is not None and request.major > serving
        if not due or check_mode:
            return {"changed": due, "upgrade": result}
        told = recorded(layout.state_dir, "rehearse-upgrade", actor(ANSIBLE), {"major": request.major})
        with hold(layout.lock_file, "rehearsal of %s" % name, who=actor(ANSIBLE)), interruptible(), told as outcome:
            _take_back_killed(run, layout)
            remove_leftovers(run, layout)
            found = rehearse(run, layout, release, request)
            outcome.details["interruption_seconds"] = found["interruption_seconds"]
        return {"changed": True, "upgrade": {**result, **found}}
    work = _finish if action == "finish" else _clean
    if check_mode:
        return {"changed": False, "upgrade": {**result, "steps": work(run, layout, True)}}
    told = recorded(layout.state_dir, "%s-upgrade" % action, actor(ANSIBLE))
    with hold(layout.lock_file, "upgrade of %s" % name, who=actor(ANSIBLE)), interruptible(), told as outcome:
        steps = work(run, layout, False)
        outcome.details["steps"] = steps
    return {"changed": bool(steps), "upgrade": {**result, "steps": steps}}


def _take_back_killed(run: Run, layout: Layout) -> None:
    """Bring back the server of an upgrade that was killed before the new one was started."""
    back = recover(run, layout)
    finish_interrupted(run, layout)
    if back:
        for name in (layout.server, layout.keeper):
            docker.start(run, name)
        wait_until_serving(run, layout, _BACK_SECONDS)


def failed(done: Rehearsal) -> dict[str, Any]:
    """The object upgrade of a rehearsal that did not pass."""
    return {**_blank(done.layout.name, "rehearse", done.before, done.after), **done.to_result()}


def _blank(name: str, action: str, before: int, after: Optional[int]) -> dict[str, Any]:
    return {
        "instance": name,
        "action": action,
        "before": before,
        "after": after,
        "label": None,
        "checks": [],
        "interruption_seconds": None,
        "steps": [],
    }


def _finish(run: Run, layout: Layout, check_mode: bool) -> list[str]:
    """What may take its time while the new server serves; returns what was done."""
    record = records.load(layout)
    if check_mode or record is None or record.phase != records.DONE:
        return []
    # First what applications wait for, and what nobody away can keep from being done.
    return [*_statistics(run, layout, record.after), *_other_repositories(run, layout), *_extensions(layout)]


def _other_repositories(run: Run, layout: Layout) -> list[str]:
    """The first one was told before the new server's first start; one that cannot be reached must not stop that."""
    steps = []
    for number in sorted(parse(read(layout.pgbackrest_config_dir + "/pgbackrest.conf") or "")):
        if number == 1:
            continue
        config = "--config=%s/repository%d.conf" % (PGBACKREST_CONFIG_MOUNT, number)
        words = ["--log-level-console=info", "--no-online", "stanza-upgrade"]
        argv = ["pgbackrest", config, "--stanza=" + layout.name, *words]
        done = docker.execute(run, layout.keeper, argv, timeout=_ANSWER_SECONDS)
        if done.rc != 0:
            errors = [line.split("ERROR: ")[1] for line in done.stdout.splitlines() if "ERROR: " in line]
            raise PgkeepError(
                "Repository %d of %s does not take the new server's WAL" % (number, layout.name),
                (errors or [done.stderr.strip() or "no message"])[-1],
                "repair the connection to it, then run playbooks/upgrade.yml again; the first one has all of it",
            )
        if "already up to date" not in done.stdout:
            steps.append("Told repository %d from which server WAL comes now" % number)
    return steps


def _extensions(layout: Layout) -> list[str]:
    """pg_upgrade leaves each extension at its version; the image has a newer one."""
    steps = []
    try:
        for database in databases(layout.socket_dir):
            with connection(layout.socket_dir, database) as opened:
                for name, before, after in rows(opened, _EXTENSIONS):
                    rows(opened, 'alter extension "%s" update' % name.replace('"', '""'))
                    steps.append("Updated the extension %s of %s from %s to %s" % (name, database, before, after))
    except driver().Error as error:
        raise PgkeepError(
            "The extensions of %s cannot be updated" % layout.name,
            " ".join(str(error).split()),
            "update the one it names by hand, then run playbooks/upgrade.yml again; the server serves",
        ) from error
    return steps


def _statistics(run: Run, layout: Layout, major: int) -> list[str]:
    """Without statistics every plan is a guess; in stages, so that rough ones are there at once."""
    try:
        bare = 0
        for database in databases(layout.socket_dir):
            with connection(layout.socket_dir, database) as opened:
                bare += rows(opened, _UNANALYZED)[0][0]
    except driver().Error as error:
        raise PgkeepError("The statistics of %s cannot be looked at" % layout.name, str(error).strip()) from error
    if not bare:
        return []
    options = "PGOPTIONS=" + as_options(guarded(layout.socket_dir))
    stages = ["--analyze-in-stages", *(["--missing-stats-only"] if major >= _KEEPS_STATISTICS else [])]
    done = docker.execute(run, layout.server, ["env", options, "vacuumdb", "--all", *stages])
    if done.rc != 0:
        raise PgkeepError(
            "The statistics of %s could not be made" % layout.name,
            (done.stderr.strip().splitlines() or ["no message"])[-1],
            "run docker exec %s vacuumdb --all --analyze-in-stages; the server serves" % layout.server,
        )
    return ["Analyzed the %d tables that had no statistics" % bare]


def _clean(run: Run, layout: Layout, check_mode: bool) -> list[str]:
    """Remove the data directory of the former major: with it goes the quick way back."""
    record, release = records.load(layout), require_release(layout)
    root = host_path(run, source_of(spec_from_dict(release["server"]), DATA_MOUNT))
    # Of a removal that was killed.
    gone = glob.glob(glob.escape(root) + "/*" + _GIVEN_UP)
    folder = os.path.dirname(root + pgdata(record.before)[len(DATA_MOUNT) :]) if record else ""
    if record is not None and record.phase == records.DONE and (gone or os.path.isdir(folder)):
        _require_old(layout, record, int(release["major"]))
        _require_proven(run, layout, record)
        gone = sorted({*gone, *([folder + _GIVEN_UP] if os.path.isdir(folder) else [])})
        if not check_mode:
            # An undo must find all of the data or none.
            if os.path.isdir(folder):
                os.rename(folder, folder + _GIVEN_UP)
            records.forget(layout)
    if not check_mode:
        for path in gone:
            shutil.rmtree(path)
    return ["Removed %s" % path[: -len(_GIVEN_UP)] for path in gone]


def _require_old(layout: Layout, record: records.Record, serving: int) -> None:
    """Raise unless the data of record.before are there for an undo only: in the middle of one a server needs them."""
    if pending(layout) or serving != record.after:
        raise PgkeepError(
            "The data of PostgreSQL %d of %s are kept" % (record.before, layout.name),
            "a deploy, an upgrade or its undo is not finished, and PostgreSQL %d may serve from them" % record.before,
            "run the playbook again that was killed, then repeat",
        )


def _require_proven(run: Run, layout: Layout, record: records.Record) -> None:
    info = ask(run, layout, ["info", "--repo", "1"])["backup_info"]
    newer = [one for one in info["backups"] if one["started_at"] > record.at]
    if not any(one["clean"] and one["proven_at"] for one in newer):
        raise PgkeepError(
            "The data of PostgreSQL %d of %s are kept" % (record.before, layout.name),
            "no backup of PostgreSQL %d is proven yet" % record.after,
            "run playbooks/backup.yml and playbooks/verify.yml, then repeat",
        )
