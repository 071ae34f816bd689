# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets taken out of words, known ones and those that only look like it."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._redact import redact, secrets

PASSPHRASE = 'pass "phrase" + 1'


@pytest.mark.parametrize(
    "said",
    [
        "wrong key %s given" % PASSPHRASE,
        "at https://db/x?key=%s&more" % quote(PASSPHRASE, safe=""),
        json.dumps({"a": PASSPHRASE}),
        "header %s" % base64.b64encode(PASSPHRASE.encode()).decode(),
    ],
)
def test_a_known_secret_in_every_spelling(said):
    found = redact({"why": [said], PASSPHRASE: 1, "count": 3}, [PASSPHRASE])
    text = json.dumps(found)
    for spelling in (PASSPHRASE, quote(PASSPHRASE, safe=""), base64.b64encode(PASSPHRASE.encode()).decode(), "phrase"):
        assert spelling not in text
    assert "(hidden)" in text
    assert found["count"] == 3


@pytest.mark.parametrize(
    "said, left",
    [
        ("postgresql://app:s3cret@db:5432/app", "postgresql://app:(hidden)@db:5432/app"),
        ("postgresql://db:5432/app", "postgresql://db:5432/app"),
        ("host=db password=s3cret user=app", "host=db password=(hidden) user=app"),
        ("host=db password='s3 \\' cret' user=app", "host=db password=(hidden) user=app"),
        ("PGPASSWORD=s3cret psql", "PGPASSWORD=(hidden) psql"),
        ('{"token": "s3cret", "n": 1}', '{"token": (hidden), "n": 1}'),
        ("repo1-cipher-pass=s3cret", "repo1-cipher-pass=(hidden)"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer (hidden)"),
        ('password authentication failed for user "app"', 'password authentication failed for user "app"'),
        ("the backup 20261121-020004F is not clean", "the backup 20261121-020004F is not clean"),
    ],
)
def test_what_looks_like_a_secret_and_what_does_not(said, left):
    assert redact(said, []) == left


def test_the_longest_secret_goes_first():
    assert redact("abcdef-ghi", ["abcdef", "abcdef-ghi"]) == "(hidden)"


def test_what_is_too_short_to_be_one_takes_no_word_apart():
    assert redact("a backup of app", ["app", ""]) == "a backup of app"


def test_everything_that_the_keeper_knows(tmp_path):
    config, conf = tmp_path / "config", tmp_path / "pgbackrest.conf"
    config.mkdir()
    (config / "keeper.json").write_text("{}")
    (config / "alerts.ca").write_text("-----BEGIN CERTIFICATE-----\n")
    (config / "alerts-webhook-1.token").write_text("the-token\n")
    (config / "alerts-webhook-2.url").write_text(
        "https://user:the-password@chat.example.org/services/T000/B000/keykeykey\n"
    )
    (config / "repo2.key").write_text("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END KEY-----\n")
    conf.write_text(
        "[global]\nrepo1-path=/var/lib/pgbackrest\nrepo1-cipher-pass=the-passphrase\nrepo2-s3-key-secret = the-secret\n"
        "repo2-sftp-private-key-file=/etc/pgkeep-keeper/repo2.key\nrepo2-s3-key-type=shared\nrepo2-s3-key=\n"
        "[orders]\npg1-path=/data\n"
    )
    found = secrets(str(config), str(conf))
    assert {
        "the-token",
        "the-passphrase",
        "the-secret",
        "the-password",
        "keykeykey",
        "MIIEvQIBADANBgkqhkiG9w0B",
    } <= set(found)
    assert not {"shared", "/data", "/var/lib/pgbackrest", "/etc/pgkeep-keeper/repo2.key", "{}"} & set(found)
    said = "Max retries exceeded with url: /services/T000/B000/keykeykey"
    assert redact(said, found) == "Max retries exceeded with url: (hidden)"


def test_a_keeper_without_any(tmp_path):
    assert secrets(str(tmp_path / "none"), str(tmp_path / "neither")) == ()
