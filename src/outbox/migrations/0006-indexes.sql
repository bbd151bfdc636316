-- How far search indexes follow the log (docs/decisions/0059-the-search-sink.md).

-- Who writes to an index: one at a time. Renewed in place, a few times a minute. Not a row of `relay`: lanes are shared among those.
create table :"schema".index_lease (
  index_name text primary key,
  epoch bigint not null default 0,
  -- Null: nobody.
  owner text,
  since timestamptz not null default clock_timestamp(),
  alive_until timestamptz,
  -- The owner's session in this server, as in `relay`.
  backend_pid integer,
  backend_start timestamptz
) with (fillfactor = 50);

-- What is submitted to the index. Insert-only while one owner writes; who takes the index deletes what is not settled. Number 0 says where
-- the index begins.
create table :"schema".index_batch (
  index_name text not null,
  n bigint not null,
  epoch bigint not null,
  -- The window, over all lanes, and what of it: rows with after_seq < seq <= upto_seq.
  from_tick bigint,
  to_tick bigint not null,
  after_seq bigint not null,
  upto_seq bigint not null,
  -- Whether the window is used up by it.
  ends_window boolean not null,
  documents integer not null,
  at timestamptz not null default clock_timestamp(),
  primary key (index_name, n)
);

-- Batches whose every document is in the index, or parked.
create table :"schema".index_settled (
  index_name text not null,
  n bigint not null,
  at timestamptz not null default clock_timestamp(),
  primary key (index_name, n)
);

-- Changes of documents in windows, whose transactions are not below the xmax of the window's beginning: as read_begun, without what the
-- events hold. Of each line (line: which of the given ones) at most so many rows are looked at, whosever they are: those of these doctypes
-- are given, and the last one that was looked at (is_end; without docname where it is not theirs), behind which there may be more.
-- A document's name is what its key says after site and doctype; where somebody recorded it under a key of another form, its envelope does.
create function :"schema".read_begun_changes(
  doctypes text[], lanes smallint[], above bigint[], high bigint[], xmax xid8[], seen pg_snapshot[], most bigint
) returns table (line integer, seq bigint, doctype text, site text, docname text, is_end boolean)
language plpgsql stable
set search_path = pg_catalog, :"schema", pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
#variable_conflict use_column
begin
  return query
  select w.line::integer, part.seq, part.doctype, part.site, part.docname, part.is_end
  from unnest(lanes, above, high, xmax, seen) with ordinality as w (of_lane, from_seq, to_seq, least_xid, snapshot, line)
  cross join lateral (
    select r.seq, r.doctype, r.site, case when r.is_meant then docname_of(r.row) end as docname, r.nth = most as is_end, r.is_meant
    from (
      select
        o as row, o.seq, o.doctype, o.site, row_number() over (order by o.seq) as nth,
        (o.kind = 'e' and o.topic = 'moca.doc.events' and o.doctype = any (doctypes)) is true as is_meant
      from outbox o
      where o.lane = w.of_lane and o.seq > w.from_seq and o.seq <= w.to_seq
        and (o.xid >= w.least_xid) is true and pg_visible_in_snapshot(o.xid, w.snapshot)
      order by o.seq
      limit most
    ) r
  ) part
  where part.is_meant or part.is_end;
end
$$;

-- The same of transactions that were in progress at a window's beginning and had ended at its end: as read_late.
create function :"schema".read_late_changes(
  doctypes text[], lanes smallint[], above bigint[], upto bigint[], xids xid8[], most bigint
) returns table (line integer, seq bigint, doctype text, site text, docname text, is_end boolean)
language plpgsql stable
set search_path = pg_catalog, :"schema", pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
#variable_conflict use_column
begin
  return query
  select w.line::integer, part.seq, part.doctype, part.site, part.docname, part.is_end
  from unnest(lanes, above, upto, xids) with ordinality as w (of_lane, from_seq, to_seq, late, line)
  cross join lateral (
    select r.seq, r.doctype, r.site, case when r.is_meant then docname_of(r.row) end as docname, r.nth = most as is_end, r.is_meant
    from (
      select
        o as row, o.seq, o.doctype, o.site, row_number() over (order by o.seq) as nth,
        (o.kind = 'e' and o.topic = 'moca.doc.events' and o.doctype = any (doctypes)) is true as is_meant
      from outbox o
      where o.lane = w.of_lane and o.xid = w.late and o.seq > w.from_seq and o.seq <= w.to_seq
      order by o.seq
      limit most
    ) r
  ) part
  where part.is_meant or part.is_end;
end
$$;

-- Null: a change of no document that could be named.
create function :"schema".docname_of(o :"schema".outbox) returns text
language sql stable
set search_path = pg_catalog, :"schema", pg_temp
as $$
  select case
    when starts_with(o.key, p.prefix) then substr(o.key, length(p.prefix) + 1)
    else o.payload::json ->> 'docname'
  end
  from (select coalesce(o.site, '') || ':' || o.doctype || ':' as prefix) p
$$;

-- Says where an index begins: with what a tick does not see. Only the first time; later it is where it has come to.
-- tick: { snapshot, low, high }
create function :"schema".begin_index(given_index text, tick json) returns boolean
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
#variable_conflict use_column
declare
  new_tick bigint;
begin
  set local synchronous_commit = on;
  insert into index_lease (index_name) values (given_index) on conflict do nothing;
  perform from index_lease where index_name = given_index for update;
  if exists (select from index_batch where index_name = given_index) then return false; end if;
  insert into tick (snapshot, low, high)
  values ((tick ->> 'snapshot')::pg_snapshot, (tick ->> 'low')::bigint, (tick ->> 'high')::bigint)
  returning id into new_tick;
  insert into index_batch (index_name, n, epoch, to_tick, after_seq, upto_seq, ends_window, documents)
  values (given_index, 0, 0, new_tick, 0, (tick ->> 'high')::bigint, true, 0);
  insert into index_settled (index_name, n) values (given_index, 0);
  return true;
end
$$;

-- Whether the owner said so less than a lease ago, and its session is still there (as is_alive).
create function :"schema".is_held(l :"schema".index_lease) returns boolean
language sql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
  select l.owner is not null and l.alive_until > clock_timestamp() and (l.backend_pid is null or exists (
    select from pg_stat_get_activity(l.backend_pid) a where a.backend_start is null or a.backend_start = l.backend_start))
$$;

-- Takes an index that has begun and that nobody alive owns, for so long. What its owner before had not settled is as if it had never been:
-- it is read again, and the documents with it.
-- Answer: its epoch, or null.
create function :"schema".take_index(given_index text, given_owner text, lease_ms integer) returns bigint
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
#variable_conflict use_column
declare
  taken bigint;
  first_unsettled bigint;
begin
  set local synchronous_commit = on;
  update index_lease l set
    owner = given_owner, epoch = l.epoch + 1, since = clock_timestamp(), alive_until = clock_timestamp() + lease_ms * interval '1 ms',
    backend_pid = a.pid, backend_start = a.backend_start
  from pg_stat_get_activity(pg_backend_pid()) a
  where l.index_name = given_index and not is_held(l)
    and exists (select from index_batch b where b.index_name = given_index)
  returning l.epoch into taken;
  if taken is null then return null; end if;
  select min(b.n) into first_unsettled from index_batch b
  where b.index_name = given_index
    and not exists (select from index_settled s where s.index_name = b.index_name and s.n = b.n);
  -- A later batch may be settled before an earlier one: it is read again with it.
  delete from index_batch where index_name = given_index and n >= first_unsettled;
  delete from index_settled where index_name = given_index and n >= first_unsettled;
  return taken;
end
$$;

-- Says that an owner is alive for so long from now. Answer: whether it still owns the index.
create function :"schema".renew_index(given_index text, given_owner text, given_epoch bigint, lease_ms integer) returns boolean
language sql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
  with renewed as (
    -- The session again: behind a pooler it is another one each time.
    update index_lease l set
      alive_until = clock_timestamp() + lease_ms * interval '1 ms', backend_pid = a.pid, backend_start = a.backend_start
    from pg_stat_get_activity(pg_backend_pid()) a
    where l.index_name = given_index and l.owner = given_owner and l.epoch = given_epoch
    returning 1
  )
  select exists (select from renewed)
$$;

-- Lets go of an index.
create function :"schema".leave_index(given_index text, given_owner text, given_epoch bigint) returns void
language sql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
  update index_lease l set owner = null, since = clock_timestamp()
  where l.index_name = given_index and l.owner = given_owner and l.epoch = given_epoch;
$$;

-- Writes down what is about to be submitted, after the rows of its documents were read: its commit brings to the disk what was read.
-- request: { owner, index_name, epoch, n, tick: { snapshot, low, high } or null, from_tick, to_tick (null = the new tick), after_seq,
--   upto_seq, ends_window, documents }
-- Answer: { "tick": id or null, "low": seq, "xid": id (an anchor, see there) }, or null when the index is another owner's.
create function :"schema".intend_index_batch(request json) returns json
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
#variable_conflict use_column
declare
  new_tick bigint;
  -- Before anything else: the transaction must not have an id yet.
  fresh record := anchor();
begin
  set local synchronous_commit = on;
  -- The lock: nobody may take the index between this look and the commit.
  perform from index_lease l
  where l.index_name = request ->> 'index_name' and l.epoch = (request ->> 'epoch')::bigint and l.owner = request ->> 'owner'
  for share;
  if not found then return null; end if;
  if json_typeof(request -> 'tick') = 'object' then
    insert into tick (snapshot, low, high)
    values ((request #>> '{tick,snapshot}')::pg_snapshot, (request #>> '{tick,low}')::bigint, (request #>> '{tick,high}')::bigint)
    returning id into new_tick;
  end if;
  insert into index_batch (index_name, n, epoch, from_tick, to_tick, after_seq, upto_seq, ends_window, documents)
  select b.index_name, b.n, b.epoch, b.from_tick, coalesce(b.to_tick, new_tick), b.after_seq, b.upto_seq, b.ends_window, b.documents
  from json_to_record(request) as b (
    index_name text, n bigint, epoch bigint, from_tick bigint, to_tick bigint, after_seq bigint, upto_seq bigint, ends_window boolean,
    documents integer);
  return json_build_object('tick', new_tick, 'low', fresh.low, 'xid', fresh.xid::text);
end
$$;

-- Says that a batch is in the index. Answer: whether the index is still this owner's; if not, nothing is written.
create function :"schema".settle_index_batch(given_index text, given_owner text, given_epoch bigint, given_n bigint) returns boolean
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
#variable_conflict use_column
begin
  perform from index_lease l
  where l.index_name = given_index and l.epoch = given_epoch and l.owner = given_owner
  for share;
  if not found then return false; end if;
  insert into index_settled (index_name, n) values (given_index, given_n) on conflict do nothing;
  return true;
end
$$;

-- Indexes that keep a closed partition from being dropped: those whose position may not see all of it. By the position alone, without
-- looking at rows: a position whose snapshot knows that all who could have drawn from the partition had ended sees what is in it.
create function :"schema".indexes_need_partition(given integer) returns setof text
language sql stable
set search_path = pg_catalog, :"schema", pg_temp
as $$
  select distinct b.index_name
  from index_batch b
  -- What a batch that is not settled began with, or what the last one came to.
  join tick t on t.id = case
    when not exists (select from index_settled s where s.index_name = b.index_name and s.n = b.n) then b.from_tick
    when b.ends_window then b.to_tick
    else b.from_tick
  end
  where (
      b.n = (select max(c.n) from index_batch c where c.index_name = b.index_name)
      or not exists (select from index_settled s where s.index_name = b.index_name and s.n = b.n))
    and not coalesce((
      select p.closed_xid < pg_snapshot_xmin(t.snapshot) from outbox_partition p
      -- Ids of an earlier life of the log say nothing here.
      where p.number = given and t.high >= coalesce((select max(floor_seq) from rebase), 0)), false)
$$;

revoke execute on all functions in schema :"schema" from public;
grant execute on function :"schema".record(text) to public;
