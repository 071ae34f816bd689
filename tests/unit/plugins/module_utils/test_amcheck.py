# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _amcheck as amcheck
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .recorded import FIXTURES


def test_the_command_looks_at_everything():
    argv = amcheck.argv("/run/copy", 2, True, {"role": "none", "statement_timeout": "0"})
    assert argv[:3] == ["env", "PGOPTIONS=-c role=none -c statement_timeout=0", "pg_amcheck"]
    assert {"--all", "--install-missing", "--heapallindexed", "--jobs=2", "--host=/run/copy"} <= set(argv)
    assert "--heapallindexed" not in amcheck.argv("/run/copy", 2, False, {})


def test_nothing_found():
    assert amcheck.verdict(Result(0), True) == (
        True,
        "no corruption in any table or B-tree index, every row found in every index",
    )
    assert "every row" not in amcheck.verdict(Result(0), False)[1]


def test_what_nobody_looked_at_is_named():
    passed, detail = amcheck.verdict(Result(0), False, ["archive", "old"])
    assert passed
    assert detail.endswith("; not looked at, for they allow no connections: database archive; database old")


def test_a_row_that_its_index_does_not_have():
    passed, detail = amcheck.verdict(Result(2, (FIXTURES / "drill/amcheck.txt").read_text()), True)
    assert not passed
    assert detail == (
        'btree index "postgres.public.bad_i": ERROR: heap tuple (0,6) from table "bad" lacks matching index tuple'
        ' within index "bad_i"'
    )


def test_many_findings_are_counted():
    text = "".join('heap table "a.b.t%d", block 0:\n    page is bad\n' % number for number in range(8))
    passed, detail = amcheck.verdict(Result(2, text), True)
    assert not passed
    assert detail.endswith('heap table "a.b.t4", block 0: page is bad; and 3 more')


def test_a_check_that_did_not_run_is_not_passed():
    error = "pg_amcheck: error: connection to server on socket failed: FATAL: too many connections\n"
    for result, why in ((Result(1, "", error), error.strip()), (Result(137), "exit code 137 and no message")):
        with pytest.raises(PgkeepError) as caught:
            amcheck.verdict(result, True)
        assert caught.value.why == why
