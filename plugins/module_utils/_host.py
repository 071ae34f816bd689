# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command pgkeep on a host: what it is asked, what it answers with. Private to the collection.

``pgkeep <instance> <command>`` needs no control node. Every command hands out one object, printed as JSON or as text.
Exit codes: 0 done, 1 failed or critical, 2 called wrongly, 75 (EX_TEMPFAIL) busy, repeat later; those of monitor --once
are the verdict: 0 healthy, 1 warning, 2 critical.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from typing import Any, Mapping, NoReturn, Optional, Sequence

from ._actor import HOST, actor
from ._errors import PgkeepError
from ._host_commands import COMMANDS, PASSED_ON, Command, Context, instances, known
from ._host_text import Style, as_json, error_lines, text
from ._layout import Layout
from ._run import run

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_BUSY = 75

# Written by the module host_command into the file that it installs.
VERSION_FILE = "VERSION"


class UsageError(PgkeepError):
    """The command was called wrongly; nothing was tried."""


class _Parser(argparse.ArgumentParser):
    """Ends with our own error instead of two lines of usage."""

    def error(self, message: str) -> NoReturn:
        raise UsageError("pgkeep was called wrongly", message, "%s --help" % self.prog)


def main(argv: Optional[Sequence[str]] = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except PgkeepError as error:
        sys.stderr.write(error_lines(error, Style.of(sys.stderr)))
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_BUSY if error.busy else EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_FAILED
    except BrokenPipeError:
        # Whoever read it, such as head, has seen enough. Python flushes again at its end and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return 0 if words else EXIT_USAGE
    if words[0] == "--version":
        sys.stdout.write("pgkeep %s\n" % version())
        return 0
    if words[0] == "list":
        options = _options("list", Command("list", "", instances, "list"), words[1:])
        return _print(options, "list", instances(run))
    _require_root()
    layout = _layout(words[0])
    if len(words) == 1 or words[1] in ("-h", "--help"):
        sys.stdout.write(usage(layout.name))
        return 0
    if words[1] not in COMMANDS:
        raise UsageError(
            "pgkeep was called wrongly",
            "there is no command %s; there are %s" % (words[1], ", ".join(COMMANDS)),
            "pgkeep --help",
        )
    command = COMMANDS[words[1]]
    if command.name in PASSED_ON:
        options = _passed_on(words[2:])
    else:
        options = _options("%s %s" % (layout.name, command.name), command, words[2:])
    if command.confirmed and not command.harmless(options) and options.confirm != layout.name:
        raise UsageError(
            "Nothing was done to %s" % layout.name,
            "%s %s, and --confirm does not name it" % (command.name, command.confirmed),
            # The same call and not only its command: another action or target would do something else.
            "pgkeep %s --confirm %s" % (shlex.join(_without_confirm(words)), layout.name),
        )
    answer = command.function(Context(run, layout, actor(HOST)), options)
    return _print(options, command.render, answer)


def _without_confirm(words: Sequence[str]) -> list[str]:
    kept = list(words)
    while "--confirm" in kept:
        at = kept.index("--confirm")
        del kept[at : at + 2]
    return [word for word in kept if not word.startswith("--confirm=")]


def _print(options: argparse.Namespace, render: str, answer: Mapping[str, Any]) -> int:
    """The object, or its text; a key failed in it is the exit code and not printed. A command that has printed all
    itself answers with its exit_code alone."""
    if "exit_code" in answer:
        return int(answer["exit_code"])
    shown = {key: value for key, value in answer.items() if key != "failed"}
    if options.json:
        sys.stdout.write(as_json(shown) + "\n")
    elif shown:
        sys.stdout.write(text(render, shown, Style.of(sys.stdout)))
    sys.stdout.flush()
    return EXIT_FAILED if answer.get("failed") else 0


def _options(path: str, command: Command, words: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="pgkeep " + path, description=command.text)
    for name, keywords in command.options:
        parser.add_argument(name, **keywords)
    if command.confirmed:
        parser.add_argument("--confirm", metavar="INSTANCE", help="its name once more: this %s" % command.confirmed)
    parser.add_argument("--json", action="store_true", help="print the object")
    return parser.parse_args(words)


def _passed_on(words: Sequence[str]) -> argparse.Namespace:
    """What another program understands, but for our --json before a lone --."""
    end = words.index("--") if "--" in words else len(words)
    ours = [word for word in words[:end] if word == "--json"]
    rest = [word for word in words[:end] if word != "--json"] + list(words[end + 1 :])
    return argparse.Namespace(json=bool(ours), words=rest)


def usage(instance: str = "<instance>") -> str:
    rows = "".join("  %-13s %s\n" % (command.name, command.text) for command in COMMANDS.values())
    return (
        "pgkeep %s <command> [options]    one instance, from its host; as root\n"
        "pgkeep list                    the instances of this machine\n"
        "pgkeep --version\n\n%s\n"
        "--json prints the object instead of text, <command> --help its options. What to do in an emergency is in\n"
        "/etc/pgkeep/%s/RUNBOOK.md. Exit codes: 0 done, 1 failed or critical, 2 called wrongly, 75 busy;\n"
        "of monitor --once: 0 healthy, 1 warning, 2 critical.\n"
    ) % (instance, rows, instance)


def version() -> str:
    """What the installed file was stamped with."""
    import pkgutil

    try:
        return (pkgutil.get_data(__package__ or "", VERSION_FILE) or b"").decode().strip()
    except FileNotFoundError:
        return "unknown: this is not the installed command"


def _require_root() -> None:
    if os.geteuid() != 0:
        raise PgkeepError(
            "pgkeep cannot look after an instance", "it runs as an ordinary user, not as root", "sudo pgkeep …"
        )


def _layout(name: str) -> Layout:
    there = known()
    if name not in there:
        raise UsageError(
            "There is no instance %s on this machine" % name,
            "there is %s" % (", ".join(there) or "none at all"),
            "pgkeep list" if there else "run the playbook deploy.yml, or go to the machine of the instance",
        )
    return Layout(name)
