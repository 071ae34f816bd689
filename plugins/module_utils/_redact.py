# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking secrets out of words that leave the machine. Private to the collection.

Errors are quoted in the words of the tool that said them, and no tool promises that these hold no password. What is
known to be secret is removed wherever it stands; what only looks like it is removed by its form.
"""

from __future__ import annotations

import base64
import json
import os
import re
from typing import Any, Iterable
from urllib.parse import quote, urlsplit

from ._files import read
from ._keeper_config import FILE as KEEPER_FILE

HIDDEN = "(hidden)"

# Shorter ones would take harmless words apart; none of ours is.
_SHORTEST = 4
# Options of pgBackRest whose value is a secret.
_SECRET_OPTION = re.compile(
    r"^[ \t]*(?![a-z0-9-]*-(?:file|type)\b)[a-z0-9-]*(?:pass|key|secret|token)[a-z0-9-]*[ \t]*=[ \t]*(.+?)[ \t]*$",
    re.MULTILINE,
)
# Not secret, and their lines are in every certificate of the world.
PUBLIC_SUFFIX = ".ca"

_FORMS = (
    # Of a URL: scheme://user:password@
    (re.compile(r"(\w[\w+.-]*://[^\s:/@]*:)[^\s@]+(?=@)"), r"\1" + HIDDEN),
    # Of a connection string, of a setting, of JSON: password=…, "token": "…"
    (
        re.compile(
            r"((?:[\w-]*(?:password|passwd|passphrase|pass|secret|token|api_?key))[\"']?\s*[=:]\s*)"
            r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s,;&\"']+)",
            re.IGNORECASE,
        ),
        r"\1" + HIDDEN,
    ),
    # Of a request: Authorization: Bearer …
    (re.compile(r"\b(Bearer|Basic)(\s+)[A-Za-z0-9+/=._~-]{6,}"), r"\1\2" + HIDDEN),
)


def secrets(config_dir: str, pgbackrest_conf: str) -> tuple[str, ...]:
    """Everything the keeper knows that nobody else may: its secret files and the secret options of pgBackRest."""
    found: list[str] = []
    names = sorted(os.listdir(config_dir)) if os.path.isdir(config_dir) else []
    for name in names:
        path = os.path.join(config_dir, name)
        if name == KEEPER_FILE or name.endswith(PUBLIC_SUFFIX) or not os.path.isfile(path):
            continue
        found += _parts(read(path) or "")
    for value in _SECRET_OPTION.findall(read(pgbackrest_conf) or ""):
        found += _parts(value)
    return tuple(found)


def _parts(content: str) -> list[str]:
    """A secret as it may be quoted: whole, line by line (of a key in a file), and what a URL keeps in its path."""
    whole = content.strip()
    lines = [line.strip() for line in whole.splitlines()]
    parts = [whole, *(line for line in lines if len(lines) > 1 and len(line) >= 16)]
    if "://" in whole and len(lines) == 1:
        split = urlsplit(whole)
        behind = split.path + ("?" + split.query if split.query else "")
        pieces = (behind, *re.split(r"[/?&=]", behind))
        parts += [split.password or "", *(piece for piece in pieces if len(piece) >= 8)]
    return parts


def _spellings(secret: str) -> Iterable[str]:
    """The ways one secret is written: as it is, in a URL, in JSON, in the header of a basic login."""
    yield secret
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield base64.b64encode(secret.encode()).decode()


def redact(value: Any, known: Iterable[str]) -> Any:
    """value without the known secrets and without passwords of any URL or connection string; mappings and lists too."""
    spellings = {each for secret in known if len(secret) >= _SHORTEST for each in _spellings(secret)}
    # The longest first: a part of a secret must not be taken out before the whole.
    return _redacted(value, sorted(spellings, key=len, reverse=True))


def _redacted(value: Any, spellings: list[str]) -> Any:
    if isinstance(value, dict):
        return {_redacted(key, spellings): _redacted(each, spellings) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(each, spellings) for each in value]
    if not isinstance(value, str):
        return value
    for spelling in spellings:
        value = value.replace(spelling, HIDDEN)
    for form, instead in _FORMS:
        value = form.sub(instead, value)
    return value
