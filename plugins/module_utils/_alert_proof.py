# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One alert through the whole way out, and the proof that it arrived. Private to the collection.

try_out() runs in the keeper, prove() on the host for the module alert_test.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Mapping, Optional
from urllib.parse import quote, urlsplit

from . import _alert as alerts
from . import _alert_queue as queue
from ._alert_config import load, refused
from ._alert_duty import state_of
from ._backup_repository import Keeper
from ._errors import PgkeepError
from ._keeper import ask
from ._layout import Layout
from ._run import Run
from ._times import rfc3339

_POLL_SECONDS = 0.2
# So much longer than the keeper waits, for its start and its answer.
_PATIENCE_SECONDS = 30
_PAGE_SECONDS = 5
_PAGE_BYTES = 1_000_000

# (url) -> text of the page, None when there is none.
Fetch = Callable[[str], Optional[str]]


def try_out(
    keeper: Keeper,
    timeout_seconds: float,
    *,
    check: bool = False,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Queue a test alert and wait until every receiver has taken it; returns alert_test and changed.

    Raises PgkeepError when one has not within timeout_seconds. The alert is then taken back, so that nobody wonders
    about it hours later. With check nothing is sent.
    """
    config = load(keeper)
    if config is None or not config.receivers:
        raise refused(keeper.instance, "it names no receiver that an alert could be sent to")
    names = [receiver.name for receiver in config.receivers]
    if check:
        return {"alert_test": {"id": None, "receivers": [_result(name, {}, None) for name in names]}, "changed": True}
    began = clock()
    alert = alerts.Alert(
        keeper.instance,
        alerts.INFO,
        "test",
        "This is a test of the alerts of %s" % keeper.instance,
        "somebody asked for it, to see that alerts arrive",
        "nothing",
        rfc3339(began),
        status=alerts.TEST,
    )
    alerts.put(keeper.state, alert, began)
    taken: Mapping[str, Mapping[str, Any]] = {}
    seen: Optional[Mapping[str, Mapping[str, Any]]] = None
    while clock() - began < timeout_seconds:
        seen = state_of(keeper, alert.id)
        taken = {name: done for name, done in (seen or {}).items() if "at" in done}
        if all(name in taken for name in names):
            break
        sleep(_POLL_SECONDS)
    known = queue.load(keeper.state).receivers
    receivers = [_result(name, taken.get(name, {}), known.get(name, {}).get("error"), began=began) for name in names]
    if not all(receiver["delivered"] for receiver in receivers):
        queue.give_up(keeper.state, alert.id)
        raise _did_not_arrive(keeper.instance, receivers, timeout_seconds, picked_up=seen is not None)
    return {"alert_test": {"id": alert.id, "receivers": receivers}, "changed": True}


def _result(name: str, done: Mapping[str, Any], error: Optional[str], *, began: float = 0.0) -> dict[str, Any]:
    delivered = "at" in done
    return {
        "name": name,
        "delivered": delivered,
        "seconds": round(done["at"] - began, 3) if delivered else None,
        "answer": done.get("answer"),
        "error": None if delivered else error,
    }


def _did_not_arrive(
    instance: str, receivers: list[dict[str, Any]], timeout_seconds: float, *, picked_up: bool
) -> PgkeepError:
    said = [
        "%s took it (%s)" % (each["name"], each["answer"])
        if each["delivered"]
        else "%s: %s" % (each["name"], each["error"] or "no answer within %g s" % timeout_seconds)
        for each in receivers
    ]
    return PgkeepError(
        "The test alert of %s did not arrive everywhere" % instance,
        "; ".join(said) if picked_up else "the keeper did not look at its queue within %g s" % timeout_seconds,
        "correct what it names in postgres_backup_alerts and deploy, or let the keeper reach the receiver; then repeat"
        if picked_up
        else "read docker logs %s-keeper" % instance,
    )


def fetch(url: str) -> Optional[str]:
    """The page, None while there is none. Raises PgkeepError for what is no URL."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    split = urlsplit(url)
    if split.scheme not in ("http", "https") or not split.hostname:
        raise PgkeepError(
            "The receiver cannot be asked what arrived",
            "%s is no URL that begins with https:// or http://" % url,
            "correct receiver_check",
        )
    kind = HTTPSConnection if split.scheme == "https" else HTTPConnection
    connection = kind(split.hostname, split.port, timeout=_PAGE_SECONDS)
    try:
        connection.request("GET", (split.path or "/") + ("?" + split.query if split.query else ""))
        answer = connection.getresponse()
        return answer.read(_PAGE_BYTES).decode(errors="replace") if answer.status == 200 else None
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def prove(
    run: Run,
    params: Mapping[str, Any],
    check_mode: bool,
    get: Fetch = fetch,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """The module alert_test: what the keeper says, and whether the page receiver_check shows the id."""
    layout = Layout(params["name"])
    timeout, page = params["timeout_seconds"], params["receiver_check"]
    argv = ["alert-test", "--timeout", str(timeout), *(["--check"] if check_mode else [])]
    result = ask(run, layout, argv, timeout=timeout + _PATIENCE_SECONDS)
    found = result["alert_test"]
    found["seen"] = None
    if page and not check_mode:
        url = page.replace("{id}", quote(found["id"]))
        end = clock() + timeout
        while found["id"] not in (get(url) or ""):
            if clock() >= end:
                raise PgkeepError(
                    "The test alert of %s was sent but is not seen at the receiver" % layout.name,
                    "%s does not show its id %s within %d s" % (page, found["id"], timeout),
                    "look what the receiver does with what it accepts",
                )
            sleep(_POLL_SECONDS)
        found["seen"] = True
    return {"alert_test": found, "changed": result["changed"]}
