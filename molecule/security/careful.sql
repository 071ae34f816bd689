-- One line for everything that is not as it should be; nothing when all is well. The ids are those of docs/security.md.
select 'S01 weak method: ' || line_number from pg_hba_file_rules where auth_method in ('trust', 'password', 'md5', 'ident')
union all
select 'S01 a line that is wrong: ' || error from pg_hba_file_rules where error is not null
union all
select 'S01 without TLS: ' || line_number from pg_hba_file_rules where type in ('host', 'hostnossl') and auth_method <> 'reject'
union all
select 'S01 everybody from everywhere: ' || line_number from pg_hba_file_rules
where type <> 'local' and auth_method <> 'reject'
  and (address in ('all', '0.0.0.0', '::') and 'all' = any (database) and 'all' = any (user_name))
union all
select 'S12 from everywhere: ' || line_number from pg_hba_file_rules
where auth_method <> 'reject' and (address = 'all' or netmask in ('0.0.0.0', '::'))
union all
select 'S02 password_encryption' where current_setting('password_encryption') <> 'scram-sha-256'
union all
select 'S02 no SCRAM: ' || rolname from pg_authid where rolpassword not like 'SCRAM-SHA-256$%'
union all
select 'S04 TLS' where current_setting('ssl') <> 'on' or current_setting('ssl_min_protocol_version') not in ('TLSv1.2', 'TLSv1.3')
union all
select 'S05 superuser: ' || rolname from pg_authid where rolsuper and (rolname <> 'postgres' or rolpassword is not null)
union all
select 'S05 too mighty: ' || rolname from pg_authid
where rolname <> 'postgres' and (rolcreaterole or rolcreatedb or rolbypassrls or rolreplication) and rolname !~ '^pg_'
union all
select 'S06 everybody may create in ' || nspname from pg_namespace
where nspname !~ '^pg_' and has_schema_privilege('pgkeep_monitor', oid, 'create')
union all
select 'S10 pgkeep_monitor is in ' || roleid::regrole from pg_auth_members
where member = 'pgkeep_monitor'::regrole and roleid::regrole::text not in ('pg_monitor', 'pg_use_reserved_connections')
union all
select 'S10 pgkeep_monitor may do something with ' || pg_describe_object(classid, objid, objsubid) from pg_shdepend
where refclassid = 'pg_authid'::regclass and refobjid = 'pgkeep_monitor'::regrole
  and dbid in (0, (select oid from pg_database where datname = current_database()))
  and pg_describe_object(classid, objid, objsubid) not in ('schema pgkeep', 'table pgkeep.gate')
union all
select 'S10 pgkeep_monitor may ' || privilege_type || ' in pgkeep' from pg_namespace, aclexplode(nspacl)
where nspname = 'pgkeep' and grantee = 'pgkeep_monitor'::regrole and privilege_type <> 'USAGE'
union all
select 'S10 pgkeep_monitor may ' || privilege_type || ' in ' || relname from pg_class, aclexplode(relacl)
where relname = 'gate' and grantee = 'pgkeep_monitor'::regrole and privilege_type not in ('SELECT', 'INSERT', 'UPDATE')
union all
select 'S06 everybody may connect' from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
where datname = current_database() and datname not in ('postgres', 'template1') and grantee = 0 and privilege_type = 'CONNECT'
union all
select 'S11 security definer without search_path: ' || oid::regprocedure from pg_proc
where prosecdef and not coalesce(array_to_string(proconfig, ' ') ~ 'search_path', false)
union all
select 'P01 ' || name from pg_settings
where (name in ('fsync', 'full_page_writes', 'autovacuum') and setting <> 'on') or (name = 'synchronous_commit' and setting = 'off')
union all
select 'P02 checksums' where current_setting('data_checksums') <> 'on'
union all
select 'P04 pending restart: ' || name from pg_settings where pending_restart
union all
select 'P04 wrong line: ' || name from pg_file_settings where error is not null
union all
select 'P10 reserved connections' where current_setting('superuser_reserved_connections')::int < 3
union all
select 'P12 ' || name from pg_settings
where (name in ('log_checkpoints', 'log_lock_waits') and setting = 'off')
   or (name in ('log_temp_files', 'log_autovacuum_min_duration', 'log_min_duration_statement') and setting = '-1')
union all
select 'C04 shared_buffers' where pg_size_bytes(current_setting('shared_buffers')) > 0.4 * 536870912;
