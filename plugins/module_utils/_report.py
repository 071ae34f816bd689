# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of the launch gate as files for people and programs. Private to the collection."""

from __future__ import annotations

import json
import os
from typing import Any, Mapping

from . import _files as files
from ._errors import PgkeepError

# What has to be done comes first.
_ORDER = ("fail", "waived", "skip", "pass")


def markdown(result: Mapping[str, Any]) -> str:
    """The report for people: verdict, counts, and one table for each result that occurs."""
    counts = ", ".join("%d %s" % (count, name) for name, count in result["summary"].items() if count)
    parts = [
        "# %(instance)s: %(verdict)s\n" % result,
        "Phase %s, %s. %s.\n" % (result["phase"], result["generated_at"], counts),
    ]
    for kind in _ORDER:
        found = [check for check in result["checks"] if check["result"] == kind]
        if found:
            parts += ["## %s\n" % kind, "| id | severity | check | evidence | fix |", "| --- | --- | --- | --- | --- |"]
            parts += [_row(check) for check in found]
            parts.append("")
    return "\n".join(parts)


def _row(check: Mapping[str, Any]) -> str:
    fix = "waived: %s" % check["waiver"] if check["waiver"] else check["fix"]
    cells = (check["id"], check["severity"], check["title"], check["evidence"], fix)
    return "| %s |" % " | ".join(_cell(str(cell)) for cell in cells)


def _cell(text: str) -> str:
    """Evidence holds words of others: nothing in it may end the cell or become markup."""
    for character in "\\|<>`*_[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def write(folder: str, result: Mapping[str, Any]) -> None:
    """preflight.json and preflight.md in folder, which is made when absent; each appears whole or not at all."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise PgkeepError(
            "The report cannot be written", "%s: %s" % (folder, error.strerror), "give another report_dir"
        ) from error
    texts = {
        "preflight.json": json.dumps(result, indent=2, ensure_ascii=False) + "\n",
        "preflight.md": markdown(result),
    }
    for name, text in texts.items():
        files.write(files.File(os.path.join(folder, name), text, 0o644, os.geteuid(), os.getegid()))
