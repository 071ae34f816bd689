-- One line per kind of thing, the same from the original and from what was restored.
SELECT 'rows', count(*), md5(string_agg(f::text, '|' ORDER BY id)) FROM "select"."from" f;
SELECT 'keyed', sum(n) FROM "Ü %s ""q""".keyed;
SELECT 'no columns', count(*) FROM "Ü %s ""q"""."no columns";
SELECT 'parted', count(*), (SELECT count(*) FROM "parted 2026") FROM parted;
SELECT 'inherited', (SELECT count(*) FROM ONLY parent), (SELECT sum(n + m) FROM child);
SELECT 'unlogged', sum(n), (SELECT relpersistence FROM pg_class WHERE relname = 'unlogged') FROM unlogged;
SELECT 'seen', seen.* FROM seen;
SELECT 'view', count(*) FROM "or";
SELECT 'sequence', last_value, is_called FROM "Ü %s ""q"""."next one";
SELECT 'serial', last_value FROM "select".from_id_seq;
SELECT 'same', (SELECT sum(n) FROM public.same), (SELECT sum(n) FROM "select".same);
SELECT 'large object', md5(lo_get(77001)), lomowner::regrole FROM pg_largeobject_metadata WHERE oid = 77001;
SELECT 'function', twice(21);
SELECT 'guarded', count(*), (SELECT count(*) FROM pg_policies WHERE policyname = 'own') FROM guarded;
SELECT 'index', indexdef FROM pg_indexes WHERE indexname = 'group by';
SELECT 'constraint', string_agg(pg_get_constraintdef(oid), '; ' ORDER BY conname) FROM pg_constraint WHERE conrelid = '"Ü %s ""q""".keyed'::regclass;
SELECT 'extension', extversion FROM pg_extension WHERE extname = 'pg_trgm';
SELECT 'grant', has_table_privilege('Käufer "A" %', '"select"."from"', 'SELECT');
SELECT 'database', pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit, datacl, shobj_description(oid, 'pg_database')
FROM pg_database WHERE datname = current_database();
SELECT 'settings', setrole::regrole, setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE datname = current_database() ORDER BY 2;
SELECT 'in force', current_setting('search_path'), current_setting('work_mem');
