# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the reports below a folder with parsers that know nothing of us, and prints what is in them as JSON.

argv: the folder of a report of two instances, of which the first one does not answer, and the name of the other.
"""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree


class Page(HTMLParser):
    """The text, and every address that a browser would ask."""

    text = ""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag == "script":
            self.addresses.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def rows(markdown: str) -> list[str]:
    """Ids of the checks that a table of the text has a row for."""
    cells = [line.strip("|").split("|")[0].strip() for line in markdown.splitlines() if line.startswith("|")]
    return sorted(cell for cell in cells if cell not in ("id", "---"))


def main(folder: Path, instance: str) -> None:
    report = json.loads((folder / "report.json").read_text())
    gone, there = report["instances"]
    judged = json.loads((folder / instance / "preflight.json").read_text())
    suite = ElementTree.parse(folder / instance / "preflight.xml").getroot()[0]
    page = Page()
    page.feed((folder / "report.html").read_text())
    single = Page()
    single.feed((folder / instance / "preflight.html").read_text())
    found = {
        "instances": [[each["instance"], each["verdict"]] for each in (gone, there)],
        "error": gone["error"],
        "health": there["health"],
        "waived": {check["id"]: check["waiver"] for check in there["waived"]},
        "measured": there["measured"],
        "measured_alone": judged["measured"],
        "checks": sorted(check["id"] for check in judged["checks"]),
        "rows": rows((folder / instance / "preflight.md").read_text()),
        "cases": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "fail": judged["summary"]["fail"],
        "addresses": page.addresses + single.addresses,
        "text": page.text,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
