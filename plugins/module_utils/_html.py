# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A page of HTML as a tree: what is put into it cannot become markup, whoever said it. Private to the collection.

Standard library only: a managed host has no template engine, and a page has to open from a disk, in print and in mail.
"""

from __future__ import annotations

import re
from typing import Union
from xml.etree import ElementTree

Element = ElementTree.Element
Child = Union[Element, str]

# What XML cannot hold at all (XML 1.0, Char).
_FORBIDDEN = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")

# Colours by the reader's own choice of light or dark; on paper everything that is folded is open.
_STYLE = """
:root { color-scheme: light dark; --good: #1a7f37; --warn: #9a6700; --bad: #cf222e; --mute: #6e7781; --line: #d0d7de; }
@media (prefers-color-scheme: dark) {
  :root { --good: #3fb950; --warn: #d29922; --bad: #f85149; --mute: #8b949e; --line: #30363d; }
}
body { font: 15px/1.45 system-ui, sans-serif; max-width: 75rem; margin: 1.5rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; }
td.id, td.number { white-space: nowrap; }
summary { cursor: pointer; padding: .3rem 0; }
small, .skip, .unknown { color: var(--mute); }
.pass, .good, .READY, .healthy { color: var(--good); }
.warn, .waived, .READY_WITH_WARNINGS, .warning { color: var(--warn); }
.fail, .bad, .NOT_READY, .critical, .UNREACHABLE { color: var(--bad); }
b { font-weight: 600; }
@media print { body { font-size: 10pt; max-width: none; margin: 0; } tr { break-inside: avoid; } }
"""


def clean(text: object) -> str:
    """text without the characters that no document can hold."""
    return _FORBIDDEN.sub("\ufffd", str(text))


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """kind is written as class, which is a word of Python; what is None is left out."""
    names = {
        "class" if name == "kind" else name: clean(value) for name, value in attributes.items() if value is not None
    }
    made = Element(tag, names)
    last = None
    for child in children:
        if isinstance(child, str):
            if last is None:
                made.text = (made.text or "") + clean(child)
            else:
                last.tail = (last.tail or "") + clean(child)
        else:
            made.append(child)
            last = child
    return made


def table(heads: tuple[str, ...], rows: list[Element]) -> Element:
    head = element("thead", element("tr", *(element("th", word) for word in heads)))
    return element("table", head, element("tbody", *rows))


def page(title: str, *body: Child) -> str:
    """A document that needs nothing else: no script, no font, no address."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", _STYLE),
    )
    tree = element("html", head, element("body", *body), lang="en")
    return "<!DOCTYPE html>\n" + ElementTree.tostring(tree, encoding="unicode", method="html") + "\n"
