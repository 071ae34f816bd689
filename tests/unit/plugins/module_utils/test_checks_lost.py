# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the launch gate says where a source of facts is lost."""

from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._preflight import CHECKS, judge

from .recorded import changed, without
from .test_checks import GOOD, finding

# What the certificate says is one of several things in S04; no source is lost where Prometheus does not answer.
ROOTS = {check.root: check.id for _area, check in CHECKS if check.root}
SOURCES = {need for _area, check in CHECKS for need in check.needs} - {"monitoring"}


def test_every_source_has_one_root() -> None:
    assert sorted(ROOTS) == sorted(SOURCES)
    assert len(ROOTS) == sum(bool(check.root) for _area, check in CHECKS)


@pytest.mark.parametrize("source, root", sorted(ROOTS.items()))
def test_a_lost_source_is_one_failure_that_no_waiver_covers(source: str, root: str) -> None:
    before = {check["id"] for check in judge(GOOD, "after", {})["checks"] if check["result"] == "fail"}
    waivers = {root: {"reason": "what it is about is accepted"}}
    found = judge(without(GOOD, source, "nobody answers"), "after", waivers)
    assert {check["id"] for check in found["checks"] if check["result"] == "fail"} == before | {root}
    failure = next(check for check in found["checks"] if check["id"] == root)
    assert failure["evidence"] == "cannot be read: nobody answers; its waiver does not cover that"
    assert found["verdict"] == "NOT_READY"


def test_a_port_that_nobody_can_ask_hides_no_setting() -> None:
    facts = without(GOOD, "certificate", "nobody listens")
    assert finding(facts, "S04")["evidence"] == "clients refuse the certificate: nobody listens"
    facts = changed(facts, "sql.settings.ssl.setting", "off")
    assert finding(facts, "S04")["evidence"].startswith("ssl is off; ")


def test_what_was_not_tried_is_no_failure_of_its_own() -> None:
    facts = without(without(GOOD, "sql", "nobody answers"), "catalogs", "nobody answers")
    facts["errors"]["catalogs"]["behind"] = True
    failures = [check["id"] for check in judge(facts, "after", {})["checks"] if check["result"] == "fail"]
    assert failures == ["P01", "B05"]


def test_a_lost_engine_is_told_once_although_everything_is_behind_it() -> None:
    facts = GOOD
    for source in ("engine", "port", "majors", "disks", "container", "backup", "certificate"):
        facts = without(facts, source, "the engine does not answer")
    failures = [check["id"] for check in judge(facts, "after", {})["checks"] if check["result"] == "fail"]
    assert failures == ["D01", "B05"]
