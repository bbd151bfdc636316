-- The log, its windows and batches (docs/decisions/0030 to 0036). :"schema" stands for the name of the schema.

-- One row: whose log this is.
create table :"schema".deployment (
  is_only boolean primary key default true check (is_only),
  -- Sinks tell by it that a database is another one, or was put back. `moca outbox rebase` changes it.
  log_id uuid not null default gen_random_uuid(),
  -- The Redis namespace that this log feeds: another one must not relay it.
  namespace text not null,
  -- Of the cluster whose transaction ids stand in the log. Another one (a dump that was restored, an upgrade by copy) begins to count
  -- anew: nothing is relayed until `moca outbox rebase`.
  system_identifier bigint not null default (pg_control_system()).system_identifier,
  -- What record and the capture triggers refuse above, in bytes of the payload or envelope.
  max_bytes integer not null,
  created_at timestamptz not null default clock_timestamp()
);

-- Each time that the present database was accepted as the truth (`moca outbox rebase`): a life of the log ended, and another one began.
create table :"schema".rebase (
  -- Rows up to it were recorded before, and had all been committed; later ones lie above it. Transaction ids of the two have nothing to do
  -- with each other: the database may be another one.
  floor_seq bigint primary key,
  -- The log's until then.
  log_id uuid not null,
  system_identifier bigint not null,
  wished_by text,
  at timestamptz not null default clock_timestamp()
);

-- CACHE 1: a session that kept numbers to itself would use one that is lower than that of a later transaction of the same key.
create sequence :"schema".outbox_seq as bigint minvalue 1 cache 1;

-- Insert-only. Written by functions of this schema alone: they draw xid before seq, which windows rely on.
create table :"schema".outbox (
  seq bigint not null,
  lane smallint not null,
  xid xid8 not null,
  at timestamptz not null,
  -- e = event, j = job
  kind "char" not null,
  -- Of a job: its queue.
  topic text not null,
  type text not null,
  site text,
  doctype text,
  -- Null: no order is asked for.
  key text,
  id text not null,
  -- Event: headers, or null for none. Job: the options of its entry. A JSON object.
  options text,
  -- Job: not before this instant, ms since 1970.
  due_ms bigint,
  -- Of payload and options as they are sent: what a batch is cut by, without reading them.
  bytes integer not null,
  -- Event: the envelope. Job: its payload. JSON.
  payload text not null,
  -- What is new, in order.
  primary key (lane, seq)
) partition by range (seq);

-- What commits late: the rows of one transaction, in order.
create index outbox_late on :"schema".outbox (lane, xid, seq);

-- The partitions. Number k holds the seqs from k * 10^11 on.
create table :"schema".outbox_partition (
  number integer primary key,
  created_at timestamptz not null default clock_timestamp(),
  -- Transactions after this one know it. Null: it was attached just now, and somebody looks again (move_on).
  known_xid xid8,
  -- When the sequence moved on to the next one. Null: not yet.
  closed_at timestamptz,
  -- Transactions after this one cannot have drawn a seq of it. Null: it was closed just now.
  closed_xid xid8
);

-- Makes the next partition and attaches it: neither needs a lock that a writer of the log would wait for.
create function :"schema".add_partition() returns integer
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  added integer;
  -- Quoted. What is created without a schema would go into pg_catalog, the first of the path.
  home constant text := (select relnamespace::regnamespace from pg_class where oid = 'outbox'::regclass);
  width constant bigint := 100000000000;
begin
  perform pg_advisory_xact_lock(hashtextextended('moca.partition', 7446126));
  select coalesce(max(number) + 1, 0) into added from outbox_partition;
  execute format('create table %s.outbox_%s (like outbox including indexes)', home, added);
  execute format('alter table outbox attach partition outbox_%s for values from (%s) to (%s)', added, added * width, (added + 1) * width);
  insert into outbox_partition (number) values (added);
  return added;
end
$$;

-- Lets the sequence go on in the next partition, when the present one is at least so old, and every transaction knows the next.
-- A transaction that began before it was attached would find no partition for its row.
-- Answer: moved, early, or waiting (for transactions, or for a partition).
create function :"schema".move_on(min_age interval) returns text
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  present integer;
  began timestamptz;
  known xid8;
  width constant bigint := 100000000000;
begin
  perform pg_advisory_xact_lock(hashtextextended('moca.partition', 7446126));
  -- What is seen here has ended, and this transaction has no id yet: those with a higher one begin afterwards. A snapshot's xmax would
  -- not do: transactions above it may have begun before.
  if exists (select from outbox_partition where known_xid is null or (closed_at is not null and closed_xid is null)) then
    update outbox_partition set known_xid = coalesce(known_xid, pg_current_xact_id()), closed_xid = case when closed_at is not null then coalesce(closed_xid, pg_current_xact_id()) end;
    return 'waiting';
  end if;
  select last_value / width into present from outbox_seq;
  select coalesce((select closed_at from outbox_partition where number = present - 1), (select min(created_at) from outbox_partition)) into began;
  if clock_timestamp() - began < min_age then return 'early'; end if;
  select known_xid into known from outbox_partition where number = present + 1;
  if known is null or known >= pg_snapshot_xmin(pg_current_snapshot()) then return 'waiting'; end if;
  perform setval('outbox_seq', (present + 1) * width, false);
  update outbox_partition set closed_at = clock_timestamp() where number = present;
  return 'moved';
end
$$;

-- Snapshots between which windows lie, written down with the first batch that needs one.
create table :"schema".tick (
  id bigint generated always as identity primary key,
  snapshot pg_snapshot not null,
  -- Rows of transactions that are not below the snapshot's xmax have a higher seq.
  low bigint not null,
  -- Rows that the snapshot sees have no higher seq.
  high bigint not null,
  at timestamptz not null default clock_timestamp()
);

-- A crash of the server empties an unlogged table; a standby does not have its rows. Snapshots that were not written down must not be
-- compared across that: transaction ids that no record had reached the disk are issued again.
create unlogged table :"schema".server_life (
  is_only boolean primary key default true check (is_only),
  id uuid not null default gen_random_uuid()
);

-- Processes that relay. The row is renewed in place: a few updates a minute.
create table :"schema".relay (
  id text primary key,
  started_at timestamptz not null default clock_timestamp(),
  alive_until timestamptz not null,
  host text not null,
  pid integer not null,
  -- Its session in this server. Null: not known.
  backend_pid integer,
  backend_start timestamptz
) with (fillfactor = 50);

-- A relay is alive when it said so less than a lease ago and its session is still there: that of a process that was killed ends at once.
-- Of another role's session no start can be seen; then the lease alone decides.
create function :"schema".is_alive(r :"schema".relay) returns boolean
language sql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
  select r.alive_until > clock_timestamp() and (r.backend_pid is null or exists (
    select from pg_stat_get_activity(r.backend_pid) a where a.backend_start is null or a.backend_start = r.backend_start))
$$;

-- Who owns a lane of a sink. Written when it changes hands.
create table :"schema".lease (
  sink text not null,
  lane smallint not null,
  epoch bigint not null default 0,
  relay text,
  since timestamptz not null default clock_timestamp(),
  primary key (sink, lane)
) with (fillfactor = 50);

-- Intents. Insert-only. Batch n + 1 says that n was taken.
create table :"schema".outbox_batch (
  sink text not null,
  lane smallint not null,
  n bigint not null,
  epoch bigint not null,
  -- The window, and what of it: rows with after_seq < seq <= upto_seq, but for those in `parked` with this n.
  from_tick bigint,
  to_tick bigint,
  after_seq bigint not null,
  upto_seq bigint not null,
  -- Whether the window is used up by it.
  ends_window boolean not null,
  -- Rows sent, and a hash over them: so that reading the batch again can be checked.
  rows integer not null,
  digest bytea not null,
  -- Version of the set of subscriptions by which events were fanned out.
  subscriptions bigint not null,
  -- A batch of parked rows of this key, and none of a window: the columns above repeat where the lane stands.
  unparked_key text,
  -- A batch for this subscription alone, `<name>@<since>`, which begins in the past: the window is its own, not the lane's.
  catch_up text,
  at timestamptz not null default clock_timestamp(),
  primary key (sink, lane, n)
);

create index outbox_batch_catch_up on :"schema".outbox_batch (sink, lane, catch_up, n) where catch_up is not null;

-- The last batch of a lane that fell idle was taken. Where there is a later batch, that one says so.
create table :"schema".outbox_ack (
  sink text not null,
  lane smallint not null,
  n bigint not null,
  at timestamptz not null default clock_timestamp(),
  primary key (sink, lane, n)
);

-- Who gets events, as a set with versions: a batch that is sent again is fanned out as it was. Rows are never changed but to end them.
create table :"schema".subscription (
  name text not null,
  -- The set's version with which this row begins to hold, and with which it ends.
  from_version bigint not null,
  to_version bigint,
  -- The version with which the name was registered: rows of one registration share where it starts.
  since bigint not null,
  -- What it asks for and how it is delivered (events/subscription.ts).
  definition jsonb not null,
  -- Rows that this snapshot does not see are the subscription's. Null: it begins in the past, and joins the lanes one by one.
  start_snapshot pg_snapshot,
  -- What that snapshot sees has no higher seq.
  start_high bigint,
  -- Of one that begins in the past: with what this tick does not see. Null: with everything.
  past_tick bigint,
  at timestamptz not null default clock_timestamp(),
  primary key (name, from_version)
);

-- Where a subscription that begins in the past has caught up: the first batch of the queue sink that is fanned out to it, too.
create table :"schema".subscription_lane (
  name text not null,
  since bigint not null,
  lane smallint not null,
  joined_n bigint not null,
  at timestamptz not null default clock_timestamp(),
  primary key (name, since, lane)
);

-- Keys that a sink does not go on with, because of their first event. Kept when they are free again: who wished it, and when.
create table :"schema".parked_key (
  id bigint generated always as identity unique,
  sink text not null,
  lane smallint not null,
  key text not null,
  first_seq bigint not null,
  -- refused = the sink's own word, unreadable = no event or job could be made of the row
  reason text not null,
  error text not null,
  at timestamptz not null default clock_timestamp(),
  -- What an operator wants of it: retry, skip, discard. The lane's owner fulfils it.
  wish text check (wish in ('retry', 'skip', 'discard')),
  wished_by text,
  wished_at timestamptz,
  freed_at timestamptz,
  primary key (sink, lane, key, first_seq)
);

create unique index parked_key_now on :"schema".parked_key (sink, lane, key) where freed_at is null;

-- Rows that batches left out: the first of a parked key, and all behind it.
create table :"schema".parked (
  sink text not null,
  lane smallint not null,
  seq bigint not null,
  key text not null,
  -- The batch that left it out.
  n bigint not null,
  -- The batch in which it left. Null: it waits. Zero: skipped or discarded.
  left_in_n bigint,
  primary key (sink, lane, seq)
);

create index parked_waiting on :"schema".parked (sink, lane, key, seq) where left_in_n is null;

-- Lanes of which an operator wants to be sent again what their sink forgot, however old it is, from a batch on (`moca outbox redrive`).
-- Fulfilled by the lane's owner, which sends nothing that the sink still has.
create table :"schema".redrive (
  id bigint generated always as identity primary key,
  sink text not null,
  lane smallint not null,
  from_n bigint not null,
  wished_by text,
  at timestamptz not null default clock_timestamp(),
  done_at timestamptz
);

-- Lanes that stand still until somebody does something about it, as their owners find them. A row goes when the lane goes on, or when
-- another relay takes it and looks for itself.
create table :"schema".standstill (
  sink text not null,
  lane smallint not null,
  epoch bigint not null,
  -- behind, foreign, forgot: docs/operating-the-outbox.md
  reason text not null,
  -- The sink's number, and ours.
  found bigint not null,
  expected bigint not null,
  since timestamptz not null default clock_timestamp(),
  primary key (sink, lane)
);

-- What was sent again, because a sink had forgotten it.
create table :"schema".resent (
  id bigint generated always as identity primary key,
  sink text not null,
  lane smallint not null,
  from_n bigint not null,
  upto_n bigint not null,
  rows bigint not null,
  at timestamptz not null default clock_timestamp()
);
