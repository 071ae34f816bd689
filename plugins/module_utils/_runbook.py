# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook of one instance: what to do at 3 am, with its real names. Pure. Private to the collection.

Every block of shell is run by a test on an instance in the trouble that its section is about, so what is written here
works. A section is data: the text cannot promise an order that the block does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ._container import authority
from ._layout import KEEPER_CURL, Layout

FILE = "RUNBOOK.md"


@dataclass(frozen=True)
class Step:
    """One line of the block; well is what it says when all is well, interrupts what applications notice."""

    command: str
    well: str
    interrupts: str = "nothing"


@dataclass(frozen=True)
class Section:
    title: str
    before: str
    steps: tuple[Step, ...]
    after: str = ""


_STATUS = Step("pgkeep {name} status", "`status healthy` and `accepts work yes`")
_HEALTH = Step("pgkeep {name} health", "a line for each check, `healthy` in its second column")
_LOGS = Step("pgkeep {name} logs --tail 40", "lines with `LOG` and `INFO`, none with `FATAL` or `PANIC`")
_START = Step(
    "pgkeep {name} restart --confirm {name}",
    "`accepts work yes` and the seconds it took",
    "ends every connection of a server that still runs, for some seconds",
)
_PLAN = Step("pgkeep {name} restore --confirm {name} --check", "the backup that will be taken, and every step")
_RESTORE = Step(
    "pgkeep {name} restore --confirm {name}",
    "the steps, ending with `the server ... accepts writes`, and the way back",
    "the server is stopped until the restore has ended; the newest drill says how long that takes",
)
_FULL = Step("pgkeep {name} backup --type full", "its label and `clean yes`")
_MOMENT = "MOMENT=\"$(date --utc --date '10 seconds ago' '+%Y-%m-%d %H:%M:%S+00')\""
_AT = 'pgkeep {name} restore --confirm {name} --time "$MOMENT"'

_SECTIONS = (
    Section(
        "First look",
        "What is wrong, and which section to go on with.",
        (_STATUS, _HEALTH, Step("pgkeep list", "every instance of this machine, `Up` for its server and its keeper")),
        "`Reasons` says what is wrong, `Next` what to do about it. `pgkeep list` needs nothing but the Docker "
        "engine: if it fails, start that first (`systemctl start docker`).",
    ),
    Section(
        "The server will not start",
        "The restart fails with the server's own last words.",
        (_STATUS, _LOGS, _START, _STATUS),
        "If the words are about files or checksums (`could not`, `invalid`, `checkpoint record`): "
        "[The data are damaged](#the-data-are-damaged). `No space left on device`: "
        "[The disk is full](#the-disk-is-full). A setting: [A bad deploy](#a-bad-deploy).",
    ),
    Section(
        "The data are damaged",
        "The log says `invalid page`, `could not read block` or `could not locate a valid checkpoint record`, or "
        "files are gone. The newest state comes back, WAL that was not archived yet included. The damaged data stay "
        "beside it.",
        (
            Step("pgkeep {name} backups", "at least one backup that is `clean` or `proven`"),
            _PLAN,
            _RESTORE,
            _FULL,
            _STATUS,
        ),
        "A restore that fails leaves everything as it was and says why. If a backup is damaged too, name an older one "
        "with `--label`.",
    ),
    Section(
        "The disk is full",
        "`disk_data` or `disk_repository` is `critical`, the log says `No space left on device`. What is given back: "
        "data that a restore replaced (with it goes the way back from that restore), copies of drills and restores "
        "that were killed, backups older than the retention. Never the data, never WAL, never one of the last two "
        "clean full backups.",
        (
            _HEALTH,
            Step("pgkeep {name} free --confirm {name} --check", "what can be given back, and how much"),
            Step("pgkeep {name} free --confirm {name}", "what was given back"),
            _START,
            _STATUS,
        ),
        "If it is the repository that is too large, `pgkeep {name} prune --confirm {name} --keep 2` keeps only the two "
        "newest clean backups and what they stand on. "
        "If that was not enough, the disk must grow, or something else on it must go; `docker system df` and "
        "`du -xh -d 2 /var | sort -h | tail` show what there is. Never delete a file in `pg_wal` or in the repository: "
        "the server would not start again, or no backup could be restored.",
    ),
    Section(
        "Restore now",
        "The newest state, from the newest clean backup and all WAL after it.",
        (_PLAN, _RESTORE, _FULL, _STATUS),
        "Before anything is tried again: the line under `The way back` brings the replaced data back.",
    ),
    Section(
        "Restore to a moment",
        "Rows were deleted by mistake, or an application wrote nonsense. Everything that was committed before the "
        "moment comes back. Write the moment into the first line; `date` understands `2026-01-05 03:00 CET` and `20 "
        "minutes ago`.",
        (
            Step(_MOMENT, "no output"),
            Step(_AT + " --check", "the backup that will be taken, and every step"),
            Step(_AT, _RESTORE.well, "a stop and a start; the server serves until its replacement is proven"),
            _FULL,
            _STATUS,
        ),
        'Not sure of the moment? `pgkeep {name} restore preview --time "$MOMENT"` makes a read-only copy while the '
        "server goes on, and says how to look at it. Then `pgkeep {name} restore promote --confirm {name}` puts it in "
        "place, or `pgkeep {name} restore abandon` ends it. `pgkeep {name} backups` says which moments can be reached, "
        "`pgkeep {name} audit` when somebody changed something.",
    ),
    Section(
        "Back up now",
        "Before something risky. The drill restores the backup into a throw-away server and proves it.",
        (
            _FULL,
            Step("pgkeep {name} drill", "`result passed`", "nothing; it takes memory and disk of this machine"),
            Step("pgkeep {name} backups", "the new backup, `proven`"),
        ),
        "The check `drill` of `pgkeep {name} health` warns when no drill has proven a repository lately, and names the "
        "command. A drill that fails says what is wrong and what to do; a repository that does not answer fails it "
        "too, and says nothing about its backups.",
    ),
    Section(
        "A bad deploy",
        "A deploy that fails puts back what was there and says so. One that went through and was a mistake, or was "
        "killed on its way, is taken back here: image, limits and settings become those of the release before. The "
        "data stay.",
        (
            Step("pgkeep {name} audit --last 20", "a line for each operation, `ok` in the column RESULT"),
            Step("pgkeep {name} releases", "the releases that can be returned to, newest first"),
            Step("pgkeep {name} rollback --confirm {name} --check", "every step"),
            Step(
                "pgkeep {name} rollback --confirm {name}",
                "`accepts work yes`, the gates that were passed",
                "a stop and a start where a step is `replace` or `restart`, else nothing",
            ),
            _STATUS,
        ),
        "Another one than the release before is named with `--release`. The next deploy from the control node applies "
        "the inventory again, so put the former one in place before it.\n\n"
        "Rows that a deploy's SQL changed come back with [Restore to a moment](#restore-to-a-moment).",
    ),
)


def render(layout: Layout, options: Mapping[str, Any], address: str) -> str:
    """The file's text. options are those of the module instance; the contacts are the topic of this name."""
    name = layout.name
    contacts = options["keeper"].get("contacts") or []
    titles = [section.title for section in _SECTIONS] + ["Who to call"]
    parts = [
        "# Runbook of the PostgreSQL instance %s\n" % name,
        (
            "Written by the deploy; changes by hand are lost. Everything is done on this machine, as root, without a "
            "control node. Commands end with 0 when done, 1 when failed or critical, 2 when called wrongly, 75 when "
            "another operation is running and a repeat will do. An error says what, why and what to do next, and "
            "leaves things as they were.\n"
        ),
        "\n".join("- [%s](#%s)" % (title, title.lower().replace(" ", "-")) for title in titles) + "\n",
        _names(layout, options, address),
        *(_section(section, name) for section in _SECTIONS),
        "## Who to call\n",
        _contacts(contacts),
        "Whoever is called wants to see what was done already: `pgkeep %s audit`. That nobody changed this trail says "
        "`pgkeep %s audit verify`.\n" % (name, name),
    ]
    return "\n".join(parts)


def _names(layout: Layout, options: Mapping[str, Any], address: str) -> str:
    return _table(
        ("what", "where"),
        (
            (
                "server",
                "container `%s`, PostgreSQL %d, `%s:%d`" % (layout.server, options["major"], address, options["port"]),
            ),
            ("keeper, which backs it up", "container `%s`" % layout.keeper),
            *_pooler(layout, options, address),
            *_endpoints(layout, options),
            ("data", "volume `%s`" % layout.data_volume),
            ("backups and WAL", "volume `%s`" % layout.repo_volume),
            ("settings, certificates, passwords", "`%s`" % layout.config_dir),
            ("releases, records, audit trail", "`%s`" % layout.home),
            (
                "an empty data volume",
                "is restored by the next start"
                if options["on_empty"] == "restore"
                else "is refused by the next start; see [Restore now](#restore-now)",
            ),
        ),
    )


def _pooler(layout: Layout, options: Mapping[str, Any], address: str) -> Sequence[tuple[str, str]]:
    if not options["pooler"]:
        return ()
    where = "container `%s`, `%s:%d`" % (layout.pooler, address, options["pooler"]["port"])
    return (("pooler, which applications may use", where),)


def _endpoints(layout: Layout, options: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    http = options["keeper_http"]
    if not http:
        return ()
    place = "http://%s" % authority(http["bind_address"], http["port"])
    with_token = "curl -sSK %s/%s %s" % (layout.client_dir, KEEPER_CURL, place)
    return (
        ("is it ready", "`curl -sS %s/ready`" % place),
        ("is it ready, and if not, why", "`%s/ready`" % with_token),
        ("the same with all details", "`%s/status`" % with_token),
    )


def _section(section: Section, name: str) -> str:
    block = "\n".join(step.command.format(name=name) for step in section.steps)
    rows = [("`%s`" % step.command.format(name=name), step.well, step.interrupts) for step in section.steps]
    parts = ["## %s\n" % section.title, section.before.format(name=name) + "\n", "```sh\n%s\n```\n" % block]
    parts.append(_table(("command", "when all is well", "interrupts"), rows))
    if section.after:
        parts.append(section.after.format(name=name) + "\n")
    return "\n".join(parts)


def _contacts(contacts: Sequence[Mapping[str, Any]]) -> str:
    if not contacts:
        return "The inventory names nobody: fill `postgres_backup_contacts` and deploy.\n"
    ordered = sorted(
        contacts, key=lambda contact: (int(contact.get("after_minutes") or 0), int(contact.get("level") or 0))
    )
    rows = [
        (
            "at once" if not contact.get("after_minutes") else "after %d minutes" % int(contact["after_minutes"]),
            str(contact.get("level") or ""),
            str(contact["name"]),
            str(contact["how"]),
        )
        for contact in ordered
    ]
    return _table(("not solved", "level", "who", "how"), rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| %s |" % " | ".join(header), "|%s" % (" --- |" * len(header))]
    lines += ["| %s |" % " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in row) for row in rows]
    return "\n".join(lines) + "\n"
