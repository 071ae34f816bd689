# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One difference between what is declared and what is there, and all of them as one object. Private."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import asdict, dataclass
from typing import Any, Iterable, Mapping, Optional, Sequence

from ._redact import HIDDEN, redact

DEPLOY = "run the playbook deploy.yml"

# What the correction costs the server.
NONE, RELOAD, RESTART, CONTAINER = "none", "reload", "restart", "new container"

# Of a setting that an extension or an inventory may have: nobody needs to read its value to mend it.
_SECRET_NAME = re.compile(r"pass|secret|token|(?<!ssl_)key(?!_file)|conninfo", re.IGNORECASE)
_SECRET_WORD = re.compile(r"(ldapbindpasswd|radiussecrets?)=(\"[^\"]*\"|\S+)")


@dataclass(frozen=True)
class Finding:
    """One difference. area: what kind of thing item is; declared and actual: words without secrets; fix: what brings
    the declared state back; restart: what that costs the server."""

    area: str
    item: str
    declared: str
    actual: str
    fix: str = DEPLOY
    restart: str = NONE

    @property
    def name(self) -> str:
        """What a pattern of accepted findings is compared with."""
        return "%s: %s" % (self.area, self.item)

    @property
    def line(self) -> str:
        cost = "" if self.restart == NONE else " (%s)" % self.restart
        return "%s: declared %s, actual %s. Next: %s%s" % (self.name, self.declared, self.actual, self.fix, cost)


def value(name: str, text: Optional[str]) -> str:
    """The value of the setting name as a finding may show it."""
    if text is None:
        return "not set"
    return HIDDEN if _SECRET_NAME.search(name) else _SECRET_WORD.sub(r"\1=" + HIDDEN, text)


def of_deploy(answer: Mapping[str, Any]) -> list[Finding]:
    """The findings of the module instance in check mode. What a deploy would refuse is one as well: it hides the rest
    of what the plan would say."""
    differences = (answer.get("instance") or {}).get("differences")
    if differences is not None:
        return [Finding(**each) for each in differences]
    error = answer.get("error") or {}
    actual = "%s: %s" % (error["what"], error["why"]) if error else str(answer.get("msg") or "it gave no answer")
    return [Finding("deploy", "plan", "possible", actual, error.get("next_step") or "correct what it names")]


def result(
    name: str, findings: Iterable[Finding], compared: Sequence[str], accepted: Sequence[str] = ()
) -> dict[str, Any]:
    """The object of the module drift. compared: what could be asked. accepted: patterns of Finding.name (fnmatch)."""
    known: list[Finding] = []
    new: list[Finding] = []
    for each in findings:
        fits = any(fnmatch.fnmatchcase(each.name, pattern) for pattern in accepted)
        (known if fits else new).append(Finding(**redact(asdict(each), ())))
    count = "1 difference" if len(new) == 1 else "%d differences" % len(new)
    verdict = count if new else "as declared"
    more = "; %d accepted" % len(known) if known else ""
    return {
        "instance": name,
        "in_sync": not new,
        "findings": [asdict(each) for each in new],
        "accepted": [asdict(each) for each in known],
        "compared": list(compared),
        "summary": ["%s: %s%s" % (name, verdict, more), *(each.line for each in new)],
    }
