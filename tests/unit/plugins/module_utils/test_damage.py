# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _damage as damage
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .recorded import FIXTURES

ERROR = PgkeepError("The restore failed", "[029]: raised from local-1 protocol: zst error", "correct it")


def log(name):
    return (FIXTURES / "drill" / name).read_text()


def test_the_bad_file_is_named():
    asked = []

    def tool(argv):
        asked.append(argv)
        return Result(0, log("verify_checksum.txt"))

    error = damage.with_files(ERROR, tool, "orders", "20261121-225358F")
    assert error.why == ERROR.why + "; in the repository: invalid checksum '20261121-225358F/bundle/2'"
    assert "another backup with label" in error.next_step
    assert asked[0][-1] == "verify"
    assert {"--set=20261121-225358F", "--repo=1"} <= set(asked[0])
    damage.with_files(ERROR, tool, "orders", "20261121-225358F", 2)
    assert "--repo=2" in asked[1]
    damage.with_files(ERROR, tool, "orders", "20261121-225358F", 1, 12.7)
    assert [argv[:2] for argv in asked] == [["timeout", "600"], ["timeout", "600"], ["timeout", "12"]]


def test_a_file_is_named_once():
    assert damage.findings(log("verify_missing.txt")) == ["file missing '20261121-225358F/bundle/2'"]


@pytest.mark.parametrize("answer", [Result(0, ""), Result(124, "INFO: verify command begin"), Result(1, "", "gone")])
def test_what_verify_cannot_explain_stays_as_it_was(answer):
    assert damage.with_files(ERROR, lambda argv: answer, "orders", "20261121-225358F") is ERROR


def test_an_engine_that_does_not_answer_hides_nothing():
    def tool(argv):
        raise PgkeepError("The Docker engine does not answer")

    assert damage.with_files(ERROR, tool, "orders", "20261121-225358F") is ERROR


@pytest.mark.parametrize(
    "why,suspect",
    [
        ("[026]: unable to restore", True),
        ("[055]: missing file", True),
        ("[031]: option not valid", False),
        ("[075]: no backup set found", False),
        ("[042]: unable to read from bundle/1", True),
        ("[049]: unable to connect to 'off-site:443': [111] Connection refused", False),
        # A bucket that vanished in the middle of a restore.
        ("[042]: raised from local-2 protocol: timeout after 10000ms waiting for read from 'off-site:443'", False),
        ("FATAL: recovery ended before configured recovery target was reached", False),
    ],
)
def test_when_a_file_is_suspected(why, suspect):
    assert damage.suspects_file(why) is suspect


def test_a_whole_backup_is_not_read_for_a_slip_of_the_hand():
    asked = []
    error = PgkeepError("The restore failed", "[031]: option not valid")
    assert damage.with_files(error, asked.append, "orders", "20261121-225358F") is error
    assert asked == []
