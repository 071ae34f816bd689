# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``pgkeep <instance> monitor``: as a screen, as lines, as JSON. Private to the collection.

The screen wants a terminal and the library Textual; lines want nothing. With --once the exit code is the verdict, as
monitoring systems read it: 0 healthy, 1 warning, 2 critical.
"""

from __future__ import annotations

import argparse
import glob
import io
import os
import shutil
import sys
import threading
import time
from typing import Any, Callable, Iterator, Mapping, Optional, TextIO

from . import _monitor_panels as panels
from ._errors import PgkeepError
from ._host_text import PALETTE, Style, as_json
from ._monitor_draw import Line, plain
from ._monitor_status import LEVELS, observe

# Made by the role docker_host where the distribution has no Textual that is new enough.
VENV = "/usr/local/lib/pgkeep/venv"
_OLDEST = 2

_WIDTH = 100
_NARROWEST = 40

# wait(seconds) -> None until the next look.
Wait = Callable[[float], object]


def monitor(context: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Show it until somebody has seen enough. The answer has only exit_code: what is to be seen was printed."""

    def look() -> dict[str, Any]:
        return observe(context.run, context.layout, time.time())

    if not (options.once or options.json or options.plain or not terminal()):
        require_textual()
        from ._monitor_app import dashboard
        from ._monitor_jobs import Work

        dashboard(look, Work(context), options.interval).run()
        return {"exit_code": 0}
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Symbols that the encoding of this terminal does not have are no reason to end.
        sys.stdout.reconfigure(errors="replace")
    try:
        level = lines(look, options, sys.stdout, threading.Event().wait)
    except KeyboardInterrupt:
        return {"exit_code": 0}
    return {"exit_code": LEVELS.index(level)}


def lines(look: Callable[[], Mapping[str, Any]], options: argparse.Namespace, out: TextIO, wait: Wait) -> str:
    """Print what look() sees, once or every interval for ever; the last verdict."""
    style = Style.of(out)
    while True:
        began = time.monotonic()
        status = look()
        if options.json:
            out.write(as_json(status) + "\n")
        else:
            width = max(shutil.get_terminal_size((_WIDTH, 0)).columns if out.isatty() else _WIDTH, _NARROWEST)
            out.write("".join(painted(line, style) + "\n" for line in page(status, width)))
            out.write("" if options.once else "\n")
        out.flush()
        if options.once:
            return str(status["status"])
        wait(max(options.interval - (time.monotonic() - began), 0.0))


def page(status: Mapping[str, Any], width: int) -> Iterator[Line]:
    """The overview from top to bottom."""
    age = status["snapshot_age_ms"]
    yield from panels.verdict(status, width, None if age is None else age / 1000, status["time"] if age is None else "")
    for title, shown in (
        ("Checks", panels.checks(status, width) + panels.others(status, width)),
        ("Load", panels.load(status, width)),
        ("Longest transactions", panels.transactions(status, width)),
        ("Storage", panels.storage(status, width)),
        ("Backup", panels.backup(status, width)),
        ("Partners", panels.partners(status, width)),
        ("Events", panels.events(status, width)),
    ):
        yield [(title, "title")]
        yield from shown


def painted(line: Line, style: Style) -> str:
    if not style.colour:
        return plain(line)
    return "".join(
        "\x1b[%sm%s\x1b[0m" % (PALETTE[name], words) if name in PALETTE else words for words, name in line
    ).rstrip()


def terminal() -> bool:
    return sys.stdout.isatty() and sys.stdin.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def require_textual(venv: str = VENV) -> None:
    """Make Textual importable: the machine's own, or that of our folder. Raises what to install where there is none."""
    # All of it is plain Python, so another version of Python after an upgrade of the machine can still read it.
    for folder in glob.glob(venv + "/lib/python3*/site-packages"):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    found = textual_version()
    if found is None or found < _OLDEST:
        raise PgkeepError(
            "The screen of the monitor cannot be shown",
            "the Python library Textual is %s" % ("missing" if found is None else "too old, version %d" % found),
            "add --plain for lines; or install python3-textual (Debian 13), or else python3-venv, then: "
            "python3 -m venv %s && %s/bin/pip install 'textual>=2,<9'" % (venv, venv),
        )


def textual_version() -> Optional[int]:
    """The major version, None where there is none."""
    from importlib import metadata

    try:
        words = metadata.version("textual")
    except metadata.PackageNotFoundError:
        return None
    major = words.partition(".")[0]
    return int(major) if major.isdigit() else None
