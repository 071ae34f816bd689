# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._sql import query


def test_a_server_that_is_not_there_is_an_error_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(PgkeepError, match="did not do what it was asked.*No such file or directory.*docker logs"):
        query(str(tmp_path), "select 1")
