# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of the launch gate as files for people and programs. Private to the collection."""

from __future__ import annotations

import json
import os
from typing import Any, Mapping
from xml.etree import ElementTree

from . import _files as files
from . import _redact as redactor
from ._errors import PgkeepError
from ._html import Element, element, page, table
from ._layout import GID, UID, Layout

# What has to be done comes first.
_ORDER = ("fail", "waived", "skip", "pass")
_HEADS = ("id", "severity", "check", "evidence", "fix")


def markdown(result: Mapping[str, Any]) -> str:
    """The report for people: verdict, counts, what to do before going live, and one table for each result."""
    parts = ["# %(instance)s: %(verdict)s\n" % result, _headline(result) + "\n"]
    if result["checklist"]:
        parts += ["## Before going live\n"]
        parts += [
            "- [%s] %s (%s)" % ("x" if step["done"] else " ", step["step"], _results(step))
            for step in result["checklist"]
        ]
        parts.append("")
    for kind in _ORDER:
        found = [check for check in result["checks"] if check["result"] == kind]
        if found:
            parts += ["## %s\n" % kind, "| %s |" % " | ".join(_HEADS), "| --- | --- | --- | --- | --- |"]
            parts += ["| %s |" % " | ".join(_cell(cell) for cell in _cells(check)) for check in found]
            parts.append("")
    return "\n".join(parts)


def _headline(result: Mapping[str, Any]) -> str:
    counts = ", ".join("%d %s" % (count, name) for name, count in result["summary"].items() if count)
    return "Phase %s, %s. %s. Score %d %%." % (result["phase"], result["generated_at"], counts, result["score"])


def _results(step: Mapping[str, Any]) -> str:
    return ", ".join("%(id)s %(result)s" % check for check in step["checks"])


def _cells(check: Mapping[str, Any]) -> tuple[str, ...]:
    return (check["id"], check["severity"], check["title"], check["evidence"], _what_next(check))


def _what_next(check: Mapping[str, Any]) -> str:
    if not check["waiver"]:
        return str(check["fix"])
    until = " until %s" % check["waived_until"] if check["waived_until"] else ""
    return "waived%s: %s" % (until, check["waiver"])


def _cell(text: str) -> str:
    """Evidence holds words of others: nothing in it may end the cell or become markup."""
    for character in "\\|<>`*_[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def html(result: Mapping[str, Any]) -> str:
    """The same on one page; what is good is folded."""
    parts: list[Element] = [
        element("h1", result["instance"], ": ", element("span", result["verdict"], kind=result["verdict"])),
        element("p", _headline(result)),
    ]
    if result["checklist"]:
        steps = [
            element("li", element("b", "done: " if step["done"] else "to do: ", kind="good" if step["done"] else "bad"),
                    step["step"], " ", element("small", _results(step)))
            for step in result["checklist"]
        ]  # fmt: skip
        parts += [element("h2", "Before going live"), element("ul", *steps)]
    for kind in _ORDER:
        found = [check for check in result["checks"] if check["result"] == kind]
        if found:
            title = element("summary", element("b", "%d %s" % (len(found), kind), kind=kind))
            folded = None if kind in ("skip", "pass") else "open"
            parts.append(element("details", title, check_table(found), open=folded))
    return page("%(instance)s: %(verdict)s" % result, *parts)


def check_table(checks: list[Mapping[str, Any]]) -> Element:
    """A table of findings, also for the report of all instances."""
    rows = [
        element(
            "tr", *(element("td", cell, kind="id" if place == 0 else None) for place, cell in enumerate(_cells(check)))
        )
        for check in checks
    ]
    return table(_HEADS, rows)


def junit(result: Mapping[str, Any]) -> str:
    """The same for a CI server: a test case for each check. A failed warning is none, it stands in the output; nor is
    what is waived, with its reason as a property."""
    failures = result["summary"]["fail"]
    counts = {"tests": len(result["checks"]), "failures": failures, "errors": 0, "skipped": result["summary"]["skip"]}
    suite = element("testsuite", *(_case(check) for check in result["checks"]), name=result["instance"],
                    timestamp=result["generated_at"].rstrip("Z"), time="0", **counts)  # fmt: skip
    suites = element("testsuites", suite, name="launch gate")
    ElementTree.indent(suites)
    text = ElementTree.tostring(suites, encoding="unicode")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + text + "\n"


def _case(check: Mapping[str, Any]) -> Element:
    properties = {"severity": check["severity"], "result": check["result"], "fix": check["fix"]}
    if check["waiver"]:
        properties.update(waiver=check["waiver"], waived_until=check["waived_until"] or "")
    parts = [
        element(
            "properties", *(element("property", name=name, value=value) for name, value in properties.items() if value)
        )
    ]
    if check["result"] == "skip":
        parts.append(element("skipped", message=check["evidence"]))
    elif check["result"] == "fail" and check["severity"] != "warning":
        parts.append(element("failure", "Next: " + check["fix"], message=check["evidence"], type=check["severity"]))
    else:
        parts.append(element("system-out", check["evidence"]))
    name = "%(id)s %(title)s" % check
    return element("testcase", *parts, name=name, classname="%s.%s" % ("launch", check["area"]), time="0")


def write(folder: str, result: Mapping[str, Any]) -> None:
    """preflight.json, .md, .html and .xml (JUnit) in folder, which is made when absent; each appears whole or not."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise PgkeepError(
            "The report cannot be written", "%s: %s" % (folder, error.strerror), "give another report_dir"
        ) from error
    texts = {"json": _json(result), "md": markdown(result), "html": html(result), "xml": junit(result)}
    for ending, text in texts.items():
        path = os.path.join(folder, "preflight." + ending)
        files.write(files.File(path, text, 0o644, os.geteuid(), os.getegid()))


def _json(result: Mapping[str, Any]) -> str:
    return json.dumps(result, indent=2, ensure_ascii=False) + "\n"


def publish(layout: Layout, result: Mapping[str, Any]) -> None:
    """The same for the keeper, which serves it to whoever has its token: without anything that the host keeps secret.
    An instance without a state folder has no keeper either."""
    if not os.path.isdir(layout.state_dir):
        return
    known = redactor.secrets(layout.keeper_config_dir, layout.pgbackrest_config_dir + "/pgbackrest.conf")
    text = _json(redactor.redact(result, known))
    files.write(files.File(layout.state_dir + "/" + FILE, text, 0o640, UID, GID))


# In the state folder of the instance.
FILE = "preflight.json"
