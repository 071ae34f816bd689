# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking back what a deploy began, by its journal: in the run that failed, or after one that was killed. Private to the
collection."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Callable, Optional

from . import _archive_worker as archive_worker
from . import _docker as docker
from . import _pooler as pooler
from ._container import spec_from_dict
from ._copy import stanza_once_argv
from ._crossing import recover
from ._errors import PgkeepError
from ._files import put_back
from ._journal import Journal, begun, close_committed, containers, drop, former, successor
from ._layout import Layout
from ._passage import Passage
from ._release import read_current
from ._run import Run
from ._server import accepts_writes, checkpoint, pending_restart, wait_until_serving
from ._sql import query
from ._timers import end_timers, is_unit, start_timers
from ._upgrade_record import crossed

# The server that is brought back has served before; its recovery after a kill is the longest wait.
_BACK_SECONDS = 300

_LOADED = "select pg_conf_load_time()"
_RELOAD_SECONDS = 5


@dataclass
class _Undo:
    """words: how things stand now. complete: whether every step of it succeeded. exchanged: names of the containers
    whose successor was in their place."""

    words: list[str] = field(default_factory=list)
    complete: bool = True
    exchanged: list[str] = field(default_factory=list)

    def attempt(self, action: Callable[[], object]) -> None:
        """A step that fails must not keep the next one from being tried."""
        try:
            action()
        except (PgkeepError, OSError) as error:
            self.complete = False
            self.words.append("but going back failed: %s" % error)


def take_back(
    run: Run, layout: Layout, journal: Journal, error: Exception, passage: Optional[Passage] = None
) -> PgkeepError:
    """Put everything back that the journal names; returns error together with how things stand now.

    passage: a change of the major version, which takes its data back by itself.
    """
    cause = error if isinstance(error, PgkeepError) else PgkeepError("The plan could not be carried out", str(error))
    undo = _undo(run, layout, journal, passage)
    cause.why = "; ".join([cause.why, *(undo.words or ["nothing else was changed"])])
    cause.next_step = cause.next_step or "correct the cause and run again"
    return cause


def finish_interrupted(run: Run, layout: Layout, serves: bool = True) -> list[str]:
    """For an operation that cannot go on with a deploy that was killed: what was committed stays, the rest is taken
    back, and no client is left waiting; returns sentences. Raises PgkeepError when that is not possible. A new major
    version that was started once stays, for the next deploy to go on with. serves: whether the server has to serve
    afterwards, which damaged data keep it from."""
    pooler.resume(run, layout)
    close_committed(run, layout)
    steps = recover(run, layout)
    journal = begun(layout)
    if journal is not None:
        journal.served = journal.served and serves
    undo = _undo(run, layout, journal) if journal is not None else _Undo()
    if not undo.complete:
        raise PgkeepError(
            "The deploy of %s that was killed could not be taken back" % layout.name,
            "; ".join(undo.words),
            "correct the cause and repeat",
        )
    return steps or (["Took back a deploy that was killed"] if journal is not None and begun(layout) is None else [])


def _undo(run: Run, layout: Layout, journal: Journal, passage: Optional[Passage] = None) -> _Undo:
    undo = _Undo()
    if crossed(layout) and (passage is None or passage.resumed):
        # Applications may have written there. The journal stays.
        undo.words.append(
            "the new major version has the data and stays: playbooks/upgrade.yml goes on from there, or with the former"
            " version in the inventory and way=undo back to the data from before"
        )
        if passage is not None:
            undo.attempt(partial(_start_what_is_there, run, layout))
    else:
        _put_back(run, layout, journal, passage, undo)
    undo.attempt(partial(resume, run, layout, journal))
    return undo


def _start_what_is_there(run: Run, layout: Layout) -> None:
    for name in sorted({layout.server, layout.keeper} & containers(run, layout)):
        docker.start(run, name)


def give_up_upgrade(run: Run, layout: Layout, passage: Passage) -> list[str]:
    """way=undo of an upgrade whose new server was started and whose release nobody recorded; returns sentences.

    Raises PgkeepError, where there is no way back before anything stops. What fails or is killed later is done by doing
    it again; until it has succeeded the upgrade can go on too.
    """
    journal = begun(layout)
    if journal is None:
        raise PgkeepError(
            "The upgrade of %s cannot be taken back" % layout.name,
            "nothing says which containers and files there were before",
            "run playbooks/upgrade.yml to its end, then undo it",
        )
    passage.require_way_back()
    checkpoint(layout)
    pause(run, layout, journal)
    if layout.server in containers(run, layout):
        # Also one of before, which an undo that failed has left trying to start.
        docker.stop(run, layout.server)
    undo = _Undo()
    # The former files before the former data: the copy that is restored starts with them.
    _put_back(run, layout, journal, passage, undo)
    undo.attempt(partial(resume, run, layout, journal))
    if not undo.complete:
        raise PgkeepError(
            "The upgrade of %s could not be taken back" % layout.name,
            "; ".join(undo.words),
            "correct the cause and repeat; or go on with the new major version, which has its data, and upgrade.yml",
        )
    return ["Took back the upgrade that was not finished: %s" % "; ".join(undo.words)]


def _put_back(run: Run, layout: Layout, journal: Journal, passage: Optional[Passage], undo: _Undo) -> None:
    # Containers first and files second: what ran before starts on its own files.
    for name, action in reversed(journal.containers.items()):
        undo.attempt(partial(_withdraw, run, layout, journal, name, action, undo))
    units = {path: existed for path, existed in journal.files.items() if is_unit(path)}
    if journal.units:
        new = [path for path, existed in units.items() if not existed and os.path.exists(path)]
        undo.attempt(partial(end_timers, run, layout, new))
    for path, existed in journal.files.items():
        undo.attempt(partial(put_back, path, existed))
    if journal.served and layout.archive_config in journal.files:
        # One may have begun with the settings that are taken back.
        undo.attempt(partial(archive_worker.end, run, layout.server))
    if journal.units:
        # systemd reads the former ones, and no longer those that were new.
        undo.attempt(partial(start_timers, run, layout, [path for path, existed in units.items() if existed]))
    if passage is not None:
        undo.attempt(lambda: undo.words.append(passage.take_back()))
    elif journal.crosses:
        undo.attempt(partial(_register_former, run, layout))
    for name in _stopped(layout, journal):
        undo.attempt(partial(docker.start, run, name))
    if journal.served:
        undo.attempt(partial(_serve_again, run, layout, journal, undo))
    if any(path.startswith(layout.pooler_config_dir + "/") for path in journal.files):
        undo.attempt(partial(_former_pooler_settings, run, layout, journal, undo))
    if undo.complete:
        drop(layout)


def _withdraw(run: Run, layout: Layout, journal: Journal, name: str, action: str, undo: _Undo) -> None:
    """action is what was first done to the container; a run that went on with it may have done something else."""
    there = containers(run, layout)
    if successor(name) in there:
        docker.remove(run, successor(name))
    if action == "create":
        # It goes, so that the next run starts clean; volumes stay, whatever is in them.
        for each in sorted({name, former(name)} & there):
            docker.remove(run, each)
        undo.words.append("the new container %s was removed, volumes were kept" % name)
    elif former(name) in there:
        if name == layout.server and name in there and accepts_writes(layout):
            # It came up and failed later: what clients wrote needs no recovery.
            pause(run, layout, journal)
            docker.stop(run, name)
        docker.remove(run, name)
        docker.rename(run, former(name), name)
        undo.exchanged.append(name)
    elif action == "start":
        docker.stop(run, name)


def _stopped(layout: Layout, journal: Journal) -> list[str]:
    """What was stopped on the way and runs again: of a change of the major version server and keeper in any case."""
    found = {name for name, action in journal.containers.items() if action in ("replace", "remove")}
    if journal.crosses:
        found |= {name for name in (layout.server, layout.keeper) if journal.containers.get(name) != "create"}
    return sorted(found)


def _register_former(run: Run, layout: Layout) -> None:
    """Tell the repository whose WAL comes, where a killed run had told it of the other major version."""
    release = read_current(layout)
    if release is not None:
        keeper, server = spec_from_dict(release["keeper"]), spec_from_dict(release["server"])
        # Most often it knows; when it cannot be told, the archiver's alarm says so.
        docker.attempt(run, stanza_once_argv(keeper, server, int(release["major"])))


def _serve_again(run: Run, layout: Layout, journal: Journal, undo: _Undo) -> None:
    stopped = journal.containers.get(layout.server) == "replace" and not accepts_writes(layout)
    if journal.crosses or stopped or layout.server in undo.exchanged:
        words = "the previous container serves again"
    elif any(path.startswith(layout.server_config_dir + "/") for path in journal.files):
        words = "the previous settings are back"
        _former_settings(run, layout, journal)
    else:
        return
    wait_until_serving(run, layout, _BACK_SECONDS)
    undo.words.append(words)


def _former_settings(run: Run, layout: Layout, journal: Journal) -> None:
    """Bring the old files into force: by a reload, or by a restart where the server went down with the new ones or
    this deploy started it on them. Whatever else waits for a restart was never in force, and may be what the server
    cannot start with: it waits on."""
    if accepts_writes(layout):
        reload(layout)
    if not accepts_writes(layout) or (journal.restarted and set(pending_restart(layout)) - set(journal.waiting)):
        pause(run, layout, journal)
        docker.docker(run, ["restart", layout.server])


def _former_pooler_settings(run: Run, layout: Layout, journal: Journal, undo: _Undo) -> None:
    """A pooler that was touched begins with the files that it finds."""
    if layout.pooler not in journal.containers and pooler.there(run, layout):
        pooler.reload(run, layout)
        undo.words.append("the pooler has its previous settings")


def pause(run: Run, layout: Layout, journal: Journal) -> None:
    """Clients of the pooler, where there is one, wait from now on."""
    journal.paused = True
    pooler.pause(run, layout)


def resume(run: Run, layout: Layout, journal: Journal) -> None:
    if journal.paused:
        pooler.resume(run, layout)
        journal.paused = False


def reload(layout: Layout) -> None:
    """Reload and wait until it is in force: it reaches the server as a signal, and new sessions see its result."""
    before = query(layout.socket_dir, _LOADED)
    query(layout.socket_dir, "select pg_reload_conf()")
    end = time.monotonic() + _RELOAD_SECONDS
    while query(layout.socket_dir, _LOADED) == before and time.monotonic() < end:
        time.sleep(0.02)
