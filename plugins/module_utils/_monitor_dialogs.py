# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialogs of the monitor, and its lines as Textual takes them. Private to the collection.

Classes of Textual are made in functions: only the host that shows the screen has the library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Sequence

from ._monitor_draw import Line

if TYPE_CHECKING:
    from rich.text import Text
    from textual.app import ComposeResult
    from textual.screen import ModalScreen
    from textual.widgets import Input

_STYLES = {
    "healthy": "#4ec27f",
    "warning": "#e8b93a",
    "critical": "bold #ff6b6b",
    "unknown": "#8b98a9",
    "dim": "#8b98a9",
    "now": "#58b7e6",
    "strong": "bold",
    "title": "bold #58b7e6",
}

CSS = """
ModalScreen { align: center middle; background: $background 60%; }
#box { width: 72; max-width: 96%; height: auto; max-height: 96%; padding: 1 2; border: round $accent;
       background: $surface; }
#box.danger { border: round #ff6b6b; }
#box Static { height: auto; }
#name { margin-top: 1; }
"""

KEYS = (
    ("1 2 3", "overview, sessions, storage and backups"),
    ("B", "take a backup now; it runs beside the screen, and goes on when you quit"),
    ("L", "the server's log: follows; E errors only, / search, F stop following, Esc back"),
    ("R", "restart the server, after a question; on production its name is to be typed"),
    ("K", "end a session, in view 2, after a question"),
    ("S or P", "stop monitoring: nothing is asked any more until S or P again"),
    ("Q", "quit; the instance does not notice"),
)


def text(lines: Sequence[Line], badge: bool = False) -> Text:
    """The lines for a widget; badge turns the first span round, so that the verdict is seen from afar."""
    from rich.text import Text

    shown = Text(no_wrap=True, overflow="crop", end="")
    for row, line in enumerate(lines):
        if row:
            shown.append("\n")
        for column, (words, name) in enumerate(line):
            style = _STYLES.get(name, "")
            shown.append(words, "%s reverse" % style if badge and not row and not column else style)
    return shown


def confirm(question: str, about: str, name: str = "") -> ModalScreen[bool]:
    """Asks y or n; where there is a name it has to be typed. True for yes."""
    from textual.binding import Binding
    from textual.containers import Vertical
    from textual.screen import ModalScreen
    from textual.widgets import Input, Static

    class Confirm(ModalScreen[bool]):
        # With a name to type, y and n are letters of it.
        BINDINGS: ClassVar[list[Any]] = [
            Binding("escape", "no"),
            *([] if name else [Binding("y,Y", "yes"), Binding("n,N", "no")]),
        ]

        def compose(self) -> ComposeResult:
            with Vertical(id="box", classes="danger"):
                asked = "Type %s and press Enter; Esc leaves it." % name if name else "y yes    n no"
                yield Static(text([[(question, "strong")]]))
                yield Static(about + "\n", markup=False)
                yield Static(text([[(asked, "now")]]), id="asked")
                if name:
                    yield Input(id="name", placeholder=name)

        def on_input_submitted(self, event: Input.Submitted) -> None:
            if event.value.strip() == name:
                self.dismiss(True)
            else:
                words = "That is not %s. Type it and press Enter; Esc leaves it." % name
                self.query_one("#asked", Static).update(text([[(words, "critical")]]))

        def action_yes(self) -> None:
            self.dismiss(True)

        def action_no(self) -> None:
            self.dismiss(False)

    return Confirm()


def explain() -> ModalScreen[None]:
    """The keys; any key closes it."""
    from textual.containers import Vertical
    from textual.screen import ModalScreen
    from textual.widgets import Static

    class Explain(ModalScreen[None]):
        def compose(self) -> ComposeResult:
            with Vertical(id="box"):
                yield Static(text([[("Keys", "title")]]))
                for key, meaning in KEYS:
                    line = text([[("%-7s" % key, "strong"), (meaning, "")]])
                    line.no_wrap = False
                    yield Static(line)
                yield Static(text([[("", "")], [("Any key closes this.", "dim")]]))

        def on_key(self, event: Any) -> None:
            event.stop()
            self.dismiss(None)

    return Explain()
