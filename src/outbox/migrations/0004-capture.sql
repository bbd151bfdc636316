-- Capture: triggers that record every change of a doctype's table (docs/decisions/0035-capture.md).
--
-- A definition is a JSON object { doctype, schema, table, key: [columns], site: column or null, omit: [columns] } (src/doctype.ts).
-- Each captured doctype has one trigger function, capture_<doctype>, made for its table, and four triggers of statements on the table and
-- on each of its partitions: a trigger of the parent does not see what is written to a partition directly. The function's comment is the
-- definition, so that what is installed can be told from the catalog alone.

create function :"schema".refuse_capture(definition json, problem text, advice text) returns boolean
language plpgsql stable
as $$
begin
  raise exception using errcode = 'MO003', message = format('Doctype %s: %s', definition ->> 'doctype', problem), hint = advice;
end
$$;

-- The schema of Moca.
create function :"schema".home() returns regnamespace
language plpgsql stable
as $$ begin return (select relnamespace from pg_class where oid = 'outbox'::regclass); end $$;

create function :"schema".capture_table(definition json) returns regclass
language sql stable
as $$ select to_regclass(format('%I.%I', definition ->> 'schema', definition ->> 'table')) $$;

create function :"schema".capture_function(doctype text) returns regprocedure
language sql stable
as $$
  select oid::regprocedure from pg_proc
  where proname = 'capture_' || doctype and pronargs = 0 and pronamespace = :"schema".home()
$$;

-- A table and all of its partitions, of every level.
create function :"schema".capture_tree(root regclass) returns setof regclass
language sql stable
as $$ select root union select relid from pg_partition_tree(root) $$;

-- A column whose value the triggers do not see: PostgreSQL computes virtual ones when they are read, and not for what a trigger gets.
create function :"schema".unseen_column(root regclass, definition json) returns name
language sql stable
as $$
  select attname from pg_attribute
  where attrelid = root and attgenerated = 'v' and not attisdropped
    and attname not in (select json_array_elements_text(definition -> 'omit'))
  order by attnum limit 1
$$;

create function :"schema".capture_triggers() returns table (name name, at text, type smallint, old_rows name, new_rows name)
language sql immutable
as $$
  values ('moca_capture_insert'::name, 'after insert', 4::smallint, null::name, 'new_rows'::name),
    ('moca_capture_update', 'after update', 16, 'old_rows', 'new_rows'),
    ('moca_capture_delete', 'after delete', 8, 'old_rows', null),
    ('moca_capture_truncate', 'before truncate', 34, null, null)
$$;

-- Throws MO003 unless the table is as the definition says, and can be captured.
create function :"schema".require_capturable(definition json) returns regclass
language plpgsql stable
as $$
declare
  root regclass := capture_table(definition);
  shown text := format('%I.%I', definition ->> 'schema', definition ->> 'table');
  kind "char";
  found_name text;
  key_columns smallint[];
begin
  if root is null then
    perform refuse_capture(definition, format('there is no table %s', shown), 'Names are taken as they are written, capital letters included. Create the table first.');
  end if;
  select relkind into kind from pg_class where oid = root;
  if kind not in ('r', 'p') then
    perform refuse_capture(definition, format('%s is no table', shown), 'Capture the tables beneath a view, or a foreign table where it lives.');
  end if;
  if (select relpersistence = 't' from pg_class where oid = root) then
    perform refuse_capture(definition, format('%s is a temporary table', shown), 'Capture a table that stays.');
  end if;
  if (select relnamespace from pg_class where oid = root) = home() then
    perform refuse_capture(definition, format('%s belongs to Moca', shown), 'Capture tables of your own.');
  end if;
  select inhparent::regclass into found_name from pg_inherits where inhrelid = root;
  if found then
    perform refuse_capture(definition, format('%s is a part of %s', shown, found_name), format('Capture %s: its partitions come with it.', found_name));
  end if;
  select inhrelid::regclass into found_name from pg_inherits
  where inhparent = root and not (select relispartition from pg_class where oid = inhrelid) limit 1;
  if found then
    perform refuse_capture(definition, format('%s is inherited by %s', shown, found_name), 'Of tables with parts, only those of declarative partitioning can be captured.');
  end if;
  select relid::text into found_name from capture_tree(root) relid join pg_class on oid = relid where relkind = 'f' limit 1;
  if found then
    perform refuse_capture(definition, format('%s has the foreign table %s as a partition', shown, found_name), 'Foreign tables cannot tell what was written to them.');
  end if;
  select relid::text into found_name from capture_tree(root) relid where not has_table_privilege(current_user, relid, 'select') limit 1;
  if found then
    perform refuse_capture(definition, format('%s may not read %s, whose rows a TRUNCATE must record', current_user, found_name),
      format('grant select on %s to %I', found_name, current_user));
  end if;

  select name into found_name
  from (
    select json_array_elements_text(definition -> 'key') union select json_array_elements_text(definition -> 'omit')
    union select definition ->> 'site'
  ) given (name)
  where name is not null and not exists (
    select from pg_attribute where attrelid = root and attname = name and attnum > 0 and not attisdropped)
  limit 1;
  if found then
    perform refuse_capture(definition, format('%s has no column %s', shown, to_json(found_name)), 'Names are taken as they are written, capital letters included.');
  end if;
  select attname into found_name from pg_attribute
  where attrelid = root and not attnotnull and attname in (select json_array_elements_text(definition -> 'key')) limit 1;
  if found then
    perform refuse_capture(definition, format('the key column %I of %s may be null', found_name, shown),
      format('alter table %s alter column %I set not null', shown, found_name));
  end if;
  select unseen_column(root, definition) into found_name;
  if found_name is not null then
    perform refuse_capture(definition, format('the column %I of %s is generated when it is read, which triggers cannot see', found_name, shown),
      format('Leave it out (omit: [%s]), or make it a stored one.', to_json(found_name)));
  end if;
  select array_agg(attnum) into key_columns from pg_attribute
  where attrelid = root and attname in (select json_array_elements_text(definition -> 'key'));
  -- Of partitions, PostgreSQL can promise it only together with the columns by which they are made.
  if kind = 'r' and not exists (
    select from pg_index
    where indrelid = root and indisunique and indisvalid and indpred is null and indexprs is null
      and (indkey::smallint[])[0:indnkeyatts - 1] <@ key_columns)
  then
    perform refuse_capture(definition, format('no unique index of %s says that its key is one', shown), 'Make it the primary key, or add a unique index on its columns.');
  end if;
  return root;
end
$$;

-- The insert that records changes. changes: a query of (docname, site, action, data, prev_data); the others are expressions.
create function :"schema".capture_insert(doctype text, changes text, started text, by_user text, request_id text, max_bytes text) returns text
language sql immutable
as $$
  select format('insert into outbox (seq, lane, xid, at, kind, topic, type, site, doctype, key, id, bytes, payload)
    select nextval(''outbox_seq''), lane_of(key), pg_current_xact_id(), %3$s, ''e'', ''moca.doc.events'', %1$L || ''.'' || action,
      site, %1$L, key, id, octet_length(payload), payload
    from (
      select *, envelope(id, %1$L || ''.'' || action, %3$s, null, site, %1$L, docname, action, %4$s, data, prev_data, %5$s) as payload
      from (
        select *, coalesce(site, '''') || %2$L || docname as key, uuid_v7(%3$s)::text as id from (%7$s) change offset 0
      ) identified offset 0
    ) event
    where coalesce(octet_length(payload) <= %6$s and length(key) <= 500, false)
      or refuse_change(%1$L, action, docname, key, data, prev_data, octet_length(payload), %6$s)',
    doctype, ':' || doctype || ':', started, by_user, request_id, max_bytes, changes)
$$;

-- The body of a doctype's trigger function.
-- Whole rows are written, and not the columns that there are today: a column that is added later must not be missed, and one that is
-- dropped must not break the writes of the application.
create function :"schema".capture_source(definition json) returns text
language plpgsql stable
as $$
declare
  doctype text := definition ->> 'doctype';
  site_column text := definition ->> 'site';
  omitted text[] := array(select json_array_elements_text(definition -> 'omit'));
  docname text;
  -- Rows of a relation as (docname, site, data).
  rows_of text;
  has_site boolean := site_column is not null;
begin
  -- Several columns make a JSON list of texts: no separator could be told from what the values hold.
  select case count(*)
      when 1 then min(format('moca_row.%I::text', name))
      else format('case when (%s) is not null then json_build_array(%s)::text end',
        string_agg(format('moca_row.%I', name), ', ' order by nth), string_agg(format('moca_row.%I::text', name), ', ' order by nth))
    end
  into docname
  from json_array_elements_text(definition -> 'key') with ordinality key (name, nth);
  rows_of := format('select (%s) collate "C" as docname, %s as site, %s as data from ',
    docname,
    case when has_site then format('moca_row.%I::text', site_column) else 'moca_site' end,
    case when omitted = '{}' then 'row_to_json(moca_row.*)::text' else format('(to_jsonb(moca_row.*) - %L::text[])::text', omitted) end);
  return format($source$
#variable_conflict use_variable
declare
  moca_started constant timestamptz := clock_timestamp();
  moca_user constant text := nullif(current_setting('moca.user', true), '');
  moca_request_id constant text := nullif(current_setting('moca.request_id', true), '');
  moca_site constant text := nullif(current_setting('moca.site', true), '');
  moca_max_bytes integer;
  moca_part regclass;
begin
  select max_bytes into strict moca_max_bytes from deployment;
  -- The statement wrote rows before: the transaction has its id, which must be drawn before the first seq.
  if tg_op = 'INSERT' then
    %1$s;
  elsif tg_op = 'UPDATE' then
    %2$s;
  elsif tg_op = 'DELETE' then
    %3$s;
  else
    -- In other isolation levels its rows are not those that the statement sees. One deletion a row: a single event, in a lane of its own,
    -- would overtake what was recorded of the rows before.
    if current_setting('transaction_isolation') <> 'read committed' then
      perform refuse_truncate(tg_relid, current_setting('transaction_isolation'));
    end if;
    perform pg_current_xact_id();
    for moca_part in
      select part from capture_tree(tg_relid) part join pg_class on oid = part
      -- A partition with a trigger of its own records its rows by itself.
      where relkind = 'r' and (part = tg_relid or not exists (
        select from pg_trigger where tgrelid = part and tgname = 'moca_capture_truncate' and tgenabled in ('A', 'O')))
    loop
      execute replace(%4$L, chr(1), moca_part::text) using moca_started, moca_user, moca_request_id, moca_site, moca_max_bytes;
    end loop;
  end if;
  return null;
end
$source$,
    capture_insert(doctype, format('select docname, site, ''created'' as action, data, null::text as prev_data from (%snew_rows moca_row) r', rows_of),
      'moca_started', 'moca_user', 'moca_request_id', 'moca_max_bytes'),
    -- In both and different: updated. Only old: deleted; only new: created; that is what becomes of a changed key.
    capture_insert(doctype, format('select coalesce(n.docname, o.docname) as docname, case when n.docname is null then o.site else n.site end as site,
        case when o.docname is null then ''created'' when n.docname is null then ''deleted'' else ''updated'' end as action,
        n.data, o.data as prev_data
      from (%1$sold_rows moca_row offset 0) o full join (%1$snew_rows moca_row offset 0) n on o.docname = n.docname%2$s
      where o.data is distinct from n.data', rows_of, case when has_site then ' and coalesce(o.site, '''') = coalesce(n.site, '''')' else '' end),
      'moca_started', 'moca_user', 'moca_request_id', 'moca_max_bytes'),
    capture_insert(doctype, format('select docname, site, ''deleted'' as action, null::text as data, data as prev_data from (%sold_rows moca_row) r', rows_of),
      'moca_started', 'moca_user', 'moca_request_id', 'moca_max_bytes'),
    capture_insert(doctype, format('select docname, site, ''deleted'' as action, null::text as data, data as prev_data from (%sonly %s moca_row) r',
      replace(rows_of, 'moca_site', '$4'), chr(1)), '$1', '$2', '$3', '$5'));
end
$$;

create function :"schema".refuse_truncate(given regclass, isolation text) returns void
language plpgsql stable
as $$
begin
  perform refuse(null, 'transaction_isolation',
    format('TRUNCATE of %s, whose changes are recorded, needs the isolation level read committed; found %s', given, isolation),
    'Use DELETE, or another isolation level.');
end
$$;

-- Says what is wrong with a change of a document: its statement fails.
create function :"schema".refuse_change(
  doctype text, action text, docname text, key text, data text, prev_data text, bytes integer, max_bytes integer
) returns boolean
language plpgsql stable
as $$
declare
  document text := format('%s %s (%s)', doctype, coalesce(left(docname, 100), 'without a key'), action);
  largest text;
  size integer;
begin
  if docname is null then
    return refuse(null, 'key', format('%s: a column of its key is null', document), 'Set the columns of the key not null.');
  end if;
  if length(key) > 500 then
    return refuse(null, 'key', format('%s: site, doctype and key have %s characters together; at most 500 make a key', document, length(key)),
      'Capture it by a shorter key.');
  end if;
  begin
    select name, octet_length(value::text) into largest, size from json_each(coalesce(data, prev_data)::json) each (name, value)
    order by octet_length(value::text) desc limit 1;
  exception
    when data_exception then null; -- a JSON column may hold what cannot be taken apart
  end;
  return refuse(null, 'data',
    format('%s: the event has %s bytes; the limit is %s', document, bytes, max_bytes)
      || coalesce(format('. The largest column is %I with %s bytes', largest, size), ''),
    format('Leave a column out (omit of the doctype%s), or raise outbox.maxBytes and run moca migrate.', coalesce(', e.g. ' || to_json(largest), '')),
    jsonb_build_object('bytes', bytes, 'limit', max_bytes, 'doctype', doctype, 'column', largest));
end
$$;

-- What is installed of a doctype, compared with what install_capture would install:
-- { doctype, table, status: current | outdated | missing, tables: [{ table, status }] (with partitions), elsewhere: [tables] }
create function :"schema".show_capture(definition json) returns json
language plpgsql stable
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  root regclass := capture_table(definition);
  fn regprocedure := capture_function(definition ->> 'doctype');
  tables json;
  elsewhere json;
  status text;
  is_current boolean;
begin
  select coalesce(bool_or(prosrc = capture_source(definition) and prosecdef), false) into is_current from pg_proc where oid = fn;
  select coalesce(json_agg(json_build_object('table', part::text, 'status',
    case when matching = 4 then 'current' when present = 0 then 'missing' else 'outdated' end) order by part::text), '[]')
  into tables
  from (
    select part, count(t.oid) as present,
      count(*) filter (where t.tgfoid = fn and t.tgenabled = 'A' and t.tgtype = expected.type
        and t.tgoldtable is not distinct from expected.old_rows and t.tgnewtable is not distinct from expected.new_rows) as matching
    from capture_tree(root) part cross join capture_triggers() expected
    left join pg_trigger t on t.tgrelid = part and t.tgname = expected.name
    where root is not null
    group by part
  ) counted;
  select coalesce(json_agg(distinct tgrelid::regclass::text), '[]') into elsewhere
  from pg_trigger where tgfoid = fn and (root is null or tgrelid not in (select capture_tree(root)));
  status := case
    when root is null or fn is null then 'missing'
    when is_current and elsewhere::text = '[]' and unseen_column(root, definition) is null and not exists (select from json_array_elements(tables) t where t ->> 'status' <> 'current') then 'current'
    else 'outdated'
  end;
  return json_build_object('doctype', definition ->> 'doctype', 'table', root::text, 'status', status, 'tables', tables, 'elsewhere', elsewhere);
end
$$;

-- Installs the triggers of a doctype, or replaces those of another definition or release. What was written before is not recorded.
-- Waits for writers of the table, and lets new ones wait, but no longer than lock_timeout.
-- Answer: as show_capture, with `did`: installed, replaced or nothing. Throws MO003 for what cannot be captured.
create function :"schema".install_capture(definition json) returns json
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
set lock_timeout = '5s'
as $$
declare
  root regclass;
  fn text := format('%s.%I', home(), 'capture_' || (definition ->> 'doctype'));
  before json;
  other text;
  part regclass;
  expected record;
  stray record;
begin
  -- Two deployments that install at once: the second one finds nothing to do.
  perform pg_advisory_xact_lock(hashtextextended('moca.capture', 7446126));
  root := require_capturable(definition);
  before := show_capture(definition);
  if before ->> 'status' = 'current' then
    return before::jsonb || '{"did":"nothing"}';
  end if;
  select substring(proname from 9) into other
  from pg_trigger join pg_proc on pg_proc.oid = tgfoid
  where tgrelid in (select capture_tree(root)) and tgname in (select name from capture_triggers())
    and tgfoid is distinct from capture_function(definition ->> 'doctype')
  limit 1;
  if found then
    perform refuse_capture(definition, format('%s is captured for doctype %s', root, other), 'A table belongs to one doctype. Remove the capture of the other one first.');
  end if;
  -- jit: a plan is kept, and one that was made for a statement of many rows would be compiled for each of one row. row_security: rather
  -- an error than a TRUNCATE that records a part. The others: one document has one text for its key, and one for its row.
  execute format('create or replace function %s() returns trigger language plpgsql security definer set search_path = pg_catalog, %s, pg_temp
    set row_security = off set jit = off set timezone = ''UTC'' set datestyle = ''ISO, YMD'' set intervalstyle = ''postgres'' set extra_float_digits = 1
    set bytea_output = ''hex'' as %L',
    fn, home(), capture_source(definition));
  execute format('revoke execute on function %s() from public', fn);
  execute format('comment on function %s() is %L', fn, definition::text);
  for stray in
    select tgname, tgrelid::regclass as of_table from pg_trigger
    where tgfoid = capture_function(definition ->> 'doctype') and tgrelid not in (select capture_tree(root))
  loop
    execute format('drop trigger %I on %s', stray.tgname, stray.of_table);
  end loop;
  for part in select capture_tree(root) loop
    for expected in select * from capture_triggers() loop
      execute format('create or replace trigger %I %s on %s %s for each statement execute function %s()',
        expected.name, expected.at, part,
        coalesce('referencing ' || nullif(concat_ws(' ', 'old table as ' || expected.old_rows, 'new table as ' || expected.new_rows), ''), ''), fn);
      execute format('alter table %s enable always trigger %I', part, expected.name);
    end loop;
  end loop;
  return show_capture(definition)::jsonb
    || jsonb_build_object('did', case before ->> 'status' when 'missing' then 'installed' else 'replaced' end);
end
$$;

-- Removes the triggers of a doctype and their function. Answer: { doctype, did: removed | nothing, tables: [tables] }
create function :"schema".remove_capture(doctype text) returns json
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
set lock_timeout = '5s'
as $$
declare
  fn regprocedure;
  found_trigger record;
  tables text[] := '{}';
begin
  perform pg_advisory_xact_lock(hashtextextended('moca.capture', 7446126));
  fn := capture_function(doctype);
  if fn is null then
    return json_build_object('doctype', doctype, 'did', 'nothing', 'tables', tables);
  end if;
  for found_trigger in select tgname, tgrelid::regclass as of_table from pg_trigger where tgfoid = fn order by tgrelid loop
    execute format('drop trigger %I on %s', found_trigger.tgname, found_trigger.of_table);
    if not found_trigger.of_table::text = any (tables) then tables := tables || found_trigger.of_table::text; end if;
  end loop;
  execute format('drop function %s', fn);
  return json_build_object('doctype', doctype, 'did', 'removed', 'tables', tables);
end
$$;

-- The definitions of all doctypes that are captured, whether or not this release's configuration knows them.
create function :"schema".list_captures() returns json
language sql stable
set search_path = pg_catalog, :"schema", pg_temp
as $$
  select coalesce(json_agg(obj_description(oid, 'pg_proc')::json order by proname), '[]')
  from pg_proc
  where proname like 'capture\_%' and prorettype = 'trigger'::regtype and pronamespace = :"schema".home()
$$;

revoke execute on all functions in schema :"schema" from public;
grant execute on function :"schema".record(text) to public;
