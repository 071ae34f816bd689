# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's log in the monitor: follows, shows errors only, searches. Private to the collection."""

from __future__ import annotations

import re
import subprocess
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, ClassVar

from ._monitor_dialogs import text
from ._monitor_draw import Line, clean

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.screen import Screen
    from textual.widgets import Input

_KEPT = 5000
_TROUBLE = re.compile(r"\b(?:ERROR|FATAL|PANIC)\b")
_DOUBT = re.compile(r"\bWARNING\b")


def line_of(words: str) -> Line:
    style = "critical" if _TROUBLE.search(words) else "warning" if _DOUBT.search(words) else ""
    return [(words, style)]


def wanted(words: str, errors: bool, search: str) -> bool:
    """Whether the line is shown; letters of either case are alike in a search."""
    return (not errors or bool(_TROUBLE.search(words))) and search.lower() in words.lower()


def log_screen(opened: Callable[[], subprocess.Popen[bytes]], name: str) -> Screen[None]:  # noqa: C901 - the methods within are counted as its own
    """A screen over the output of the process that opened() starts; it ends with the screen."""
    from textual.binding import Binding
    from textual.screen import Screen
    from textual.widgets import Footer, Input, RichLog, Static

    class Log(Screen[None]):
        BINDINGS: ClassVar[list[Any]] = [
            Binding("escape,l,L", "back", "Back", key_display="Esc"),
            Binding("e,E", "errors", "Errors only", key_display="E"),
            Binding("f,F", "follow", "Follow", key_display="F"),
            Binding("slash", "search", "Search", key_display="/"),
        ]

        def __init__(self) -> None:
            super().__init__()
            self.kept: deque[str] = deque(maxlen=_KEPT)
            self.fresh: deque[str] = deque(maxlen=_KEPT)
            self.errors, self.search = False, ""
            self.process = opened()
            threading.Thread(target=self._read, daemon=True).start()

        def _read(self) -> None:
            for line in self.process.stdout or ():
                self.fresh.append(clean(line.decode(errors="replace")))

        def compose(self) -> ComposeResult:
            yield Static(id="head")
            yield RichLog(id="log", max_lines=_KEPT, wrap=False)
            found = Input(id="search", placeholder="words to look for; Enter keeps them, Esc forgets them")
            found.display = False
            yield found
            yield Footer()

        def on_mount(self) -> None:
            self.query_one(RichLog).focus()
            self.set_interval(0.2, self.drain)
            self.drain()

        def on_unmount(self) -> None:
            self.process.kill()
            self.process.wait()

        def drain(self) -> None:
            """What came since the last time; the reader never waits for the screen."""
            log = self.query_one(RichLog)
            while self.fresh:
                line = self.fresh.popleft()
                self.kept.append(line)
                if wanted(line, self.errors, self.search):
                    log.write(text([line_of(line)]))
            self.say()

        def say(self) -> None:
            log = self.query_one(RichLog)
            shown = sum(wanted(line, self.errors, self.search) for line in self.kept)
            parts = ["log of %s" % name, "%d of the newest %d lines" % (shown, len(self.kept))]
            parts += ["errors only"] if self.errors else []
            parts += ["with '%s'" % clean(self.search)] if self.search else []
            parts.append("following" if log.auto_scroll else "stopped: F follows again")
            self.query_one("#head", Static).update(text([[(" " + " · ".join(parts), "title")]]))

        def again(self) -> None:
            log = self.query_one(RichLog)
            log.clear()
            for line in self.kept:
                if wanted(line, self.errors, self.search):
                    log.write(text([line_of(line)]))
            self.say()

        def action_errors(self) -> None:
            self.errors = not self.errors
            self.again()

        def action_follow(self) -> None:
            log = self.query_one(RichLog)
            log.auto_scroll = not log.auto_scroll
            if log.auto_scroll:
                log.scroll_end(animate=False)
            self.say()

        def action_search(self) -> None:
            found = self.query_one(Input)
            found.display = True
            found.focus()

        def on_input_changed(self, event: Input.Changed) -> None:
            self.search = event.value
            self.again()

        def on_input_submitted(self, _event: Input.Submitted) -> None:
            self._close()

        def _close(self) -> None:
            found = self.query_one(Input)
            found.display = False
            self.query_one(RichLog).focus()

        def action_back(self) -> None:
            if self.query_one(Input).display:
                self.query_one(Input).value = ""
                self._close()
            else:
                self.dismiss(None)

    return Log()
