# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of pgkeep on a host: each asks the library and returns an object. Private to the collection.

A command imports its part of the library when it runs, so that a look at the status does not wait for the rest.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Optional

from . import _docker as docker
from ._audit import note
from ._errors import PgkeepError
from ._host_options import CHECK, DRILL, MONITOR, REPLACING, RESTORE, Options
from ._keeper import ask
from ._layout import LABEL_INSTANCE, Layout
from ._run import Run

CONFIG = "/etc/pgkeep"


@dataclass(frozen=True)
class Context:
    """Where a command works; who stands in the audit trail."""

    run: Run
    layout: Layout
    who: str


@dataclass(frozen=True)
class Command:
    """function(context, options) -> object; render names its text in _host_text. confirmed says what it does to others,
    and makes --confirm a must, unless the call is harmless."""

    name: str
    text: str
    function: Callable[..., dict[str, Any]]
    render: str = ""
    options: Options = field(default_factory=tuple)
    confirmed: str = ""
    harmless: Callable[[argparse.Namespace], bool] = lambda options: bool(getattr(options, "check", False))


def known() -> list[str]:
    """Names of the instances that were deployed on this machine."""
    try:
        found = sorted(os.listdir(CONFIG))
    except FileNotFoundError:
        return []
    return [name for name in found if os.path.isdir(os.path.join(CONFIG, name, "server"))]


def instances(run: Run) -> dict[str, Any]:
    """Every instance with the state of its containers; works without root where the engine answers."""
    names = known()
    argv = ["ps", "--all", "--filter", "label=" + LABEL_INSTANCE, "--format", "{{.Names}}\t{{.Status}}\t{{.Ports}}"]
    lines = [line.split("\t") for line in docker.docker(run, argv, what="The containers cannot be listed").splitlines()]
    containers = {name: (status, ports) for name, status, ports in lines}
    absent = ("absent", "")
    return {
        "instances": [
            {
                "name": name,
                "server": containers.get(name, absent)[0],
                "keeper": containers.get(name + "-keeper", absent)[0],
                # Not every instance has one.
                "pooler": containers.get(name + "-pooler", (None, ""))[0],
                "ports": ", ".join(filter(None, (containers.get(name + end, absent)[1] for end in ("", "-pooler")))),
            }
            for name in names
        ]
    }


def _judged(context: Context) -> tuple[dict[str, Any], dict[str, Any]]:
    """The facts, and health as the module health judges it."""
    from ._health import judge
    from ._health_facts import collect

    facts = collect(context.run, context.layout)
    return facts, judge(facts)


def _status(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    from ._probe import published
    from ._release import read_current

    layout = context.layout
    facts, health = _judged(context)
    container, keeper, pooler = (
        docker.inspect(context.run, name) for name in (layout.server, layout.keeper, layout.pooler)
    )
    backup = facts["backup"] or {}
    release = read_current(layout)
    address = published(container) if container else None
    names = ("instance", "time", "status", "ready", "version", "role", "uptime_seconds", "reasons")
    status = {
        **{name: health[name] for name in names},
        "server": _state(container),
        "keeper": _state(keeper),
        "pooler": _state(pooler) if pooler or facts["pooler"] else None,
        "address": "%s:%d" % address if address else None,
        "newest_clean": backup.get("newest_clean"),
        "newest_proven": backup.get("newest_proven"),
        "recovery_window": backup.get("recovery_window"),
        "backup_running": backup.get("running"),
        "release": release["time"] if release else None,
        "hints": list(dict.fromkeys(check["hint"] for check in health["checks"] if check["hint"])),
    }
    return {"status": status, "failed": health["status"] == "critical"}


def _state(container: Optional[Mapping[str, Any]]) -> str:
    if container is None:
        return "absent"
    state = container["State"]
    return "/".join(filter(None, (state["Status"], (state.get("Health") or {}).get("Status"))))


def _health(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    _facts, health = _judged(context)
    return {"health": health, "failed": health["status"] == "critical"}


def _backup(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    argv = ["backup", "--type", options.type, *(["--check"] if options.check else [])]
    return ask(context.run, context.layout, argv, who=context.who)


def _backups(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    info = ask(context.run, context.layout, ["info"], who=context.who)["backup_info"]
    return {"backup_info": info, "failed": info["status"] == "error"}


def _drill(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    from ._drill import Request, drill
    from ._drill_record import DrillError
    from ._sandbox_host import on_host

    request = Request(label=options.label, timeout_seconds=options.timeout_seconds, repository=options.repository)
    try:
        return drill(on_host(context.run, context.layout.name), request, False, who=context.who)
    except DrillError as error:
        if options.json:
            return {"changed": True, "drill": error.drill.to_result(), "error": error.to_result(), "failed": True}
        raise


def _restore(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    from ._host_restore import restore

    return restore(context, options)


def _restore_point(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    argv = ["restore-point", "--name", options.name, "--timeout", str(options.timeout_seconds)]
    answer = ask(context.run, context.layout, [*argv, *(["--check"] if options.check else [])], who=context.who)
    return {"restore_point": answer["restore_point"]}


def _monitor(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    from ._monitor import monitor

    return monitor(context, options)


def _releases(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    from ._rollback import releases

    return {"releases": releases(context.layout.name)}


def _rollback(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    from ._rollback import rollback

    return {
        "instance": rollback(context.run, context.layout.name, options.release, options.check, context.who)["instance"]
    }


def _restart(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    from ._restart import restart

    return restart(context.run, context.layout, context.who, options.timeout_seconds)


def _free(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    from ._free import free

    return free(context.run, context.layout, context.who, options.check)


def _prune(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    argv = ["prune", "--keep", str(options.keep), *(["--check"] if options.check else [])]
    return ask(context.run, context.layout, argv, who=context.who)


def _audit(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    from . import _audit as audit

    if options.what == "verify":
        verdict = audit.verify(context.layout.state_dir)
        result = {**dataclasses.asdict(verdict), "instance": context.layout.name}
        return {"audit_verify": result, "failed": verdict.broken is not None}
    return {"audit": audit.operations(audit.records(context.layout.state_dir))[-options.last :]}


def _in_keeper(name: str) -> Callable[[Context, argparse.Namespace], dict[str, Any]]:
    """A command that the keeper has under the same name; it gets all options."""

    def function(context: Context, options: argparse.Namespace) -> dict[str, Any]:
        try:
            return ask(context.run, context.layout, [name, *options.words], who=context.who)
        except PgkeepError as error:
            if "invalid choice: '%s'" % name in error.why:
                raise PgkeepError(
                    "The keeper of %s has no command %s" % (context.layout.name, name),
                    "its image is older than this command",
                    "run the playbook deploy.yml, which brings a new keeper without touching the server",
                ) from error
            raise

    return function


def _maintenance(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    import time

    from ._maintenance import current, order

    layout = context.layout
    if options.what == "show":
        found = current(layout.state_dir, time.time())
        return {"maintenance": dataclasses.asdict(found) if found else None}
    minutes = options.minutes if options.what == "begin" else 0
    return {"maintenance": order(layout, minutes, options.reason, context.who, False)["maintenance"]}


def _psql(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    # Who came in, and never with which words: SQL may hold a password.
    note(context.layout.state_dir, "psql", context.who)
    terminal = ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    _become(["docker", "exec", "--interactive", *terminal, context.layout.server, "psql", *options.words])
    return {}


def _logs(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    words = [word for word in options.words if word != "--keeper"]
    name = context.layout.keeper if "--keeper" in options.words else context.layout.server
    _become(["docker", "logs", *(words or ["--tail", "100"]), name])
    return {}


def _become(argv: list[str]) -> None:
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise PgkeepError("%s cannot be started" % argv[0], str(error), "install the Docker client") from error


_ALL = (
    Command("status", "what it is, how it is, what can be restored", _status, "status"),
    Command("health", "every check of its health", _health, "health"),
    Command(
        "monitor",
        "a screen that stays: health, load, storage, backups; keys to act",
        _monitor,
        options=MONITOR,
    ),
    Command(
        "backup",
        "take a backup now",
        _backup,
        "backup",
        (("--type", {"choices": ("full", "diff", "incr"), "default": "incr", "help": "default: %(default)s"}), CHECK),
    ),
    Command("backups", "the backups and the time that can be restored", _backups, "backups"),
    Command("drill", "prove a backup by restoring it into a throw-away server", _drill, "drill", DRILL),
    Command(
        "restore",
        "replace its data by a backup: the newest state, a moment, a label; or look at it first",
        _restore,
        "restore",
        (*RESTORE, CHECK),
        confirmed="replaces the data",
        harmless=lambda options: options.check or options.action not in REPLACING,
    ),
    Command(
        "restore-point",
        "make a named point that can be restored to",
        _restore_point,
        "any",
        (
            ("--name", {"required": True, "help": "1 to 63 letters, digits and _ . : + -"}),
            ("--timeout-seconds", {"type": int, "default": 60, "metavar": "N", "help": "default: %(default)s"}),
            CHECK,
        ),
    ),
    Command(
        "restart",
        "checkpoint, stop, start, wait until it serves; or start it",
        _restart,
        "restart",
        (("--timeout-seconds", {"type": int, "default": 3600, "metavar": "N", "help": "default: %(default)s"}),),
        confirmed="ends every connection",
    ),
    Command("releases", "the releases that can be returned to", _releases, "releases"),
    Command(
        "rollback",
        "bring server, limits and settings back to a kept release; the data stay",
        _rollback,
        "rollback",
        (("--release", {"metavar": "NAME", "help": "default: the one before that in force"}), CHECK),
        confirmed="changes the server",
    ),
    Command(
        "free",
        "give back disk space that nobody needs to serve or to recover",
        _free,
        "free",
        (CHECK,),
        confirmed="removes the way back from the last restore",
    ),
    Command(
        "prune",
        "emergency: keep only the newest clean backups",
        _prune,
        "any",
        (("--keep", {"type": int, "default": 3, "metavar": "N", "help": "default: %(default)s"}), CHECK),
        confirmed="removes backups",
    ),
    Command(
        "maintenance",
        "begin: say that somebody works on it, so that nobody is alarmed and traffic goes elsewhere; end",
        _maintenance,
        "maintenance",
        (
            ("what", {"nargs": "?", "choices": ("show", "begin", "end"), "default": "show", "help": "default: show"}),
            ("--minutes", {"type": int, "default": 60, "metavar": "N", "help": "default: %(default)s"}),
            ("--reason", {"default": "", "help": "what is being done; needed for begin"}),
        ),
    ),
    Command("logs", "the server's log; options are those of docker logs, and --keeper", _logs),
    Command("psql", "a shell as superuser; options are those of psql", _psql),
    Command("dump", "dump databases; options are those of the keeper", _in_keeper("dump"), "any"),
    Command("dumps", "the dumps there are", _in_keeper("dumps"), "any"),
    Command("alerts", "what waits to be told, and which receiver fails with what", _in_keeper("alerts"), "any"),
    Command("alert-test", "send one to every receiver and wait until it is there", _in_keeper("alert-test"), "any"),
    Command(
        "audit",
        "who did what, when, with which result; audit verify follows its chain",
        _audit,
        "audit",
        (
            ("what", {"nargs": "?", "choices": ("show", "verify"), "default": "show", "help": "default: %(default)s"}),
            ("--last", {"type": int, "default": 20, "metavar": "N", "help": "default: %(default)s"}),
        ),
    ),
)
COMMANDS: Mapping[str, Command] = {command.name: command for command in _ALL}

# Their options belong to another program.
PASSED_ON = ("logs", "psql", "dump", "dumps", "alerts", "alert-test")
