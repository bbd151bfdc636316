-- What relays use (docs/decisions/0031-windows.md, 0032-batches-and-leases.md, 0033-subscriptions.md).

-- Where the log stands: enough to know whether there is anything to read.
-- drawn: the last seq that was drawn, read before the snapshot is taken; high: the same, read after it, so that what the snapshot sees
-- has no higher one. life: another one means that the server crashed in between.
-- Relies on read committed: in other isolation levels the snapshot is older than the statement.
create function :"schema".look(out life uuid, out drawn bigint, out snapshot pg_snapshot, out high bigint, out at timestamptz)
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'MO002',
      message = format('A relay needs the isolation level read committed; found %s', current_setting('transaction_isolation')),
      hint = 'Set default_transaction_isolation of the relay''s role to read committed.';
  end if;
  select id into life from server_life;
  if not found then
    insert into server_life default values on conflict do nothing;
    select id into strict life from server_life;
  end if;
  drawn := last_drawn();
  select pg_current_snapshot() into snapshot;
  -- Not before the last one that the snapshot sees; a later one does no harm.
  select last_value into high from outbox_seq;
  at := clock_timestamp();
end
$$;

-- The last seq that was drawn, or the one before the next where the sequence has just begun or moved on. Never a later one, on which all
-- that begins after an anchor relies. The table of a sequence does not do: whoever draws writes down a value that is 32 ahead for as long as
-- the log of the server takes, and then the drawn one, both into a page that readers of tables do not lock. The function locks it.
create function :"schema".last_drawn() returns bigint
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  before_first bigint;
  drawn bigint;
begin
  loop
    -- Read first: where the function then says that nothing was drawn, nothing had been drawn here.
    select case when not is_called then last_value - 1 end into before_first from outbox_seq;
    drawn := coalesce(pg_sequence_last_value('outbox_seq'::regclass), before_first);
    -- It moved on in between.
    exit when drawn is not null;
  end loop;
  return drawn;
end
$$;

-- A transaction id, and a seq that every transaction with a higher id draws above: the sequence is read before the id is assigned, and
-- whoever records has an id before drawing. A snapshot's xmax does not say as much: it is one more than the highest id that has *ended*,
-- and transactions with higher ones may have drawn long before.
create function :"schema".anchor(out low bigint, out xid xid8)
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
begin
  low := last_drawn();
  select pg_current_xact_id() into xid;
end
$$;

-- Rows of windows whose transactions are not below the xmax of the window's beginning, in order, as many as a batch holds. One window per
-- lane: above = low of `from`, or what the last batch came to; high = seq of `to`; xmax of `from`; seen = snapshot of `to`.
-- Reads the primary key (lane, seq) in its order and stops. The settings keep the planner from anything else: by its estimates it would
-- rather read and sort the whole backlog, for each batch anew.
create function :"schema".read_begun(
  lanes smallint[], above bigint[], high bigint[], xmax xid8[], seen pg_snapshot[], most_rows bigint, most_bytes bigint
) returns table (
  seq bigint, lane smallint, xid xid8, kind "char", topic text, type text, site text, doctype text, key text, id text, options text, due_ms bigint,
  bytes integer, payload text
)
language plpgsql stable
set search_path = pg_catalog, :"schema", pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
-- A plan that must do what is switched off looks so expensive that it would be compiled first, for each of these calls anew.
set jit = off
set work_mem = '64MB'
as $$
#variable_conflict use_column
begin
  return query
  select
    part.seq, part.lane, part.xid, part.kind, part.topic, part.type, part.site, part.doctype, part.key, part.id, part.options, part.due_ms,
    part.bytes, part.payload
  from unnest(lanes, above, high, xmax, seen) as w (of_lane, from_seq, to_seq, least_xid, snapshot)
  cross join lateral (
    select *, sum(first.bytes) over (order by first.seq) as bytes_so_far
    from (
      select o.*
      from outbox o
      where o.lane = w.of_lane and o.seq > w.from_seq and o.seq <= w.to_seq
        -- is true: not for the other index.
        and (o.xid >= w.least_xid) is true and pg_visible_in_snapshot(o.xid, w.snapshot)
      order by o.seq
      limit most_rows
    ) first
  ) part
  where part.bytes_so_far - part.bytes < most_bytes;
end
$$;

-- Rows of transactions that were in progress at a window's beginning and had ended at its end, in order. One line per lane and transaction:
-- what of them is there at all was committed. Reads the index (lane, xid, seq) in its order.
create function :"schema".read_late(
  lanes smallint[], above bigint[], upto bigint[], xids xid8[], most_rows bigint, most_bytes bigint
) returns table (
  seq bigint, lane smallint, xid xid8, kind "char", topic text, type text, site text, doctype text, key text, id text, options text, due_ms bigint,
  bytes integer, payload text
)
language plpgsql stable
set search_path = pg_catalog, :"schema", pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
-- A plan that must do what is switched off looks so expensive that it would be compiled first, for each of these calls anew.
set jit = off
set work_mem = '64MB'
as $$
#variable_conflict use_column
begin
  return query
  select
    part.seq, part.lane, part.xid, part.kind, part.topic, part.type, part.site, part.doctype, part.key, part.id, part.options, part.due_ms,
    part.bytes, part.payload
  from unnest(lanes, above, upto, xids) as w (of_lane, from_seq, to_seq, late)
  cross join lateral (
    select *, sum(first.bytes) over (order by first.seq) as bytes_so_far
    from (
      select o.*
      from outbox o
      where o.lane = w.of_lane and o.xid = w.late and o.seq > w.from_seq and o.seq <= w.to_seq
      order by o.seq
      limit most_rows
    ) first
  ) part
  where part.bytes_so_far - part.bytes < most_bytes;
end
$$;

-- The version of the set of subscriptions: grows with every change.
create function :"schema".subscription_version() returns bigint
language sql stable
set search_path = pg_catalog, :"schema", pg_temp
as $$ select coalesce(max(greatest(from_version, to_version)), 0) from subscription $$;

-- Writes down what is about to be sent, for all lanes of a pass: all of it, or nothing.
-- request: { relay, subscriptions: version, lanes: [{ sink, lane, epoch }] (all that it touches),
--   tick: { snapshot, low, high } or null,
--   batches: [{ sink, lane, n, epoch, from_tick, to_tick (null = the new tick), after_seq, upto_seq, ends_window, rows, digest (hex), unparked_key, catch_up }],
--   acks: [{ sink, lane, n }],
--   parked_keys: [{ sink, lane, key, reason, error, first_seq }], parked: [{ sink, lane, seq, key, n }],
--   refused_again: [{ sink, lane, key, reason, error, first_seq }] (a wish that could not be fulfilled),
--   leaving: [{ sink, lane, key, from_seq, upto_seq, n }] (parked rows that leave: in batch n, or with 0 for good),
--   joins: [{ name, since, lane, joined_n }] }
--   From acks on, lists that are empty are left out: where all are, as mostly, one look at the request says so.
-- Answer: { "tick": id or null, "low": seq, "xid": id (an anchor, see there) }, or, with nothing written: { "refused": "subscriptions" } when the set has another version,
--   { "refused": "lease", "lanes": [{ sink, lane }] } when a lane is another relay's.
-- Raises unique_violation when another owner wrote the same batch: read the positions again.
create function :"schema".intend(request jsonb) returns json
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  new_tick bigint;
  version bigint;
  lost json;
  -- Before anything else: the transaction must not have an id yet.
  fresh record := anchor();
begin
  -- What is covered by the intent is on the disk when it is: an application may have asked for less.
  set local synchronous_commit = on;
  -- With subscribe: a batch intended before is seen by the new subscription's snapshot, one intended after knows the subscription.
  perform pg_advisory_xact_lock_shared(subscription_lock());
  select subscription_version(), (
    select json_agg(json_build_object('sink', t.sink, 'lane', t.lane))
    from jsonb_to_recordset(request -> 'lanes') as t (sink text, lane smallint, epoch bigint)
    where not exists (
      select from lease l where l.sink = t.sink and l.lane = t.lane and l.epoch = t.epoch and l.relay = request ->> 'relay')
  ) into version, lost;
  if version <> (request ->> 'subscriptions')::bigint then
    return json_build_object('refused', 'subscriptions');
  end if;
  if lost is not null then
    return json_build_object('refused', 'lease', 'lanes', lost);
  end if;

  if jsonb_typeof(request -> 'tick') = 'object' then
    insert into tick (snapshot, low, high)
    values ((request #>> '{tick,snapshot}')::pg_snapshot, (request #>> '{tick,low}')::bigint, (request #>> '{tick,high}')::bigint)
    returning id into new_tick;
  end if;
  insert into outbox_batch (
    sink, lane, n, epoch, from_tick, to_tick, after_seq, upto_seq, ends_window, rows, digest, subscriptions, unparked_key, catch_up)
  select
    sink, lane, n, epoch, from_tick, coalesce(to_tick, new_tick), after_seq, upto_seq, ends_window, rows, decode(digest, 'hex'),
    version, unparked_key, catch_up
  from jsonb_to_recordset(request -> 'batches') as b (
    sink text, lane smallint, n bigint, epoch bigint, from_tick bigint, to_tick bigint, after_seq bigint, upto_seq bigint,
    ends_window boolean, rows integer, digest text, unparked_key text, catch_up text);
  -- Statements that have nothing to do are not even planned.
  if not request ?| array['acks', 'parked_keys', 'parked', 'refused_again', 'leaving', 'joins'] then
    return json_build_object('tick', new_tick, 'low', fresh.low, 'xid', fresh.xid::text);
  end if;
  insert into outbox_ack (sink, lane, n)
  select sink, lane, n from jsonb_to_recordset(request -> 'acks') as a (sink text, lane smallint, n bigint)
  on conflict do nothing;
  if jsonb_array_length(request -> 'parked') > 0 then
    insert into parked_key (sink, lane, key, reason, error, first_seq)
    select sink, lane, key, reason, error, first_seq
    from jsonb_to_recordset(request -> 'parked_keys') as k (sink text, lane smallint, key text, reason text, error text, first_seq bigint);
    insert into parked (sink, lane, seq, key, n)
    select sink, lane, seq, key, n from jsonb_to_recordset(request -> 'parked') as p (sink text, lane smallint, seq bigint, key text, n bigint);
  end if;
  if jsonb_array_length(request -> 'refused_again') > 0 then
    update parked_key k set reason = r.reason, error = r.error, first_seq = r.first_seq, wish = null
    from jsonb_to_recordset(request -> 'refused_again') as r (sink text, lane smallint, key text, reason text, error text, first_seq bigint)
    where k.sink = r.sink and k.lane = r.lane and k.key = r.key and k.freed_at is null;
  end if;
  if jsonb_array_length(request -> 'leaving') > 0 then
    update parked p set left_in_n = g.n
    from jsonb_to_recordset(request -> 'leaving') as g (sink text, lane smallint, key text, from_seq bigint, upto_seq bigint, n bigint)
    where p.sink = g.sink and p.lane = g.lane and p.key = g.key and p.seq between g.from_seq and g.upto_seq and p.left_in_n is null;
    update parked_key k set freed_at = clock_timestamp()
    from jsonb_to_recordset(request -> 'leaving') as g (sink text, lane smallint, key text)
    where k.sink = g.sink and k.lane = g.lane and k.key = g.key and k.freed_at is null
      and not exists (
        select from parked p where p.sink = k.sink and p.lane = k.lane and p.key = k.key and p.left_in_n is null);
  end if;
  if jsonb_array_length(request -> 'joins') > 0 then
    insert into subscription_lane (name, since, lane, joined_n)
    select name, since, lane, joined_n from jsonb_to_recordset(request -> 'joins') as j (name text, since bigint, lane smallint, joined_n bigint);
  end if;
  return json_build_object('tick', new_tick, 'low', fresh.low, 'xid', fresh.xid::text);
end
$$;

create function :"schema".subscription_lock() returns bigint
language sql immutable parallel safe
as $$ select hashtextextended('moca.subscription', 7446126) $$;

-- Registers a subscription, or changes what it asks for. Where it starts is decided once, when its name is registered first.
-- request: { name, definition, start: "now" | "beginning" | an instant, most: subscriptions }
-- Answer: { "status": "registered" | "changed" | "unchanged" | "full", "version": the set's }
create function :"schema".subscribe(request json) returns json
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  given_name text := request ->> 'name';
  given_definition jsonb := request -> 'definition';
  start text := request ->> 'start';
  present subscription;
  next_version bigint;
begin
  -- Most calls change nothing, and must not wait for relays nor let them wait.
  select * into present from subscription where name = given_name and to_version is null;
  if found and present.definition = given_definition then
    return json_build_object('status', 'unchanged', 'version', subscription_version());
  end if;
  perform pg_advisory_xact_lock(subscription_lock());
  -- Looked at again, now that nobody else changes it; each statement sees what was committed before it.
  select * into present from subscription where name = given_name and to_version is null;
  if found and present.definition = given_definition then
    return json_build_object('status', 'unchanged', 'version', subscription_version());
  end if;
  next_version := subscription_version() + 1;
  if present.name is not null then
    update subscription set to_version = next_version where name = given_name and to_version is null;
    insert into subscription (name, from_version, since, definition, start_snapshot, start_high, past_tick)
    values (given_name, next_version, present.since, given_definition, present.start_snapshot, present.start_high, present.past_tick);
    return json_build_object('status', 'changed', 'version', next_version);
  end if;
  if (select count(*) from subscription where to_version is null) >= (request ->> 'most')::integer then
    return json_build_object('status', 'full', 'version', next_version - 1);
  end if;
  insert into subscription (name, from_version, since, definition, start_snapshot, start_high, past_tick)
  select given_name, next_version, next_version, given_definition,
    case when start = 'now' then pg_current_snapshot() end,
    -- Read while the statement runs, after its snapshot was taken. A value ahead of what was drawn could come to stand behind a rebase.
    case when start = 'now' then last_drawn() end,
    case when start not in ('now', 'beginning') then (select max(id) from tick where tick.at <= start::timestamptz) end;
  return json_build_object('status', 'registered', 'version', next_version);
end
$$;

-- Ends a subscription: batches intended from now on do not reach it. Answer: whether there was one.
create function :"schema".unsubscribe(given_name text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
begin
  perform pg_advisory_xact_lock(subscription_lock());
  update subscription set to_version = subscription_version() + 1 where name = given_name and to_version is null;
  return found;
end
$$;

-- Says that a relay is alive until `lease_ms` from now, by the server's clock, as long as this session lives.
create function :"schema".renew_relay(given_id text, given_host text, given_pid integer, lease_ms integer) returns void
language sql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
  insert into relay (id, alive_until, host, pid, backend_pid, backend_start)
  select given_id, clock_timestamp() + lease_ms * interval '1 ms', given_host, given_pid, a.pid, a.backend_start
  from pg_stat_get_activity(pg_backend_pid()) a
  on conflict (id) do update set
    alive_until = excluded.alive_until, backend_pid = excluded.backend_pid, backend_start = excluded.backend_start;
  -- What killed processes left.
  delete from relay where alive_until < clock_timestamp() - interval '1 day';
$$;

-- Takes lanes of a sink that nobody alive owns, as many as are this relay's share, and gives up what is above it.
-- give_up: lanes that it has nothing under way for, and may be asked to give up.
-- Answer: [{ lane, epoch }], all that it owns now. Null: the log has another id than the relay knows (`moca outbox rebase`), and it owns
-- nothing.
create function :"schema".share_lanes(given_relay text, given_sink text, give_up smallint[], given_log uuid) returns json
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  alive integer;
  share integer;
  owned integer;
begin
  insert into lease (sink, lane) select given_sink, lane from generate_series(0, 15) lane on conflict do nothing;
  select count(*) into alive from relay r where is_alive(r);
  share := ceil(16.0 / greatest(alive, 1));
  select count(*) into owned from lease where sink = given_sink and relay = given_relay;
  if owned > share then
    update lease set relay = null, since = clock_timestamp()
    where sink = given_sink and relay = given_relay and lane in (select unnest(give_up) limit owned - share);
  elsif owned < share then
    update lease set relay = given_relay, epoch = epoch + 1, since = clock_timestamp()
    where sink = given_sink and lane in (
      select lane from lease l
      where sink = given_sink and not exists (
        select from relay r where r.id = l.relay and (is_alive(r) or r.id = given_relay))
      order by lane limit share - owned
      for update skip locked);
    -- What the owner before found is looked for anew.
    delete from standstill s using lease l
    where s.sink = given_sink and l.sink = s.sink and l.lane = s.lane and l.relay = given_relay and l.epoch > s.epoch;
  end if;
  -- After the lanes were taken: a rebase that comes later waits for these rows and takes them away again.
  if not exists (select from deployment where log_id = given_log) then
    update lease set relay = null where sink = given_sink and relay = given_relay;
    return null;
  end if;
  return (
    select coalesce(json_agg(json_build_object('lane', lane, 'epoch', epoch) order by lane), '[]')
    from lease where sink = given_sink and relay = given_relay);
end
$$;

-- Writes down that a lane stands still, or, without a reason, that it goes on. Only its owner may.
create function :"schema".note_standstill(
  given_relay text, given_sink text, given_lane smallint, given_epoch bigint, given_reason text, given_found bigint, given_expected bigint
) returns void
language sql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
  delete from standstill s
  where s.sink = given_sink and s.lane = given_lane and given_reason is null
    and exists (select from lease l where l.sink = given_sink and l.lane = given_lane and l.relay = given_relay and l.epoch = given_epoch);
  insert into standstill (sink, lane, epoch, reason, found, expected)
  select l.sink, l.lane, l.epoch, given_reason, given_found, given_expected
  from lease l
  where given_reason is not null and l.sink = given_sink and l.lane = given_lane and l.relay = given_relay and l.epoch = given_epoch
  on conflict (sink, lane) do update set
    epoch = excluded.epoch, reason = excluded.reason, found = excluded.found, expected = excluded.expected,
    since = case when standstill.reason = excluded.reason then standstill.since else excluded.since end;
$$;

-- Lets go of everything, at once: the relay stops.
create function :"schema".leave(given_relay text) returns void
language sql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
  update lease set relay = null, since = clock_timestamp() where relay = given_relay;
  delete from relay where id = given_relay;
$$;

-- Accepts this database as the truth: ends the life of the log and begins another (docs/decisions/0039-rebase.md). Takes all lanes, as a relay
-- named rebase that is alive for a minute, so that nobody sends anything until the sinks know of it.
-- request: { by, epochs: [{ sink, lane, epoch }] (those that sinks know) }
-- Answer: { log_id, floor }
create function :"schema".rebase(request json) returns json
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  floor bigint;
  new_id uuid := gen_random_uuid();
begin
  -- Waits until everybody who has recorded has ended, and lets nobody record meanwhile: a seq is drawn under the lock that an insert takes.
  -- So what is there is committed, and what comes has a higher seq.
  set local lock_timeout = '20s';
  lock table outbox in share row exclusive mode;
  insert into relay (id, alive_until, host, pid) values ('rebase', clock_timestamp() + interval '1 minute', '', 0)
  on conflict (id) do update set alive_until = excluded.alive_until;
  insert into lease (sink, lane)
  select sink, lane from json_to_recordset(request -> 'epochs') as e (sink text, lane smallint, epoch bigint)
  on conflict do nothing;
  update lease l set relay = 'rebase', since = clock_timestamp(), epoch = 1 + greatest(l.epoch, (
    select e.epoch from json_to_recordset(request -> 'epochs') as e (sink text, lane smallint, epoch bigint)
    where e.sink = l.sink and e.lane = l.lane));
  -- Above everything that this log, or one that it was copied from without its sequence, ever drew; no tick stands there.
  select 1 + greatest(
    last_drawn(), (select max(high) from tick), (select max(floor_seq) from rebase),
    (select max(o.seq) from generate_series(0, 15) n cross join lateral (
      select seq from outbox where lane = n order by seq desc limit 1) o)) into floor;
  perform setval('outbox_seq', floor, true);
  insert into rebase (floor_seq, log_id, system_identifier, wished_by)
  select floor, log_id, system_identifier, request ->> 'by' from deployment;
  update deployment set log_id = new_id, system_identifier = (pg_control_system()).system_identifier;
  delete from server_life;
  delete from standstill;
  update outbox_partition set
    known_xid = case when known_xid is not null then pg_current_xact_id() end,
    closed_xid = case when closed_xid is not null then pg_current_xact_id() end;
  return json_build_object('log_id', new_id, 'floor', floor);
end
$$;

-- What keeps a closed partition from being dropped. Empty: nothing does.
-- Answer: lines { sink, lane, reason }: unrelayed (a row that a lane has not left behind), catching up (a subscription that begins in the
-- past has not come to the lane's present), parked (a row that waits), open (a
-- transaction that may still write to it), unknown (nobody has ever relayed: no sink is known).
create function :"schema".needs_partition(given integer) returns table (sink text, lane smallint, reason text)
language plpgsql stable
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  width constant bigint := 100000000000;
  first_seq constant bigint := given * width;
  end_seq constant bigint := (given + 1) * width;
begin
  if not exists (
    select from outbox_partition
    where number = given and closed_xid < pg_snapshot_xmin(pg_current_snapshot())) then
    return query select null::text, null::smallint, 'open';
    return;
  end if;
  if not exists (select from lease) then
    return query select null::text, null::smallint, 'unknown';
    return;
  end if;
  return query
  select l.sink, l.lane, 'unrelayed'
  from lease l
  left join lateral (
    -- An intended batch that is not known to have been taken must be read again.
    select case
      when b.ends_window and (
        exists (select from outbox_ack a where a.sink = b.sink and a.lane = b.lane and a.n = b.n)
        or exists (select from outbox_batch c where c.sink = b.sink and c.lane = b.lane and c.n > b.n))
      then b.to_tick else b.from_tick end as tick
    from outbox_batch b where b.sink = l.sink and b.lane = l.lane and b.catch_up is null order by b.n desc limit 1
  ) last on true
  left join tick t on t.id = last.tick
  -- Not seen by the tick that the lane's window begins with: the lane may still send it, or send it again.
  where exists (
    select from outbox o
    where o.lane = l.lane and o.seq >= first_seq and o.seq < end_seq
      and (t.snapshot is null or o.seq > t.high or (
        o.xid >= pg_snapshot_xmin(t.snapshot) and not pg_visible_in_snapshot(o.xid, t.snapshot)
        and o.seq > coalesce((select max(floor_seq) from rebase where floor_seq <= t.high), 0))));
  -- A subscription that begins in the past wants all of it.
  return query
  select distinct on (l.lane) l.sink, l.lane, 'catching up'
  from lease l, subscription s
  where l.sink = 'queue' and s.to_version is null and s.start_snapshot is null and not exists (
    select from subscription_lane j where j.name = s.name and j.since = s.since and j.lane = l.lane);
  return query
  select distinct p.sink, p.lane, 'parked' from parked p where p.seq >= first_seq and p.seq < end_seq and p.left_in_n is null;
end
$$;

revoke execute on all functions in schema :"schema" from public;
grant execute on function :"schema".record(text) to public;
