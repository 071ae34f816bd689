# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that clients would refuse, refused before anything is touched; what an exchange declares."""

from __future__ import annotations

import os

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _release as releases
from ansible_collections.pgkeep.postgres.plugins.module_utils import _tls as tls
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._files import File, write
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._terms import Terms
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from .authority import ADDRESS, Authority
from .instance_options import options
from .instance_options import pooler as a_pooler

OURS, STRANGER = Authority(), Authority("stranger")


def offered(pair, authority=OURS, names=()):
    certificate, key = pair
    return {"certificate": certificate, "private_key": key, "ca_certificate": authority.pem, "names": list(names)}


def declared(pooled=False, **more):
    more = {"pooler": a_pooler(), "settings": {"max_connections": 100}, **more} if pooled else more
    return declare(options(**more), "sha256:server", "sha256:keeper", "sha256:pooler" if pooled else None)


def refused(wanted, pooled=False, **more):
    with pytest.raises(PgkeepError) as caught:
        tls.refuse(declared(pooled, **more), wanted)
    assert caught.value.what == "The certificate of app cannot be used"
    return caught.value


@pytest.mark.parametrize("pooled", [False, True])
def test_what_clients_take_is_taken(pooled: bool) -> None:
    tls.refuse(declared(pooled), offered(OURS.sign(ADDRESS, "app", "db.example.com"), names=["db.example.com"]))


def test_an_address_for_all_is_the_one_that_reaches_it() -> None:
    tls.refuse(declared(bind_address="0.0.0.0"), offered(OURS.sign()))
    tls.refuse(declared(bind_address="[2001:db8::5]"), offered(OURS.sign("2001:db8::5")))


def test_an_authority_between_stands_behind_the_certificate() -> None:
    between = Authority("between", upper=OURS)
    certificate, key = between.sign()
    assert "issuer" in refused(offered((certificate, key))).why
    tls.refuse(declared(), offered((certificate + between.pem, key)))


def test_while_another_authority_comes_both_are_trusted() -> None:
    for authority in (OURS, STRANGER):
        both = {**offered(authority.sign()), "ca_certificate": STRANGER.pem + OURS.pem}
        tls.refuse(declared(), both)


def test_text_around_a_certificate_is_no_matter() -> None:
    certificate, key = OURS.sign()
    commented = {**offered((certificate, key)), "ca_certificate": "# Behörde für Zertifikate\n" + OURS.pem}
    tls.refuse(declared(), commented)


def test_names_may_be_written_as_where_certificates_are_made() -> None:
    tls.refuse(declared(), offered(OURS.sign(ADDRESS, "2001:db8::5"), names=["[2001:db8::5]"]))


def test_a_name_that_no_host_can_have() -> None:
    found = refused(offered(OURS.sign(), names=["x" * 64 + ".example.com"]))
    assert "is no name of a host" in found.why
    assert found.next_step == "correct postgres_server_names"


@pytest.mark.parametrize(
    "key, words",
    [(rsa.generate_private_key(65537, 1024), "too weak"), (ec.generate_private_key(ec.BrainpoolP256R1()), "TLS 1.3")],
    ids=["short", "unusual"],
)
def test_a_key_that_clients_cannot_use(key, words) -> None:
    found = refused(offered(OURS.sign(key=key)))
    assert words in found.why
    assert "make a key of a usual kind" in found.next_step


def test_a_key_of_another_certificate() -> None:
    found = refused(offered((OURS.sign()[0], OURS.sign()[1])))
    assert "do not belong together" in found.why
    assert "the private key that it was made for" in found.next_step


@pytest.mark.parametrize("part, words", [(0, "do not belong together"), (1, "do not belong together")])
def test_what_is_no_certificate_or_key(part: int, words: str) -> None:
    pair = list(OURS.sign())
    pair[part] = "nonsense\n"
    assert words in refused(offered(tuple(pair))).why


def test_a_key_with_a_passphrase_is_not_asked_for_it() -> None:
    key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n-----END ENCRYPTED PRIVATE KEY-----\n"
    assert refused(offered((OURS.sign()[0], key))).why.endswith("the private key has a passphrase")


def test_an_expired_one() -> None:
    found = refused(offered(OURS.sign(ends_in_days=-1)))
    assert found.why == "a client of 127.0.0.1 would refuse it: certificate has expired"
    assert "signed anew" in found.next_step


def test_one_for_another_host() -> None:
    found = refused(offered(OURS.sign("192.0.2.1")))
    assert "a client of 127.0.0.1" in found.why
    assert found.next_step == "have it signed for that name too"
    assert "db.example.com" in refused(offered(OURS.sign(), names=["db.example.com"])).why
    # By that name the pooler reaches the server.
    assert "a client of app" in refused(offered(OURS.sign()), pooled=True).why


def test_one_that_a_stranger_signed() -> None:
    found = refused(offered(STRANGER.sign()))
    assert "unable to get local issuer certificate" in found.why
    assert "the authority that signed it" in found.next_step
    assert "ca_certificate holds no certificate" in refused({**offered(OURS.sign()), "ca_certificate": "none\n"}).why


def test_an_exchange_is_the_release_in_force_with_another_certificate(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Layout, "home", property(lambda self: str(tmp_path)))
    layout = Layout("app")
    os.makedirs(layout.releases_dir)
    mine = {"uid": os.getuid(), "gid": os.getgid()}
    monkeypatch.setattr(releases, "write", lambda file: write(File(file.path, file.content, file.mode, **mine)))
    before = declared(pooled=True)
    terms = Terms(start_timeout_seconds=7)
    releases.record(layout, 17, before.server, before.keeper, before.files, pooler=before.pooler, terms=terms.to_dict())
    asked = []
    monkeypatch.setattr(tls, "ensure", lambda run, *given: asked.append(given) or {"changed": True})

    certificate, key = OURS.sign(ADDRESS, "app")
    assert tls.exchange(lambda *argv: None, "app", offered((certificate, key)), True) == {"changed": True, "tls": {}}
    after, used, check_mode = asked[0]
    assert (used, check_mode) == (Terms(start_timeout_seconds=7, restart_allowed=False), True)
    assert (after.server, after.keeper, after.pooler) == (before.server, before.keeper, before.pooler)
    contents = {file.path: file.content for file in before.files}
    changed = {file.path: file.content for file in after.files if contents[file.path] != file.content}
    assert changed == {
        "/etc/pgkeep/app/server/tls/server.crt": certificate,
        "/etc/pgkeep/app/server/tls/server.key": key,
        "/etc/pgkeep/app/server/tls/ca.crt": OURS.pem,
        "/etc/pgkeep/app/pooler/server.crt": certificate,
        "/etc/pgkeep/app/pooler/server.key": key,
        "/etc/pgkeep/app/pooler/ca.crt": OURS.pem,
        "/etc/pgkeep/app/client/ca.crt": OURS.pem,
    }

    with pytest.raises(PgkeepError, match="do not belong together"):
        tls.exchange(lambda *argv: None, "app", offered((certificate, OURS.sign()[1])), False)
    assert len(asked) == 1


def test_what_was_never_deployed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Layout, "home", property(lambda self: str(tmp_path)))
    with pytest.raises(PgkeepError, match="never deployed"):
        tls.exchange(lambda *argv: None, "app", offered(OURS.sign()), True)
