# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of the monitor, made with Textual. Private to the collection.

Whatever may take a while runs in a thread or as a process of its own: a database, a keeper or an engine that hangs
makes the data older, which the screen says, and never stops the keys.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Mapping, Optional

from . import _monitor_panels as panels
from ._errors import PgkeepError
from ._monitor_dialogs import CSS, confirm, explain, text
from ._monitor_draw import Line, clean, number, span_of
from ._monitor_jobs import Job, Work
from ._monitor_log import log_screen
from ._monitor_views import COLUMNS, row_of, stores, told

if TYPE_CHECKING:
    from textual.app import App, ComposeResult
    from textual.screen import Screen
    from textual.widgets import DataTable

Look = Callable[[], Mapping[str, Any]]

# Below these a column stands under the other one, and lists are shorter.
_NARROW, _LOW, _HIGH = 76, 30, 42
# The keeper looks so often; who asks more often gets nothing newer.
_POLL_SECONDS = 5.0
# The answer to a key stands so long before the progress of a job takes its place.
_ANSWER_SECONDS = 5.0

_CSS = (
    CSS
    + """
#verdict { height: auto; max-height: 3; }
.panel { width: 1fr; height: auto; border-top: solid #3a4656; border-title-color: #58b7e6; border-title-style: bold; }
.left { margin-right: 1; }
.pair { height: auto; }
.narrow .pair { layout: vertical; }
.narrow .pair .panel { width: 100%; margin-right: 0; }
#overview, #stores, #sessions { height: 1fr; scrollbar-size-vertical: 1; }
#message { height: auto; max-height: 4; display: none; padding: 0 1; background: $surface; }
#message.shown { display: block; }
#list { height: 1fr; background: $background; scrollbar-size-horizontal: 0; }
#one { height: 5; border-top: solid #3a4656; border-title-color: #58b7e6; padding: 0 1; }
#log { height: 1fr; background: $background; }
ContentSwitcher { height: 1fr; }
"""
)


def dashboard(look: Look, work: Work, interval: float) -> App[None]:  # noqa: C901 - the methods within are counted as its own
    """The screen over what look() sees every so many seconds, with work behind its keys."""
    from textual.app import App
    from textual.binding import Binding
    from textual.containers import Horizontal, Vertical, VerticalScroll
    from textual.widgets import ContentSwitcher, DataTable, Footer, Static

    class Dashboard(App[None]):
        CSS = _CSS
        TITLE = "pgkeep"
        ENABLE_COMMAND_PALETTE = False
        BINDINGS: ClassVar[list[Any]] = [
            Binding("b,B", "backup", "Backup", key_display="B"),
            Binding("l,L", "logs", "Logs", key_display="L"),
            Binding("r,R", "restart", "Restart", key_display="R"),
            Binding("s,S,p,P", "stop", "Stop monitoring", key_display="S"),
            Binding("q,Q", "quit", "Quit", key_display="Q"),
            Binding("question_mark", "help", "Help", key_display="?"),
            Binding("k,K", "terminate", "End session", key_display="K"),
            Binding("1", "view('overview')", "Overview"),
            Binding("2", "view('sessions')", "Sessions"),
            Binding("3", "view('stores')", "Storage"),
            Binding("escape", "forget", show=False),
        ]

        def __init__(self) -> None:
            super().__init__()
            self.seen: Optional[Mapping[str, Any]] = None
            # When the data in seen were new, on the monotonic clock.
            self.born: Optional[float] = None
            self.looking = self.stopped = False
            self.view = "overview"
            self.job: Optional[Job] = None
            self.answered = -_ANSWER_SECONDS
            self.sessions: list[dict[str, Any]] = []
            self.drawn: dict[str, list[Line]] = {}

        def compose(self) -> ComposeResult:
            yield Static(id="verdict")
            with ContentSwitcher(initial="overview"):
                with VerticalScroll(id="overview"):
                    yield from self._pair("checks", "load", "Load, last hour")
                    yield self._panel("transactions", "Longest transactions")
                    yield from self._pair("storage", "backup")
                    yield from self._pair("events", "partners")
                    yield self._panel("others", "Everything else")
                with Vertical(id="sessions"):
                    yield DataTable(id="list", cursor_type="row", zebra_stripes=True)
                    yield Static(id="one")
                with VerticalScroll(id="stores"):
                    yield Static(id="all")
            yield Static(id="message")
            yield Footer()

        def _pair(self, left: str, right: str, title: str = "") -> ComposeResult:
            with Horizontal(classes="pair"):
                yield self._panel(left, left.capitalize(), "panel left")
                yield self._panel(right, title or right.capitalize())

        def _panel(self, name: str, title: str, classes: str = "panel") -> Static:
            made = Static(id=name, classes=classes)
            made.border_title = title
            return made

        def on_mount(self) -> None:
            table = self.query_one(DataTable)
            for name, width in COLUMNS.items():
                table.add_column(name, width=width)
            self.query_one("#one", Static).border_title = "Session"
            self.set_interval(interval, self.tick)
            # The age grows also while nothing arrives, and a job ends at any time.
            self.set_interval(1.0, self.head)
            self.set_interval(0.5, self.watch_job)
            self.tick()
            self.head()

        def on_resize(self) -> None:
            self.draw()

        # Looking.

        def tick(self) -> None:
            """One look at a time: where one hangs, the next is not behind it but left out."""
            if not self.looking and not self.stopped:
                self.looking = True
                self.run_worker(self._look, thread=True)

        def _look(self) -> None:
            sessions: Optional[list[dict[str, Any]]] = None
            trouble = ""
            try:
                status = look()
                if self.view == "sessions":
                    sessions = work.sessions()
            except PgkeepError as error:
                trouble = str(error)
            finally:
                self.looking = False
            self.call_from_thread(self.show, status, sessions, trouble)

        def show(
            self, status: Mapping[str, Any], sessions: Optional[list[dict[str, Any]]] = None, trouble: str = ""
        ) -> None:
            """What was seen. Of a silent keeper only the verdict is news: the rest stays and grows old."""
            if self.stopped or not self.base.query("#verdict"):
                return
            if status["silent"] is None or self.seen is None:
                self.seen = status
                age = status["snapshot_age_ms"]
                self.born = None if age is None else time.monotonic() - age / 1000
            else:
                news = ("status", "reasons", "ready", "silent", "containers")
                fresh = {check["id"]: check for check in status["checks"]}
                kept = [fresh.get(check["id"], check) for check in self.seen["checks"]]
                self.seen = {**self.seen, **{name: status[name] for name in news}, "checks": kept}
            if sessions is not None:
                self.sessions = sessions
                self._list()
            if trouble:
                self.say(trouble, "critical")
            self.draw()

        @property
        def base(self) -> Screen[Any]:
            """The screen of the panels, whatever is on top of it."""
            return self.screen_stack[0]

        @property
        def age(self) -> Optional[float]:
            return None if self.born is None else max(time.monotonic() - self.born, 0.0)

        # Drawing.

        def head(self) -> None:
            if self.seen is None:
                lines: list[Line] = [[(" looking at %s … " % work.layout.name, "now")]]
            else:
                note = "STOPPED, S goes on" if self.stopped else ""
                if not note and panels.stale(self.age, max(interval, _POLL_SECONDS)):
                    note = "STALE %.0f s" % (self.age or 0)
                lines = panels.verdict(self.seen, self.size.width, self.age, note)
            self._put("verdict", lines)

        def _put(self, name: str, lines: list[Line]) -> None:
            """Into its widget, where that is something new: drawing is what costs on a small machine."""
            place = self.base.query("#" + name)
            # At the end of the screen its last news may still arrive.
            if place and self.drawn.get(name) != lines:
                self.drawn[name] = lines
                place.only_one(Static).update(text(lines, badge=name == "verdict"))

        def draw(self) -> None:
            self.head()
            if self.seen is None or not self.is_running:
                return
            status, (width, height) = self.seen, self.size
            base = self.base
            base.set_class(width < _NARROW, "narrow")
            half = width - 1 if width < _NARROW else width // 2 - 1
            most = 3 if height < _LOW else 5
            rest = max(height - 29 + 5, 3) if height < _HIGH else 8
            drawn = {
                "checks": panels.checks(status, half),
                "load": panels.load(status, half),
                "transactions": panels.transactions(status, width - 1, most),
                "storage": panels.storage(status, half),
                "backup": panels.backup(status, half),
                "events": panels.events(status, half, rest),
                "partners": panels.partners(status, half)[: max(rest, 4)],
                "others": panels.others(status, width - 1),
                "all": stores(status, width - 3),
            }
            for name, lines in drawn.items():
                self._put(name, lines)
            # Its place stays the same, whether five run or none.
            base.query_one("#transactions").styles.height = most + 2
            base.query_one("#others").display = height >= _HIGH

        def _list(self) -> None:
            """The sessions anew, the cursor on the same one where it is still there."""
            table = self.base.query_one(DataTable)
            at, pid = table.cursor_row, None
            if 0 <= at < table.row_count:
                pid = table.get_row_at(at)[0]
            table.clear()
            for each in self.sessions:
                table.add_row(*row_of(each))
            rows = [str(each["pid"]) for each in self.sessions]
            if rows:
                table.move_cursor(row=rows.index(str(pid)) if str(pid) in rows else min(at, len(rows) - 1))
            self._one()

        def on_data_table_row_highlighted(self, _event: DataTable.RowHighlighted) -> None:
            self._one()

        def _one(self) -> None:
            chosen = self.chosen
            self.base.query_one("#one", Static).update(told(chosen, self.size.width - 3) if chosen else "")

        @property
        def chosen(self) -> Optional[dict[str, Any]]:
            at = self.base.query_one(DataTable).cursor_row
            return self.sessions[at] if 0 <= at < len(self.sessions) else None

        def say(self, words: str, style: str = "") -> None:
            """Below the panels until Esc, or until the next words."""
            lines: list[Line] = [[(clean(line), style)] for line in words.splitlines()[:4]]
            shown = text(lines)
            shown.no_wrap = False
            for message in self.base.query("#message").results(Static):
                message.update(shown)
                message.set_class(bool(words), "shown")

        def answer(self, words: str) -> None:
            """Why a key does nothing now."""
            self.answered = time.monotonic()
            self.say(words, "warning")

        # Keys.

        def action_view(self, name: str) -> None:
            if len(self.screen_stack) > 1:
                self.pop_screen()
            self.view = self.base.query_one(ContentSwitcher).current = name
            if name == "sessions":
                self.base.query_one(DataTable).focus()
                self.tick()
            self.refresh_bindings()

        def check_action(self, action: str, parameters: tuple[object, ...]) -> Optional[bool]:
            return self.view == "sessions" if action == "terminate" else True

        def action_forget(self) -> None:
            self.say("")

        def action_help(self) -> None:
            self.push_screen(explain())

        def action_logs(self) -> None:
            try:
                self.push_screen(log_screen(work.log, work.layout.server))
            except OSError as error:
                self.say("The log cannot be shown: %s" % error, "critical")

        def action_stop(self) -> None:
            self.stopped = not self.stopped
            self.say("Monitoring is stopped; %s goes on working. S goes on, Q quits." % work.layout.name
                     if self.stopped else "")  # fmt: skip
            self.draw()
            self.tick()

        def action_backup(self) -> None:
            running = (self.seen or {}).get("backup", {}).get("running")
            if self.job is not None:
                self.answer("A %s runs already%s; its end is told here." % (self.job.name, self._share()))
            elif running:
                self.answer("A %s runs already%s, since %s." % (running["operation"], self._share(), running["since"]))
            else:
                self._begin(work.backup)

        def action_restart(self) -> None:
            if self.job is not None:
                self.answer("A %s runs; restart when it has ended." % self.job.name)
                return
            name = work.layout.name
            # Where the keeper never answered nobody knows; then it is treated as what would hurt most.
            careful = (self.seen or {}).get("instance", {}).get("environment") in ("production", None)
            total = (self.seen or {}).get("sessions", {}).get("total")
            about = "It ends %s sessions and takes as long as a stop and a start." % number(total)
            screen = confirm("Restart PostgreSQL of %s?" % name, about, name if careful else "")
            self.push_screen(screen, lambda sure: self._begin(work.restart) if sure else None)

        def action_terminate(self) -> None:
            chosen = self.chosen
            if self.view != "sessions" or chosen is None:
                return
            about = "%s on %s, %s for %s\n%s" % (
                clean(chosen["user"]), clean(chosen["database"]), clean(chosen["state"]),
                span_of(chosen["seconds"]), clean(chosen["query"] or "")[:300],
            )  # fmt: skip
            screen = confirm("End session %s?" % chosen["pid"], about)
            self.push_screen(screen, lambda sure: self._terminate(chosen) if sure else None)

        def _terminate(self, chosen: Mapping[str, Any]) -> None:
            def ended() -> None:
                words, style = "Session %s was ended." % chosen["pid"], "healthy"
                try:
                    work.terminate(chosen)
                except PgkeepError as error:
                    words, style = str(error), "critical"
                self.call_from_thread(self.say, words, style)
                self.call_from_thread(self.tick)

            self.run_worker(ended, thread=True)

        # What runs beside the screen.

        def _begin(self, start: Callable[[], Job]) -> None:
            try:
                self.job = start()
            except PgkeepError as error:
                self.say(str(error), "critical")
            else:
                self.watch_job()

        def _share(self) -> str:
            running = (self.seen or {}).get("backup", {}).get("running") or {}
            share = running.get("percent")
            return "" if share is None else " (%.0f %%)" % share

        def watch_job(self) -> None:
            job = self.job
            if job is None:
                return
            done = job.done()
            if done is None:
                if time.monotonic() - self.answered < _ANSWER_SECONDS:
                    return
                seconds = time.monotonic() - job.began
                share = self._share() if job.name == "backup" else ""
                self.say("%s runs for %s%s" % (job.name.capitalize(), span_of(seconds), share), "now")
                return
            self.job = None
            rc, words = done
            head = "%s done. " % job.name.capitalize() if rc == 0 else ""
            self.say(head + (" · ".join(words.splitlines()) if rc == 0 else words), "critical" if rc else "healthy")
            self.tick()

    return Dashboard()
