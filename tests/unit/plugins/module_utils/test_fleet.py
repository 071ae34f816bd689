# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of all instances: worst first, nobody left out, and a page that needs nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.pgkeep.postgres.plugins.filter.fleet_report import fleet_report
from ansible_collections.pgkeep.postgres.plugins.module_utils._fleet import fleet, fleet_page
from ansible_collections.pgkeep.postgres.plugins.module_utils._preflight import judge

from .recorded import changed, load
from .test_report import self_contained

GOOD = load("preflight/after.json")
NOW = GOOD["now"]
WAIVERS = {"B05": {"reason": "ordered", "until": "2027-01-31"}}
HEALTHY = {"status": "healthy", "reasons": []}
ILL = {"status": "critical", "reasons": ["disk_data: 91 % of the space are used <b>"]}


def judged(path: str = "", value: Any = None, waivers: Any = None) -> dict[str, Any]:
    facts = changed(GOOD, path, value) if path else GOOD
    return {"preflight": judge(facts, "after", WAIVERS if waivers is None else waivers), "health": HEALTHY}


FOUND: dict[str, Any] = {
    "fine": judged(),
    "ill": judged() | {"health": ILL},
    "two": judged("sql.settings.fsync.setting", "off", {}),
    "one": judged(waivers={}),
    "late": judged("drill.last_rto_seconds", 601),
    "gone": {"unreachable": True, "error": "No route to host <script>"},
    "broken": {"error": "psycopg2 is missing"},
}


def test_the_worst_comes_first() -> None:
    report = fleet(FOUND, NOW)
    assert [each["instance"] for each in report["instances"]] == ["gone", "broken", "two", "one", "ill", "late", "fine"]
    assert report["summary"] == {
        "UNREACHABLE": 1, "NOT_JUDGED": 1, "NOT_READY": 2, "READY_WITH_WARNINGS": 3, "READY": 0,
    }  # fmt: skip
    one = report["instances"][3]
    assert [check["id"] for check in one["failed"]] == ["B05"]
    assert (one["measured"]["rto_seconds"], one["measured"]["proven_at"]) == (1.5, "2026-11-21T22:50:00Z")
    assert one["measured"]["disks"]["data"]["used_percent"] == 31.4


def test_what_is_waived_stays_in_sight() -> None:
    fine = fleet(FOUND, NOW)["instances"][-1]
    assert [(each["id"], each["waiver"], each["waived_until"]) for each in fine["waived"]] == [
        ("B05", "ordered", "2027-01-31")
    ]
    assert "waived until 2027-01-31: ordered" in fleet_page(fleet({"fine": FOUND["fine"]}, NOW))


def test_the_page() -> None:
    text = fleet_page(fleet(FOUND, NOW))
    page = self_contained(text)
    assert page.tags.count("details") == len(FOUND)
    # Open are the four that nobody may go live with.
    assert page.attributes.count(("open", "open")) == 4
    assert "No route to host <script>" in page.text
    assert "disk_data: 91 % of the space are used <b>" in page.text
    assert "601 of 600 s" in page.text
    assert page.text.index("gone") < page.text.index("fine")
    # A line for each, whatever is known of it.
    assert len(re.findall(r"<td class=.id.>(?:%s)</td>" % "|".join(FOUND), text)) == len(FOUND)


def test_a_report_of_hundreds_stays_small_and_fast() -> None:
    many = {"host-%03d" % number: FOUND["one"] for number in range(300)}
    assert len(fleet_page(fleet(many, NOW))) < 1024 * 1024


def test_the_filter_reads_what_the_modules_said() -> None:
    hostvars = {
        "app": {"postgres_preflight_result": {"preflight": FOUND["fine"]["preflight"]},
                "postgres_report_health": {"health": HEALTHY}},
        "gone": {"postgres_report_health": {"unreachable": True, "msg": "Connection refused"}},
        "failed": {"postgres_report_health": {"failed": True, "msg": "psycopg2 is missing"}},
        "never": {},
    }  # fmt: skip
    report = json.loads(fleet_report(list(hostvars), hostvars, form="json"))
    told = {each["instance"]: (each["verdict"], each["health"], each["error"]) for each in report["instances"]}
    assert told == {
        "gone": ("UNREACHABLE", "unknown", "Connection refused"),
        "failed": ("NOT_JUDGED", "unknown", "psycopg2 is missing"),
        "never": ("NOT_JUDGED", "unknown", "nobody told why"),
        "app": ("READY_WITH_WARNINGS", "healthy", None),
    }
    assert fleet_report(["never"], hostvars).startswith("<!DOCTYPE html>")
    with pytest.raises(AnsibleFilterError, match="html and json, not pdf"):
        fleet_report([], hostvars, form="pdf")
