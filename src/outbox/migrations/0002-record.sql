-- What callers' transactions use: record (docs/decisions/0034-record.md). :"schema" stands for the name of the schema.

-- UUID version 7 (RFC 9562): 48 bits of milliseconds, version, 74 bits of chance. PostgreSQL has its own from 18 on; ids look the same.
create function :"schema".uuid_v7(at timestamptz) returns uuid
language sql volatile parallel safe
as $$
  select encode(
    set_bit(
      set_bit(
        overlay(uuid_send(gen_random_uuid()) placing substring(int8send(floor(extract(epoch from at) * 1000)::bigint) from 3) from 1 for 6),
        52, 1),
      53, 1),
    'hex')::uuid
$$;

-- The place of a job that enters its queue later: g, 40 bits of seconds, 80 of chance (src/job/job-id.ts).
create function :"schema".given_place(at timestamptz) returns text
language sql volatile parallel safe
as $$
  select 'g' || translate(
    encode(
      substring(int8send(floor(extract(epoch from at))::bigint) from 4)
        || substring(uuid_send(gen_random_uuid()) from 1 for 6) || substring(uuid_send(gen_random_uuid()) from 10 for 4),
      'base64'),
    '+/', '-_')
$$;

create function :"schema".lane_of(key text) returns smallint
language sql immutable parallel safe
as $$ select (hashtextextended(key, 0) & 15)::smallint $$;

-- An event as it travels (src/events/event.ts). data and prev_data are JSON texts.
create function :"schema".envelope(
  id text, event_type text, at timestamptz, source text, site text, doctype text, docname text, action text, by_user text, data text,
  prev_data text, request_id text
) returns text
language sql stable parallel safe
as $$
  select '{"event_id":"' || id || '","event_type":' || to_json(event_type)::text
    || ',"timestamp":"' || to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    || '","source":' || coalesce(to_json(source)::text, 'null') || ',"site":' || coalesce(to_json(site)::text, 'null')
    || ',"doctype":' || coalesce(to_json(doctype)::text, 'null') || ',"docname":' || coalesce(to_json(docname)::text, 'null')
    || ',"action":' || coalesce(to_json(action)::text, 'null') || ',"user":' || coalesce(to_json(by_user)::text, 'null')
    || ',"data":' || coalesce(data, 'null') || ',"prev_data":' || coalesce(prev_data, 'null')
    || ',"request_id":' || coalesce(to_json(request_id)::text, 'null') || '}'
$$;

-- For who records before writing the row: transactions of one key then draw their seq one after another.
create function :"schema".lock_key(key text) returns boolean
language sql volatile
as $$ select pg_advisory_xact_lock(hashtextextended(key, 7446126)) is not null $$;

-- Refuses in the caller's transaction: SQLSTATE MO001, what was asked for cannot be recorded, and nothing was.
-- The error's detail is a JSON object for programs: option, item (where a list was given) and further facts.
create function :"schema".refuse(nth integer, option text, problem text, advice text, facts jsonb default '{}') returns boolean
language plpgsql stable
as $$
begin
  raise exception using
    errcode = 'MO001',
    message = 'moca.record: ' || coalesce('item ' || nth || ': ', '') || problem,
    detail = (jsonb_strip_nulls(jsonb_build_object('option', option, 'item', nth)) || facts)::text,
    hint = coalesce(advice, 'See the reference of moca.record.');
end
$$;

-- A value of a request in a few words.
create function :"schema".found(given text) returns text
language sql stable parallel safe
as $$ select 'found ' || coalesce(to_json(case when length(given) > 100 then left(given, 100) || '…' else given end)::text, 'none') $$;

-- Fields of an item that are not known, or not of their type; null counts as left out. They would be lost in silence.
-- known: field -> type as json_typeof says it, or "any".
create function :"schema".strange_fields(item json, known jsonb) returns table (field text, found_type text)
language sql stable parallel safe
as $$
  select key, json_typeof(value) from json_each(item)
  where known ->> key is null or known ->> key not in ('any', json_typeof(value)) and json_typeof(value) <> 'null'
$$;

create function :"schema".event_fields() returns jsonb
language sql immutable parallel safe
as $$
  select '{"topic":"string","event_type":"string","key":"string","event_id":"string","source":"string","site":"string","doctype":"string",
    "docname":"string","action":"string","user":"string","data":"any","prev_data":"any","request_id":"string","headers":"object",
    "lock":"boolean"}'::jsonb
$$;

create function :"schema".job_fields() returns jsonb
language sql immutable parallel safe
as $$
  select '{"job":"string","queue":"string","payload":"any","key":"string","headers":"object","delay_ms":"number","run_at":"any",
    "expires_in_ms":"number","attempts":"number","timeout_ms":"number","options":"object","lock":"boolean"}'::jsonb
$$;

create function :"schema".refuse_field(nth integer, field text, found_type text, known jsonb) returns boolean
language plpgsql stable
as $$
begin
  if not known ? field then
    perform refuse(nth, field, format('there is no field %s', to_json(field)),
      'Known are ' || (select string_agg(name, ', ') from jsonb_object_keys(known) name) || '.');
  end if;
  return refuse(nth, field, format('%s must be of type %s; found %s', field, known ->> field, found_type), null);
end
$$;

-- How many bytes a text takes within JSON as Redis's JSON writer writes it, without its quotes: it escapes slashes, too, and DEL
-- (src/job/stored-text.ts).
create function :"schema".stored_bytes(given text) returns integer
language sql stable parallel safe
as $$
  select octet_length(to_json(given)::text) - 2
    + length(given) - length(replace(given, '/', '')) + 5 * (length(given) - length(replace(given, chr(127), '')))
$$;

create function :"schema".require_headers(nth integer, headers json) returns void
language plpgsql stable
as $$
declare
  name text;
begin
  select key into name from json_each(headers) where json_typeof(value) <> 'string' limit 1;
  if found then
    perform refuse(nth, 'headers', format('header %s must be a text', to_json(name)), 'Write numbers as texts, too.');
  end if;
  if stored_bytes(headers::text) > 8192 then
    perform refuse(nth, 'headers', 'the headers have more than 8192 bytes together, as JSON within JSON', 'Put large values into the payload.');
  end if;
end
$$;

-- A whole number within its range, or none.
create function :"schema".require_whole(nth integer, field text, given numeric, lowest bigint, highest bigint) returns void
language plpgsql stable
as $$
begin
  if given not between lowest and highest or given <> trunc(given) then
    perform refuse(nth, field, format('%s must be a whole number from %s to %s; found %s', field, lowest, highest, left(given::text, 40)),
      case when field like '%\_ms' then 'Give milliseconds.' end);
  end if;
end
$$;

-- The options of an entry that a client library encoded (src/queue/entry.ts), as JSON that the queue's scripts read: without line breaks.
create function :"schema".entry_options(nth integer, options json) returns text
language plpgsql stable
as $$
declare
  field text;
  number numeric;
  given jsonb := options;
  known constant jsonb := '{"x":"number","n":"number","tm":"number","kc":"number","b":"number","rt":"object"}';
  retry_known constant jsonb := '{"b":"string","d":"number","m":"number","j":"number"}';
begin
  perform refuse_field(nth, strange.field, found_type, known) from strange_fields(options, known) strange;
  perform refuse_field(nth, strange.field, found_type, retry_known)
  from strange_fields(coalesce(options -> 'rt', '{}'), retry_known) strange;
  for field, number in
    select key, value::numeric from jsonb_each(given || coalesce(given -> 'rt', '{}')) where jsonb_typeof(value) = 'number'
  loop
    -- A number that JavaScript cannot hold would make the entry a damaged one.
    if number not between 0 and 9007199254740991 then
      perform refuse(nth, 'options', format('options: %s is out of range', field), 'options are for client libraries alone.');
    end if;
  end loop;
  -- Without its braces.
  return nullif(substring(jsonb_strip_nulls(given)::text from '^.(.*).$'), '');
end
$$;

-- What becomes a row of the log.
create type :"schema".recording as (
  kind "char", topic text, type text, site text, doctype text, key text, id text, options text, due_ms bigint, payload text, lock boolean
);

create type :"schema".event_request as (
  topic text, event_type text, key text, event_id text, source text, site text, doctype text, docname text, action text, "user" text,
  data json, prev_data json, request_id text, headers json, lock boolean
);

create type :"schema".job_request as (
  job text, queue text, payload json, key text, headers json, delay_ms numeric, run_at json, expires_in_ms numeric, attempts numeric,
  timeout_ms numeric, options json, lock boolean
);

-- Says what is wrong with an event that read_event does not take.
create function :"schema".refuse_event(nth integer, x :"schema".event_request, event_key text) returns void
language plpgsql stable
as $$
begin
  if x.topic is null or x.topic !~ '^[A-Za-z0-9][A-Za-z0-9._-]*$' or length(x.topic) > 200 then
    perform refuse(nth, 'topic', 'topic must be 1 to 200 of A-Z a-z 0-9 . _ -, beginning with a letter or digit; ' || found(x.topic),
      'A topic is named like shop.orders. A job has the field job instead.');
  end if;
  if x.event_type is null or length(x.event_type) not between 1 and 200 then
    perform refuse(nth, 'event_type', 'event_type must be a text of 1 to 200 characters; ' || found(x.event_type),
      'Say what happened, like order.paid.');
  end if;
  if length(x.key) not between 1 and 500 then
    perform refuse(nth, 'key', 'key must be a text of 1 to 500 characters', 'Leave it out where no order is needed.');
  end if;
  if x.docname is not null and x.doctype is null then
    perform refuse(nth, 'docname', 'docname needs a doctype', 'Give both, or neither.');
  end if;
  if length(event_key) > 500 then
    perform refuse(nth, 'key', format('site, doctype and docname have %s characters together; at most 500 make a key', length(event_key)),
      'Give a key of 1 to 500 characters.');
  end if;
  if x.event_id !~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
    perform refuse(nth, 'event_id', 'event_id must be a UUID; ' || found(x.event_id), 'Leave it out to get one of version 7.');
  end if;
  raise exception 'read_event and refuse_event disagree about %', x;
end
$$;

create function :"schema".read_event(nth integer, item json, started timestamptz, max_bytes integer) returns :"schema".recording
language plpgsql volatile
as $$
declare
  x :"schema".event_request;
  event_id text;
  event_key text;
  payload text;
begin
  x := json_populate_record(null::event_request, item);
  x.site := coalesce(x.site, nullif(current_setting('moca.site', true), ''));
  x."user" := coalesce(x."user", nullif(current_setting('moca.user', true), ''));
  x.request_id := coalesce(x.request_id, nullif(current_setting('moca.request_id', true), ''));
  event_key := coalesce(x.key, coalesce(x.site, '') || ':' || x.doctype || ':' || x.docname);
  -- In one expression: PL/pgSQL prepares each one anew in every transaction, which takes longer than to evaluate it.
  if (
    x.topic ~ '^[A-Za-z0-9][A-Za-z0-9._-]*$' and length(x.topic) <= 200 and length(x.event_type) between 1 and 200
    and (x.key is null or length(x.key) between 1 and 500) and (x.docname is null or x.doctype is not null)
    and (event_key is null or length(event_key) <= 500)
    and (x.event_id is null or x.event_id ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$')
  ) is not true then
    perform refuse_event(nth, x, event_key);
  end if;
  event_id := coalesce(lower(x.event_id), uuid_v7(started)::text);
  if x.headers is not null then perform require_headers(nth, x.headers); end if;
  payload := envelope(event_id, x.event_type, started, x.source, x.site, x.doctype, x.docname, x.action, x."user", x.data::text,
    x.prev_data::text, x.request_id);
  if octet_length(payload) > max_bytes then
    perform refuse(nth, 'data', format('the event has %s bytes; the limit is %s', octet_length(payload), max_bytes),
      'Record a reference instead of the data, or raise outbox.maxBytes and run moca migrate.',
      jsonb_build_object('bytes', octet_length(payload), 'limit', max_bytes));
  end if;
  return row('e', x.topic, x.event_type, x.site, x.doctype, event_key, event_id, x.headers::text, null, payload, x.lock)::recording;
end
$$;

create function :"schema".read_job(nth integer, item json, started timestamptz, max_bytes integer) returns :"schema".recording
language plpgsql volatile
as $$
declare
  x :"schema".job_request;
  place text := given_place(started);
  payload text;
  due_ms bigint;
  -- A hundred years (src/job/duration.ts).
  longest constant bigint := 3153600000000;
begin
  x := json_populate_record(null::job_request, item);
  x.queue := coalesce(x.queue, 'default');
  if x.job is null or x.job !~ '^[A-Za-z0-9_.:/-]+$' or length(x.job) > 100 then
    perform refuse(nth, 'job', 'job must be a type of 1 to 100 of A-Z a-z 0-9 . _ : / -; ' || found(x.job), 'Use the type of the contract.');
  end if;
  if x.queue !~ '^[a-z][a-z0-9_-]*$' or length(x.queue) > 64 then
    perform refuse(nth, 'queue', 'queue must be 1 to 64 of a-z 0-9 _ -, beginning with a letter; ' || found(x.queue),
      'Use a queue that workers serve.');
  end if;
  if length(x.key) not between 1 and 200 then
    perform refuse(nth, 'key', 'key must be a text of 1 to 200 characters', 'Leave it out where no order is needed.');
  end if;
  -- null is a payload, too; here it looks like none.
  payload := coalesce(x.payload, item -> 'payload')::text;
  if payload is null then
    perform refuse(nth, 'payload', 'payload is missing', 'For none, give null.');
  end if;
  if octet_length(payload) > max_bytes then
    perform refuse(nth, 'payload', format('the payload has %s bytes; the limit is %s', octet_length(payload), max_bytes),
      'Pass a reference, or raise outbox.maxBytes and run moca migrate.',
      jsonb_build_object('bytes', octet_length(payload), 'limit', max_bytes));
  end if;
  if x.headers is not null then perform require_headers(nth, x.headers); end if;
  if coalesce(x.delay_ms, x.expires_in_ms, x.timeout_ms, x.attempts) is not null then
    perform require_whole(nth, 'delay_ms', x.delay_ms, 0, longest), require_whole(nth, 'expires_in_ms', x.expires_in_ms, 0, longest),
      require_whole(nth, 'timeout_ms', x.timeout_ms, 0, longest), require_whole(nth, 'attempts', x.attempts, 1, 1000);
  end if;
  if x.options is not null and coalesce(x.expires_in_ms, x.timeout_ms, x.attempts) is not null then
    perform refuse(nth, 'options', 'options cannot be given together with expires_in_ms, timeout_ms or attempts',
      'options are for client libraries alone.');
  end if;
  if x.run_at is not null then
    due_ms := instant_of(nth, x.run_at);
    if x.delay_ms is not null then
      perform refuse(nth, 'delay_ms', 'delay_ms and run_at cannot be given together', 'Give either.');
    end if;
  else
    due_ms := floor(extract(epoch from started) * 1000)::bigint + x.delay_ms;
  end if;
  return row('j', x.queue, x.job, null, null, x.key, x.queue || '.0.' || place,
    '{"i":"' || place || '"'
      || coalesce(',"k":' || to_json(x.key)::text, '') || coalesce(',"h":' || to_json(x.headers::text)::text, '')
      || coalesce(',"x":' || trunc(x.expires_in_ms), '') || coalesce(',"n":' || trunc(x.attempts), '')
      || coalesce(',"tm":' || trunc(x.timeout_ms), '') || coalesce(',' || case when x.options is not null then entry_options(nth, x.options) end, '') || '}',
    due_ms, payload, x.lock)::recording;
end
$$;

-- ms since 1970 of an instant as run_at gives it: ms, or a text of ISO 8601 that says its time zone.
create function :"schema".instant_of(nth integer, run_at json) returns bigint
language plpgsql stable
as $$
declare
  given text := run_at #>> '{}';
begin
  if json_typeof(run_at) = 'number' then
    perform require_whole(nth, 'run_at', given::numeric, -8640000000000000, 8640000000000000);
    return given::numeric;
  end if;
  if json_typeof(run_at) <> 'string' or given !~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)$' then
    perform refuse(nth, 'run_at', 'run_at must be an instant like 2026-01-31T08:00:00Z, or milliseconds since 1970; ' || found(given),
      'Say the time zone: Z, or an offset like +01:00.');
  end if;
  return floor(extract(epoch from given::timestamptz) * 1000);
end
$$;

-- Everything that a request asks for, checked before the first row is written.
create function :"schema".read_request(request text, started timestamptz, max_bytes integer) returns :"schema".recording[]
language plpgsql volatile
as $$
declare
  input json;
  items json[];
  item json;
  nth integer;
  recordings :"schema".recording[] := '{}';
  field text;
  found_type text;
  fields jsonb;
begin
  input := request;
  if json_typeof(input) is distinct from 'array' and json_typeof(input) is distinct from 'object' then
    perform refuse(null, 'request', 'expected a JSON object or a list of them; found ' || coalesce('a ' || json_typeof(input), 'null'), null);
  end if;
  if json_typeof(input) = 'object' then
    fields := case when input -> 'job' is null then event_fields() else job_fields() end;
    perform refuse_field(null, strange.field, strange.found_type, fields) from strange_fields(input, fields) strange;
    return array[case when input -> 'job' is null
      then read_event(null, input, started, max_bytes) else read_job(null, input, started, max_bytes) end];
  end if;
  items := array(select json_array_elements(input));
  -- One query for all of them: one for each would cost more than everything else.
  select each.nth - 1, strange.field, strange.found_type, each.fields into nth, field, found_type, fields
  from (
    select of_list.nth, value, case when value -> 'job' is null then event_fields() else job_fields() end as fields
    from unnest(items) with ordinality of_list (value, nth)
    where json_typeof(value) = 'object'
    offset 0
  ) each, strange_fields(value, each.fields) strange
  limit 1;
  if found then
    perform refuse_field(nth, field, found_type, fields);
  end if;
  nth := -1;
  foreach item in array items loop
    nth := nth + 1;
    if json_typeof(item) <> 'object' then
      perform refuse(nth, 'request', 'expected a JSON object; found a ' || json_typeof(item), 'Give a list of objects.');
    elsif item -> 'job' is null then
      recordings := recordings || read_event(nth, item, started, max_bytes);
    else
      recordings := recordings || read_job(nth, item, started, max_bytes);
    end if;
  end loop;
  return recordings;
exception
  -- Nothing has been written: this block costs no transaction id.
  when data_exception then
    get stacked diagnostics field = pg_exception_detail;
    perform refuse(nth, 'request', 'PostgreSQL cannot read the request: ' || concat_ws('. ', sqlerrm, nullif(field, '')),
      'It must be JSON without the character U+0000 and without half surrogate pairs.');
end
$$;

-- Records events and jobs in the transaction of the caller: they are relayed if and only if it commits.
-- request: a JSON object, or a list of them, each an event or a job:
--   { topic, event_type, key, event_id, source, site, doctype, docname, action, user, data, prev_data, request_id, headers, lock }
--     topic and event_type are needed. key: events of one key are delivered in order; default site:doctype:docname where there is a docname.
--     user, request_id and site default to the settings moca.user, moca.request_id and moca.site of the transaction.
--   { job, queue, payload, key, headers, delay_ms, run_at, expires_in_ms, attempts, timeout_ms, options, lock }
--     job and payload are needed; queue is `default` unless given. options: of the entry, for client libraries alone.
--   lock: true takes a lock on the key until the transaction ends; needed only by who records before writing the row.
-- Answer: the id (uuid of an event, job id of a job), or a JSON list of them in the order of the request.
-- Errors: MO001, with a hint. Order per key is the order of seq, which is drawn here: record after writing the row.
create function :"schema".record(request text) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  most integer;
  started timestamptz := clock_timestamp();
  recordings :"schema".recording[];
begin
  -- Before the first seq: what a window begins with relies on it (docs/decisions/0031-windows.md).
  perform pg_current_xact_id();
  select max_bytes into strict most from deployment;
  recordings := read_request(request, started, most);
  insert into outbox (seq, lane, xid, at, kind, topic, type, site, doctype, key, id, options, due_ms, bytes, payload)
  select
    nextval('outbox_seq'), lane_of(coalesce(key, id)), pg_current_xact_id(), started, kind, topic, type, site, doctype, key, id, options,
    due_ms, octet_length(payload) + coalesce(octet_length(options), 0), payload
  from unnest(recordings)
  where lock is not true or key is null or lock_key(key);
  if request !~ '^\s*\[' then
    return recordings[1].id;
  end if;
  return array_to_json(array(select id from unnest(recordings)))::text;
end
$$;

revoke execute on all functions in schema :"schema" from public;
grant execute on function :"schema".record(text) to public;
