# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the pooler, where one is declared (C13, C14). Pure. Private to the collection."""

from __future__ import annotations

from ._checks import CRITICAL, PASS, Check, Facts, Outcome, failed, passed
from ._checks_container import c02, c04, c08, c09, c11, d04, i01

# What holds for the server's container holds for the pooler's.
_SHARED = (i01, c02, c04, c08, c09, c11, d04)


def c13(facts: Facts) -> Outcome:
    found = facts["pooler"]
    if found is None:
        return passed("no pooler is declared")
    if found["inspect"] is None:
        return failed("there is no container %s" % found["name"])
    alone = {"container": {"inspect": found["inspect"]}}
    problems = [outcome.evidence for outcome in (test(alone) for test in _SHARED) if outcome.result != PASS]
    return failed("; ".join(problems)) if problems else passed("limits, rights, health check and log as the server's")


def c14(facts: Facts) -> Outcome:
    found = facts["pooler"]
    if found is None:
        return passed("no pooler is declared")
    if found["login_error"] is not None:
        return failed(found["login_error"])
    return passed("login through %(address)s in %(connect_ms).0f ms" % found)


_DEPLOY = "run the playbook deploy.yml"
_ONE = ("pooler",)

POOLER = (
    Check("C13", "The pooler's container is as confined as the server's", CRITICAL, c13, _DEPLOY, _ONE, root="pooler"),
    Check("C14", "Applications get in through the pooler", CRITICAL, c14, _DEPLOY, _ONE),
)
