# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reports of the launch gate: every form says the same, and the words of others cannot become anything in it."""

from __future__ import annotations

import json
import os
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _report as report
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._preflight import judge

from .recorded import changed, load

GOOD = load("preflight/after.json")
HOSTILE = "a | b\n<script src=//x>\x07 & \"'`"
WAIVED = {"B05": {"reason": "ordered <b>", "until": "2027-01-31"}}
RESULT = judge(changed(GOOD, "sql.hba.0.error", HOSTILE), "after", WAIVED)
VOID = ("meta", "br", "hr", "link", "img", "input")


class Page(HTMLParser):
    """The tags that were opened, the text, and whether every tag was closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, Any]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def self_contained(text: str) -> Page:
    """The page when it is well-formed and asks for nothing that is not in it."""
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.tags)
    assert not [value for name, value in page.attributes if name in ("src", "href", "style") or name.startswith("on")]
    assert "url(" not in text
    assert "@import" not in text
    return page


def test_all_files_are_written_whole_and_for_everybody(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "app-db"
    report.write(str(folder), RESULT)
    report.write(str(folder), RESULT)
    assert sorted(path.name for path in folder.iterdir()) == [
        "preflight.html", "preflight.json", "preflight.md", "preflight.xml",
    ]  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}
    assert json.loads((folder / "preflight.json").read_text()) == RESULT


def test_markdown() -> None:
    text = report.markdown(RESULT)
    assert text.startswith("# app-db: NOT_READY\n\nPhase after, 2026-11-21T")
    assert "- [x] A restore is tested (B03 pass)" in text
    assert "- [ ] A restart is simulated (C12 skip, K05 skip)" in text
    assert text.index("## Before going live") < text.index("## fail") < text.index("## waived") < text.index("## skip")
    assert "| repositories: repo1 (posix) | waived until 2027-01-31: ordered \\<b\\> |" in text
    # Words of the server cannot end a cell or become markup.
    assert "a \\| b \\<script src=//x\\>" in text


def test_a_report_before_a_deploy_has_no_list_and_no_table_without_rows() -> None:
    text = report.markdown(judge(load("preflight/before.json"), "before", {}))
    assert text.startswith("# app-db: READY\n")
    assert "## fail" not in text
    assert "Before going live" not in text


def test_html() -> None:
    page = self_contained(report.html(RESULT))
    assert page.text.count("A restart is simulated") == 1
    assert all(check["id"] in page.text and check["title"] in page.text for check in RESULT["checks"])
    assert "a | b\n<script src=//x>\ufffd &" in page.text
    # Folded is what nobody has to do anything about.
    assert ("open", "open") in page.attributes
    assert page.tags.count("details") == 4


def test_junit() -> None:
    root = ElementTree.fromstring(report.junit(RESULT))
    suite = root[0]
    cases = suite.findall("testcase")
    counts = {name: int(suite.get(name, "-1")) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {
        "tests": len(RESULT["checks"]),
        "failures": len(suite.findall("testcase/failure")),
        "errors": 0,
        "skipped": len(suite.findall("testcase/skipped")),
    }
    assert counts["failures"] == RESULT["summary"]["fail"] > 0
    assert counts["skipped"] == RESULT["summary"]["skip"] > 0
    found = {str(case.get("name"))[:3]: case for case in cases}
    assert list(found) == [check["id"] for check in RESULT["checks"]]
    assert found["S01"].get("classname") == "launch.security"
    assert "<script src=//x>" in str(found["S01"].find("failure").get("message"))  # type: ignore[union-attr]
    waived = {each.get("name"): each.get("value") for each in found["B05"].findall("properties/property")}
    assert (waived["waiver"], waived["waived_until"], waived["result"]) == ("ordered <b>", "2027-01-31", "waived")
    assert found["B05"].find("failure") is None


def test_a_failed_warning_fails_no_build() -> None:
    result = judge(changed(GOOD, "engine.live_restore", False), "after", {})
    case = ElementTree.fromstring(report.junit(result)).find("testsuite/testcase[@name='%s %s']" % (
        "D03", "Servers survive a restart of the engine"))  # fmt: skip
    assert case is not None
    assert case.find("failure") is None
    assert case.findtext("system-out") == "live-restore is off"


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PgkeepError, match="The report cannot be written"):
        report.write(str(tmp_path / "file"), RESULT)


def test_the_keeper_gets_it_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Here(Layout):
        config_dir = str(tmp_path)
        home = str(tmp_path / "home")

    monkeypatch.setattr(report, "UID", os.geteuid())
    monkeypatch.setattr(report, "GID", os.getegid())
    (tmp_path / "keeper").mkdir()
    (tmp_path / "keeper/slack.url").write_text("https://hooks.example.com/services/T0/very-secret-part\n")
    result = judge(changed(GOOD, "alerts.receivers", ["ops password=hunter2 very-secret-part"]), "after", {})
    report.publish(Here("app-db"), result)
    assert not (tmp_path / "home").exists()
    (tmp_path / "home/state").mkdir(parents=True)
    report.publish(Here("app-db"), result)
    path = tmp_path / "home/state/preflight.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    published = json.loads(path.read_text())
    assert (published["verdict"], len(published["checks"])) == (result["verdict"], len(result["checks"]))
    assert "hunter2" in json.dumps(result)
    assert "hunter2" not in path.read_text()
    assert "very-secret-part" not in path.read_text()
