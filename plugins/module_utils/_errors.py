# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error type of the library. Private to the collection."""

from __future__ import annotations


class PgkeepError(Exception):
    """Something did not work, told so that the reader can act at 3 am.

    what: the thing that did not happen, one clause, no full stop.
    why: the evidence, in the words of the tool that said it where possible.
    next_step: what the reader does now.
    busy: true when another operation holds the instance; a repeat later may succeed.
    """

    def __init__(self, what: str, why: str = "", next_step: str = "", *, busy: bool = False) -> None:
        self.what = what
        self.why = why
        self.next_step = next_step
        self.busy = busy
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [self.what.rstrip(".") + "."]
        if self.why:
            parts.append("Why: " + self.why.strip().rstrip(".") + ".")
        if self.next_step:
            parts.append("Next: " + self.next_step.strip().rstrip(".") + ".")
        return " ".join(parts)

    def to_result(self) -> dict[str, object]:
        """The fields of RV(error) in modules and of {"error": ...} from the keeper."""
        return {"what": self.what, "why": self.why, "next_step": self.next_step, "busy": self.busy}
