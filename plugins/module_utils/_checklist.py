# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done before an instance goes live, as a list over the checks. Pure. Private to the collection."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ._checks import PASS, WAIVED

# What somebody does before going live -> the checks that tell that it is done.
STEPS = (
    ("Docker runs and has enough memory", ("D01", "H04")),
    ("Backups have a schedule", ("B08",)),
    ("Monitoring is configured", ("M01", "M02", "M03")),
    ("The first backup is made", ("B01", "B02")),
    ("A restore is tested", ("B03",)),
    ("Alerts reach people", ("M04",)),
    ("A restart is simulated", ("C12", "K05")),
)


def checklist(findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """step, done and checks (id and result) of each step. What is waived is done as well as somebody wants it; what was
    skipped is not."""
    results = {finding["id"]: finding["result"] for finding in findings}
    return [
        {
            "step": step,
            "done": all(results[id] in (PASS, WAIVED) for id in ids),
            "checks": [{"id": id, "result": results[id]} for id in ids],
        }
        for step, ids in STEPS
    ]
