# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill in the keeper, asked for from the host. Private to the collection."""

from __future__ import annotations

from itertools import islice
from typing import Any, Optional

from ._drill import Request
from ._drill_record import Drill, DrillError, records
from ._errors import PgkeepError
from ._keeper import ask
from ._layout import Layout
from ._restore_plan import require_release
from ._run import Run


def words(request: Request, check_mode: bool) -> list[str]:
    """The keeper's command for request."""
    return [
        "drill",
        *(["--repo=%d" % request.repository] if request.repository != 1 else []),
        *(["--label=" + request.label] if request.label else []),
        *(["--max-age=%d" % request.max_age_seconds] if request.max_age_seconds else []),
        *(["--timeout=%g" % request.timeout_seconds] if request.timeout_seconds else []),
        *([] if request.heapallindexed else ["--no-heapallindexed"]),
        *(["--keep-on-failure"] if request.keep_on_failure else []),
        *(["--check"] if check_mode else []),
    ]


def drill_in_keeper(run: Run, name: str, request: Request, check_mode: bool) -> dict[str, Any]:
    """As drill(), by the keeper of the instance called name."""
    layout = Layout(name)
    require_release(layout)
    before = _newest(layout)
    try:
        return ask(run, layout, words(request, check_mode))
    except PgkeepError as error:
        record = _newest(layout)
        if record is None or record == before:
            raise
        raise _failed(record, error) from error


def _newest(layout: Layout) -> Optional[dict[str, Any]]:
    return next(islice(records(layout.state_dir), 1), None)


def _failed(record: dict[str, Any], error: PgkeepError) -> PgkeepError:
    """The keeper says only the error; what was proven until then is in the record that it wrote."""
    if record.get("passed") or (record.get("error") or {}).get("what") != error.what:
        return error
    return DrillError(Drill.from_result(record), error.why, error.next_step)
