# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper's endpoints as a WSGI application. Private to the collection.

A view reads what is in memory and nothing else: no file, no query, no lock. So it answers at once whatever the
database, a disk or another machine does.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Callable, Mapping, Optional

from . import _http_answers as answers
from . import _metrics as metrics
from . import _page as page
from ._board import Board, present
from ._errors import PgkeepError

JSON = "application/json"

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": page.CONTENT_SECURITY_POLICY,
}
# For a browser and for everybody else.
_CHALLENGES = ('Basic realm="pgkeep", charset="UTF-8"', 'Bearer realm="pgkeep"')
_HOW = (
    "send Authorization: Bearer with the content of client/keeper.token, or in a browser any user with it as password"
)
# About the time of one poll.
_RETRY_AFTER_SECONDS = "5"


@dataclass(frozen=True)
class Known:
    """What the views need besides the snapshot. report: the last one of the launch gate, with its verdict."""

    token: str
    interval_seconds: float
    report: Optional[Mapping[str, Any]] = None


def make_app(
    board: Board, known: Callable[[], Known], say: Callable[[str], None], clock: Callable[[], float] = time.time
) -> Any:
    """A Flask application. known is asked anew each time; say hears of what should not happen, and must not flood."""
    import flask
    from werkzeug.exceptions import HTTPException

    app = flask.Flask("pgkeep", static_folder=None)
    # //ready is not what anybody meant, and no redirect tells where something is.
    app.url_map.merge_slashes = False
    views = _Views(board, known, say, clock)
    for path, view in views.open().items():
        app.add_url_rule(path, path, view, methods=["GET"], provide_automatic_options=False)
    for path, view in views.secret().items():
        app.add_url_rule(path, path, views.guarded(view), methods=["GET"], provide_automatic_options=False)
    paths = ", ".join(sorted([*views.open(), *views.secret()]))
    app.register_error_handler(PgkeepError, _bad_question)
    app.register_error_handler(HTTPException, lambda error: _http_error(error, paths))
    app.register_error_handler(Exception, views.fault)
    app.after_request(_with_headers)
    return app


@dataclass(frozen=True)
class _Views:
    board: Board
    known: Callable[[], Known]
    say: Callable[[str], None]
    clock: Callable[[], float]

    def open(self) -> dict[str, Callable[[], Any]]:
        """For everybody, by path."""
        return {
            "/live": lambda: _reply(*answers.live(self._status())),
            "/health": lambda: _reply(*answers.health(self._status(), self._trusted())),
            "/ready": self._ready,
        }

    def secret(self) -> dict[str, Callable[[], Any]]:
        """For who has the token, by path."""
        return {
            "/": self._page,
            "/status": lambda: _reply(answers.OK, self._status()),
            "/production-readiness": self._production_readiness,
            "/metrics": self._metrics,
        }

    def _status(self) -> dict[str, Any]:
        return present(self.board.latest(), self.clock(), self.known().interval_seconds)

    def _trusted(self) -> bool:
        import flask

        return allowed(flask.request.headers.get("Authorization", ""), self.known().token)

    def _ready(self) -> Any:
        code, body = answers.ready(self._status(), _query(), self._trusted())
        return _reply(code, body, {"Retry-After": _RETRY_AFTER_SECONDS} if code != answers.OK else None)

    def _production_readiness(self) -> Any:
        return _reply(*answers.production_readiness(self.known().report, _query(), self.clock()))

    def _page(self) -> Any:
        import flask

        return flask.Response(page.render(self._status(), page.refresh_seconds(_query())), mimetype="text/html")

    def _metrics(self) -> Any:
        import flask

        return flask.Response(metrics.exposition(self._status()), content_type=metrics.CONTENT_TYPE)

    def guarded(self, view: Callable[[], Any]) -> Callable[[], Any]:
        import flask

        def checked() -> Any:
            if self._trusted():
                return view()
            if flask.request.headers.get("Authorization"):
                self.say("http: somebody asked with a token that is not ours")
            reply = _reply(401, answers.error("The token is missing or wrong", "this tells more than a state", _HOW))
            for challenge in _CHALLENGES:
                reply.headers.add("WWW-Authenticate", challenge)
            return reply

        return checked

    def fault(self, error: Exception) -> Any:
        """An error of ours. Its words may hold anything, so they are not told."""
        import flask

        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        place = "%s:%d" % (frame.tb_frame.f_code.co_filename, frame.tb_lineno) if frame else "an unknown place"
        self.say("http: %s failed with %s at %s" % (flask.request.path, type(error).__name__, place))
        return _reply(500, answers.error("The keeper failed at this", type(error).__name__, "read its docker logs"))


def _reply(code: int, body: Mapping[str, Any], headers: Optional[Mapping[str, str]] = None) -> Any:
    import flask

    return flask.Response(json.dumps(body) + "\n", code, headers, mimetype=JSON)


def _bad_question(error: PgkeepError) -> Any:
    return _reply(400, answers.error(error.what, error.why, error.next_step))


def _http_error(error: Any, paths: str) -> Any:
    words = {
        404: ("There is no such page", "known are %s" % paths, "ask for one of these"),
        405: ("Nothing can be changed here", "only GET and HEAD are answered", "ask with GET"),
    }.get(error.code, (error.name, error.description or "", "correct the request"))
    return _reply(error.code, answers.error(*words), {"Allow": "GET, HEAD"} if error.code == 405 else None)


def _with_headers(response: Any) -> Any:
    response.headers.update(_HEADERS)
    return response


def _query() -> dict[str, str]:
    """Raises PgkeepError for a parameter that is there twice, since only one of them could count."""
    import flask

    arguments = flask.request.args
    for name, values in arguments.lists():
        if len(values) > 1:
            raise PgkeepError("The question cannot be answered", "%.40r is there twice" % name, "ask with one of them")
    return dict(arguments.items())


def allowed(header: str, token: str) -> bool:
    """Whether the header Authorization has the token: Bearer, or Basic with any user and the token as password."""
    scheme, _space, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        given = rest.strip()
    elif scheme.lower() == "basic":
        try:
            given = base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, ValueError):
            return False
    else:
        return False
    # An empty token would let everybody in.
    return bool(token) and compare_digest(given.encode(), token.encode())
