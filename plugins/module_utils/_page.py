# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page of the keeper: one answer of /status as one screen for people. Private to the collection.

It is whole in itself: no script, nothing fetched from anywhere, and a style that its policy names by its checksum.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import Any, Mapping
from urllib.parse import quote

from . import _page_activity as activity
from . import _page_panels as panels
from . import _page_verdict as verdict
from ._errors import PgkeepError
from ._http_answers import refuse_unknown
from ._page_style import STYLE
from ._page_template import TEMPLATE
from ._page_words import clock, known, moment, section, text

REFRESH_SECONDS = 5

# For the header Content-Security-Policy: this style, an image within the page, and nothing else.
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; %s" % (
    base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode(),
    "form-action 'none'; frame-ancestors 'none'",
)

# In the tab of a browser, where a colour alone would be all: a shape for each verdict.
_FAVICONS = {
    "healthy": ("#13703f", "<circle cx='8' cy='8' r='8'/>"),
    "warning": ("#c77700", "<path d='M8 .6 16 15H0Z'/>"),
    "critical": ("#c8202b", "<path d='M4.7 0h6.6L16 4.7v6.6L11.3 16H4.7L0 11.3V4.7Z'/>"),
    "unknown": ("#6b7684", "<circle cx='8' cy='8' r='6' fill='none' stroke='#6b7684' stroke-width='3'/>"),
}


def refresh_seconds(query: Mapping[str, str]) -> int:
    """refresh=0 is a page that stays as it is, for who wants to read, copy or have it read out in peace."""
    refuse_unknown(query, ("refresh",))
    wanted = query.get("refresh", str(REFRESH_SECONDS))
    if wanted not in ("0", str(REFRESH_SECONDS)):
        raise PgkeepError(
            "The question cannot be answered", "refresh is %.40r" % wanted, "ask with refresh=0 or without"
        )
    return int(wanted)


def render(status: Mapping[str, Any], refresh: int = REFRESH_SECONDS) -> str:
    """HTML of what present() of _board says; 0 seconds: a page that stays as it is."""
    now = moment(status.get("time"))
    judged = verdict.verdict(status, now)
    html: str = _template().render(
        favicon=_favicon(judged.status),
        refresh_seconds=refresh,
        name=known(section(status, "instance").get("name"), 60),
        environment=text(section(status, "instance").get("environment"), 20),
        identity=verdict.identity(status),
        age=verdict.age(status),
        clock=clock(status.get("time")),
        verdict=judged,
        required=verdict.required(status, now),
        others=verdict.others(status, now),
        session_total=activity.session_total(status),
        sessions=activity.sessions(status),
        shares=activity.shares(status),
        trends=activity.trends(status),
        rates=activity.rates(status),
        longest=activity.longest(status),
        no_transactions=activity.none(status),
        volumes=panels.volumes(status),
        storage_notes=panels.storage_notes(status),
        running=panels.running(status, now),
        backup_facts=panels.backup_facts(status, now),
        around=panels.around(status),
        certificates=panels.certificates(status),
        alerts=panels.alerts(status, now),
        settings=panels.settings(status),
        events=panels.events(status, now),
        version=known(status.get("version"), 20),
    )
    return html


@lru_cache(maxsize=1)
def _template() -> Any:
    """Compiled once: that takes longer than all of the rest. Everything from outside is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    # The style is put there before, as it is: its checksum is in the policy.
    return environment.from_string(TEMPLATE.replace("@STYLE@", STYLE))


def _favicon(status: str) -> str:
    colour, shape = _FAVICONS[status]
    image = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' fill='%s'>%s</svg>" % (colour, shape)
    return "data:image/svg+xml," + quote(image)
