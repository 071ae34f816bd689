# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings as an object: what is hidden, what is accepted, and what a deploy that was refused becomes."""

from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _finding as findings
from ansible_collections.pgkeep.postgres.plugins.module_utils._finding import Finding

WORK_MEM = Finding("settings", "work_mem", "4MB", "64MB by ALTER SYSTEM", "reset it", "reload")


@pytest.mark.parametrize(
    "name, text, shown",
    [
        ("work_mem", "4MB", "4MB"),
        ("work_mem", None, "not set"),
        ("primary_conninfo", "host=a password=b", "(hidden)"),
        ("my.api_token", "abcdef", "(hidden)"),
        ("ssl_key_file", "/etc/pgkeep/tls/server.key", "/etc/pgkeep/tls/server.key"),
        ("", 'host all all 10.0.0.0/8 ldap ldapbindpasswd="very secret" ldapserver=a', None),
    ],
)
def test_no_value_that_may_be_a_secret_is_shown(name, text, shown):
    found = findings.value(name, text)
    assert "secret" not in found
    assert "abcdef" not in found
    if shown is not None:
        assert found == shown


def test_the_object_has_a_verdict_and_a_line_for_each_finding():
    drift = findings.result("app", [WORK_MEM], ["plan", "machine", "server"])
    assert not drift["in_sync"]
    assert drift["findings"][0]["restart"] == "reload"
    assert drift["summary"] == [
        "app: 1 difference",
        "settings: work_mem: declared 4MB, actual 64MB by ALTER SYSTEM. Next: reset it (reload)",
    ]


def test_what_is_accepted_is_told_and_is_no_difference():
    drift = findings.result("app", [WORK_MEM], ["plan"], ["settings: work_*"])
    assert drift["in_sync"]
    assert drift["findings"] == []
    assert [each["item"] for each in drift["accepted"]] == ["work_mem"]
    assert drift["summary"] == ["app: as declared; 1 accepted"]


def test_a_password_in_the_words_of_a_tool_is_hidden():
    finding = Finding("server", "app", "answering", "postgresql://app:geheim1234@db/app failed")
    assert "geheim1234" not in str(findings.result("app", [finding], []))


def test_the_answer_of_a_deploy_that_is_only_checked():
    differences = [
        {"area": "files", "item": "/a", "declared": "there", "actual": "absent", "fix": "x", "restart": "none"}
    ]
    assert findings.of_deploy({"instance": {"differences": differences}})[0].item == "/a"


@pytest.mark.parametrize(
    "answer, actual, fix",
    [
        (
            {"error": {"what": "It cannot", "why": "strange", "next_step": "rename"}},
            "It cannot: strange",
            "rename",
        ),
        ({"failed": True, "msg": "undefined"}, "undefined", "correct what it names"),
    ],
)
def test_a_deploy_that_would_be_refused_is_a_finding(answer, actual, fix):
    (found,) = findings.of_deploy(answer)
    assert (found.area, found.actual, found.fix) == ("deploy", actual, fix)
