# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages tell somebody to type is there, with the options that they show."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _cli as keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils import _host as host
from ansible_collections.pgkeep.postgres.plugins.module_utils._host_commands import COMMANDS, PASSED_ON

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"]


def typed(page: Path) -> list[str]:
    """Every line of a block of shell, and every command within a sentence that has more than a name."""
    text = page.read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [line for block in blocks for line in block.replace("\\\n", "").splitlines()]
    # Quotes that are left open belong to another line.
    return lines + [" ".join(span.split()) for span in spans if "…" not in span]


def ours(page: Path) -> list[list[str]]:
    """The words of each call of pgkeep, up to a pipe."""
    calls = []
    for line in typed(page):
        found = re.search(r"(?:^|\s)pgkeep\s.*", line)
        if found and re.match(r"pgkeep |docker exec ", line):
            calls.append(shlex.split(found.group().partition(" | ")[0]))
    return calls


def wrong_on_host(name: str, words: list[str]) -> str:
    """Why the command of the host does not take it; nothing where it does."""
    if words[0] not in COMMANDS:
        return "there is no command " + words[0]
    command = COMMANDS[words[0]]
    # Without options it is a name in a sentence, but for what would be refused.
    if command.name in PASSED_ON or words[1:] in ([], ["--help"]):
        return ""
    try:
        options = host._options(command.name, command, words[1:])
    except host.UsageError as error:
        return str(error)
    if command.confirmed and not command.harmless(options) and options.confirm != name:
        return "it needs --confirm"
    return ""


def wrong_in_keeper(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    try:
        keeper._parser(words).parse_args(words)
    except SystemExit:
        said = capsys.readouterr().err
        return "" if len(words) == 1 and "required" in said else said
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_call_of_pgkeep_is_one_that_it_takes(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for words in ours(page):
        if words[1] in ("list", "--version"):
            continue
        instance = words[1] in ("app", "shop", "<instance>")
        why = wrong_on_host(words[1], words[2:]) if instance and words[2:] else ""
        wrong += [(shlex.join(words), why if instance else wrong_in_keeper(words[1:], capsys))]
    assert [each for each in wrong if each[1]] == []


def test_what_an_alert_says_to_do_is_no_mere_name() -> None:
    calls = [words for words in ours(ROOT / "docs/alerts.md") if len(words) == 3 and words[1] == "<instance>"]
    assert calls
    assert [words for words in calls if words[2] in COMMANDS and COMMANDS[words[2]].confirmed] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_playbook_is_there_and_gets_what_is_written(page: Path) -> None:
    text = page.read_text()
    named = set(re.findall(r"playbooks/(\w+)\.yml", text))
    if page.stem == "alerts":
        named |= set(re.findall(r"(?:run|the) playbooks? (\w+)", text))
        assert named
    assert [name for name in sorted(named) if not (ROOT / "playbooks" / (name + ".yml")).is_file()] == []
    split = []
    for line in typed(page):
        words = shlex.split(line) if line.startswith("ansible-playbook ") else []
        given = [value for option, value in zip(words, words[1:]) if option in ("-e", "--extra-vars")]
        # Ansible splits what it gets at spaces once more, and drops what has no name.
        split += [value for value in given if not value.startswith("{") and len(shlex.split(value)) != 1]
    assert split == []
