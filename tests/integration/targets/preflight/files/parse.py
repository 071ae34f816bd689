# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the reports below a folder with parsers that know nothing of us, and prints what is in them as JSON."""

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


def main(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    gone, there = report["instances"]
    judged = json.loads((folder / "pgkeep-it/preflight.json").read_text())
    suite = ElementTree.parse(folder / "pgkeep-it/preflight.xml").getroot()[0]
    page = Page()
    page.feed((folder / "report.html").read_text())
    single = Page()
    single.feed((folder / "pgkeep-it/preflight.html").read_text())
    found = {
        "instances": [[each["instance"], each["verdict"]] for each in (gone, there)],
        "error": gone["error"],
        "health": there["health"],
        "failed": [check["id"] for check in there["failed"]],
        "rto_seconds": there["measured"]["rto_seconds"],
        "backup_at": there["measured"]["backup_at"],
        "cases": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "fail": judged["summary"]["fail"],
        "addresses": page.addresses + single.addresses,
        "text": page.text,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
