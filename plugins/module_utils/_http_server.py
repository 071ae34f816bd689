# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waitress as the keeper runs it: small, bounded, and nobody can keep others out. Private to the collection.

One thread has all connections, so a slow client costs a file and no thread. Waitress itself waits for a client that
sends a byte now and then for ever, and stops to listen when all connections are taken: here a request has a deadline,
and who idles longest makes room.
"""

from __future__ import annotations

import logging
import resource
import sys
from typing import Any, Callable

# Views answer from memory, so few threads do; more would only wait for each other.
_THREADS = 4

# Connections at once. From _CROWDED on those that idle are closed, the oldest first.
_CONNECTIONS = 1000
_CROWDED = 900
_ROOM = 100
_ACCEPTED = 50

# How long a connection may take for a request, or idle; looked after that often.
_PATIENCE_SECONDS = 10
_CLEANUP_SECONDS = 2

_SWITCH_SECONDS = 0.0005

_HEADER_BYTES = 8192
# No endpoint takes a body.
_BODY_BYTES = 1024


def make_server(app: Any, host: str, port: int, say: Callable[[str], None]) -> Any:
    """A server that listens; its serve() serves. say hears of faults, and must not flood."""
    from waitress.channel import HTTPChannel
    from waitress.server import TcpWSGIServer

    class Channel(HTTPChannel):  # type: ignore[misc]
        last_activity: float

        def handle_read(self) -> None:
            before = self.last_activity
            super().handle_read()
            if self.request is not None:
                # A part of a request is no reason to wait longer for the rest.
                self.last_activity = before

    class Server(TcpWSGIServer):  # type: ignore[misc]
        channel_class = Channel

        def readable(self) -> bool:
            if len(self.active_channels) >= _CROWDED:
                idle = [channel for channel in self.active_channels.values() if not channel.requests]
                for channel in sorted(idle, key=lambda channel: float(channel.last_activity))[:_ROOM]:
                    channel.will_close = True
            return bool(super().readable())

        def handle_accept(self) -> None:
            # More than one for each look at all connections, or a crowd would be let in slower than it comes.
            for _turn in range(_ACCEPTED):
                before = len(self.active_channels)
                super().handle_accept()
                if len(self.active_channels) == before:
                    break

        def serve(self) -> None:
            """Until close(); whatever ends it, the port is free again."""
            try:
                self.run()
            finally:
                self.task_dispatcher.shutdown()
                self.close()

    _allow_files()
    _hear(say)
    # Between threads of Python: a duty that computes shall not hold up an answer for long.
    sys.setswitchinterval(_SWITCH_SECONDS)
    return Server(
        app,
        # Nobody else's map: the default one is the process's.
        map={},
        host=host,
        port=port,
        threads=_THREADS,
        # Whom a full queue drops tries again after a second.
        backlog=4096,
        connection_limit=_CONNECTIONS,
        channel_timeout=_PATIENCE_SECONDS,
        cleanup_interval=_CLEANUP_SECONDS,
        max_request_header_size=_HEADER_BYTES,
        max_request_body_size=_BODY_BYTES,
        # select() ends at 1024 files.
        asyncore_use_poll=True,
        clear_untrusted_proxy_headers=True,
        log_socket_errors=False,
        expose_tracebacks=False,
        ident=None,
    )


def _allow_files() -> None:
    """Enough for all connections, where the engine gives fewer by default and lets us have more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * _CONNECTIONS if hard == resource.RLIM_INFINITY else min(4 * _CONNECTIONS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _hear(say: Callable[[str], None]) -> None:
    """What waitress logs of its own faults goes to say, one line each; a queue or a client that went are none."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines = record.getMessage().splitlines()
            say("http: %s" % (lines[0] if lines else record.levelname))

    logger = logging.getLogger("waitress")
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.handlers[:] = [Handler()]
