# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _collation as collation
from ansible_collections.pgkeep.postgres.plugins.module_utils._counts import Reading, Table
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._rehearsal import compare
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .instance_options import options

GERMAN = collation.Collation("shop", None, "c", "de_DE.UTF-8", "de_DE.UTF-8", "", "2.36", ("public.names_key",))
FRENCH = collation.Collation("shop", 'pg_catalog."fr-x-icu"', "i", "", "", "fr", "153.14", ("public.b", "public.c"))


class Engine:
    """The new image, which answers with said."""

    def __init__(self, said, rc=0):
        self.said, self.rc = said, rc
        self.commands, self.asked = [], ""

    def __call__(self, argv, data=None, env=None, timeout=None):
        self.commands.append(argv)
        self.asked = data or self.asked
        return Result(self.rc, self.said, "initdb: no space") if argv[1] == "run" else Result(0)


def ask(engine, known):
    return collation.ask_image(engine, declare(options(), "sha256:new", "sha256:keeper").server, known)


def test_data_without_versions_need_no_container():
    engine = Engine("")
    assert ask(engine, []) == {}
    assert engine.commands == []


def test_the_image_is_asked_once_for_each_locale_and_without_anything_of_ours():
    engine = Engine("pgkeep_0 2.41\npgkeep_1 153.14\n")
    found = ask(engine, [GERMAN, FRENCH, replace(FRENCH, database="other")])
    assert found == {GERMAN.key: "2.41", FRENCH.key: "153.14"}
    assert engine.asked.splitlines() == [
        "create collation pgkeep_0 (provider = libc, lc_collate = 'de_DE.UTF-8', lc_ctype = 'de_DE.UTF-8');",
        "create collation pgkeep_1 (provider = icu, locale = 'fr');",
    ]
    argv = next(argv for argv in engine.commands if argv[1] == "run")
    assert "--volume" not in argv
    assert argv[argv.index("--network") + 1] == "none"
    assert engine.commands[-1] == ["docker", "rm", "--force", "app-collation"]


def test_the_provider_of_postgresql_itself_is_asked_by_its_own_name():
    engine = Engine("")
    ask(engine, [replace(GERMAN, provider="b", locale="C.UTF-8")])
    assert engine.asked == "create collation pgkeep_0 (provider = builtin, locale = 'C.UTF-8');\n"


def test_a_locale_cannot_become_sql():
    engine = Engine("")
    ask(engine, [replace(FRENCH, locale="x'); drop table a; --")])
    assert engine.asked == "create collation pgkeep_0 (provider = icu, locale = 'x''); drop table a; --');\n"


def test_an_image_that_gives_no_answer_is_no_good_image():
    with pytest.raises(PgkeepError, match="cannot be asked how it sorts.*no space"):
        ask(Engine("", rc=1), [GERMAN])


def test_only_other_versions_are_changes():
    found = collation.changes([GERMAN, FRENCH], {GERMAN.key: "2.41", FRENCH.key: "153.14"})
    assert found == [collation.Change(GERMAN, "2.41")]


def test_another_order_is_refused_with_its_indexes_unless_accepted():
    found = [collation.Change(GERMAN, "2.41"), collation.Change(FRENCH, "153.80")]
    with pytest.raises(PgkeepError) as told:
        collation.refuse("app", found, collation.REFUSE)
    assert "the default of database shop: 2.36 -> 2.41" in told.value.why
    assert "to be rebuilt: shop.public.b; shop.public.c; shop.public.names_key" in told.value.why
    collation.refuse("app", found, collation.REINDEX)
    collation.refuse("app", [], collation.REFUSE)


def test_a_locale_that_is_gone_is_refused_whatever_is_accepted():
    with pytest.raises(PgkeepError, match="does not have collations that the data need: .*2.36 -> not there"):
        collation.refuse("app", [collation.Change(GERMAN, None)], collation.REINDEX)


def reading(**counts):
    tables = tuple(Table("app", "public", name, rows, None, None, None) for name, rows in counts.items())
    return Reading(tables, {})


def test_a_rehearsal_wants_exactly_the_rows_of_before():
    assert compare(reading(a=1, b=2), reading(a=1, b=2)) == (True, "2 tables with 3 rows, as before")
    passed, detail = compare(reading(a=1, b=2, c=3), reading(a=1, b=1, d=0))
    assert not passed
    assert detail == (
        "app.public.b had 2 rows and has 1; app.public.c had 3 rows and has no; app.public.d had no rows and has 0"
    )


def test_a_table_that_nobody_could_read_is_not_as_before():
    assert not compare(reading(a=1), replace(reading(a=1), damaged=("app.public.x",)))[0]


def test_what_has_to_be_rebuilt_outlives_a_kill(tmp_path, monkeypatch):
    def write(file):
        with open(file.path, "w") as handle:
            handle.write(file.content)

    monkeypatch.setattr(collation, "write", write)
    monkeypatch.setattr(Layout, "home", property(lambda self: str(tmp_path)))
    found = [collation.Change(replace(GERMAN, exclusive=frozenset(["public.names_key"])), "2.41")]
    assert collation.load_pending(Layout("app")) == []
    collation.save_pending(Layout("app"), found)
    assert collation.load_pending(Layout("app")) == found
    collation.save_pending(Layout("app"), [])
    assert list(tmp_path.iterdir()) == []
