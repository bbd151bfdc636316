import { Client } from 'pg'
import { type Child, type ChildOptions, type ParentLink, startChild } from '../child.ts'
import { monotonicMs } from '../clock.ts'
import { playMetronome } from '../queue/metronome.ts'

/** As many connections write at once. */
const writers = 8
/** A transaction changes so many rows that it locks, and records so many events for each. */
const keysPerTransaction = 25
const eventsPerChange = 2
/** In one of so many transactions it is counted how often a row was locked by another writer. */
const countedShare = 20

export interface WriteArgs {
  readonly databaseUrl: string
  /** Written until so many events are committed, or a few more. */
  readonly events: number
  readonly keys: number
}

export interface WriteResult {
  readonly events: number
  readonly transactions: number
  /** How often a writer came to a row that another one had locked, about: counted in a share of the transactions. */
  readonly conflicts: number
  readonly firstAtMs: number
  readonly lastAtMs: number
}

/** Rows that writers lock, and the function by which they write: it locks and raises the rows of its keys, `times` times, then records an event for each raise. */
export async function prepareWriters(databaseUrl: string, keys: number): Promise<void> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    await client.query(`
create table counter (key text collate "C" primary key, value bigint not null default 0) with (fillfactor = 50);
insert into counter (key) select 'k' || n from generate_series(1, ${keys}) n;

-- The index gives the rows in the order of their keys, to all writers alike: no deadlocks.
create function raise_counters(wanted text[], times integer, out keys text[], out ns bigint[])
language plpgsql volatile
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
  with raised as (update counter set value = value + times where key = any (wanted) returning key, value)
  select array_agg(key), array_agg(n) into keys, ns from raised, generate_series(value - times + 1, value) n;
end
$$;

create function write_events(keys text[], times integer, first_i bigint, out events integer, out conflicts integer)
language plpgsql volatile
as $$
declare
  raised text[];
  ns bigint[];
  each_key text;
begin
  -- To count who was in the way takes a statement for each row: done in one transaction of ${countedShare}.
  if random() < 1.0 / ${countedShare} then
    conflicts := 0;
    foreach each_key in array keys loop
      perform from counter where key = each_key for update skip locked;
      if not found then
        conflicts := conflicts + 1;
        perform from counter where key = each_key for update;
      end if;
    end loop;
  end if;
  select * into raised, ns from raise_counters(keys, times);
  events := cardinality(raised);
  perform record_events(raised, ns, first_i);
end
$$;

-- The same for one row and one event.
create function write_event(wanted text, i bigint) returns void
language plpgsql volatile
as $$
declare
  n bigint;
begin
  update counter set value = value + 1 where key = wanted returning value into n;
  perform record_events(array[wanted], array[n], i);
end
$$`)
  } finally {
    await client.end()
  }
}

/** Runs `write` in a process of its own. */
export function writeInChild(args: WriteArgs, options?: ChildOptions): Promise<WriteResult> {
  return startChild(import.meta.url, write, args, options).result()
}

/**
 * Transactions of several connections, as fast as they go, each with rows that it locks and an event for each.
 *
 * @public A child process finds it by its name.
 */
export async function write({ databaseUrl, events, keys }: WriteArgs): Promise<WriteResult> {
  const clients = await openClients(databaseUrl, writers)
  const sum = { events: 0, transactions: 0, conflicts: 0 }
  const firstAtMs = monotonicMs()
  const writeOn = async (client: Client) => {
    while (sum.events < events) {
      const wanted = new Set(Array.from({ length: keysPerTransaction }, () => randomKey(keys)))
      const { rows } = await client.query<{ events: number; conflicts: number | null }>(
        writeStatement([...wanted].toSorted(), eventsPerChange),
      )
      sum.transactions++
      sum.events += rows[0]?.events ?? 0
      sum.conflicts += (rows[0]?.conflicts ?? 0) * countedShare
    }
  }
  await Promise.all(clients.map(writeOn))
  const lastAtMs = monotonicMs()
  await Promise.all(clients.map((client) => client.end()))
  return { ...sum, firstAtMs, lastAtMs }
}

export interface PacedArgs {
  readonly databaseUrl: string
  readonly events: number
  readonly intervalMs: number
  readonly keys: number
}

export interface PacedResult {
  /** When the first transaction should have begun; each of the others one interval after the one before. */
  readonly firstAtMs: number
  /** When the answer to each commit was there. */
  readonly committedAtMs: Float64Array
}

/** Runs `writeAtFixedRate` in a process of its own, which says when it is connected, and waits for a word. */
export function startPacedWriter(args: PacedArgs): Child<PacedResult> {
  return startChild(import.meta.url, writeAtFixedRate, args)
}

/**
 * An open loop: transactions of one event begin at fixed instants, whether earlier ones have ended or not.
 *
 * @public A child process finds it by its name.
 */
export async function writeAtFixedRate(
  { databaseUrl, events, intervalMs, keys }: PacedArgs,
  parent: ParentLink,
): Promise<PacedResult> {
  const idle = await openClients(databaseUrl, 2 * writers)
  const waiting: number[] = []
  const committedAtMs = new Float64Array(events)
  const pending: Promise<void>[] = []
  const clients = [...idle]

  const writeOne = async (client: Client, i: number): Promise<void> => {
    await client.query({ name: 'write', text: 'select write_event($1, $2)', values: [randomKey(keys), i] })
    committedAtMs[i] = monotonicMs()
    const next = waiting.shift()
    if (next === undefined) idle.push(client)
    else await writeOne(client, next)
  }

  parent.send('ready')
  await parent.receive()
  const firstAtMs = monotonicMs() + 300
  await playMetronome({ firstAtMs, intervalMs, beats: events }, (i) => {
    const client = idle.pop()
    if (client) pending.push(writeOne(client, i))
    else waiting.push(i)
  })
  await Promise.all(pending)
  await Promise.all(clients.map((client) => client.end()))
  return { firstAtMs, committedAtMs }
}

/** What was committed: key -> number of its last event. */
export async function readCounters(databaseUrl: string): Promise<ReadonlyMap<string, number>> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  const { rows } = await client.query<{ key: string; value: string }>('select key, value from counter')
  await client.end()
  return new Map(rows.map(({ key, value }) => [key, Number(value)]))
}

/** One statement is one transaction. */
function writeStatement(keys: readonly string[], times: number) {
  return {
    name: 'write',
    text: 'select events, conflicts from write_events($1, $2, 0)',
    values: [keys, times],
  }
}

function randomKey(keys: number): string {
  return `k${1 + Math.floor(Math.random() * keys)}`
}

function openClients(databaseUrl: string, count: number): Promise<Client[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const client = new Client({ connectionString: databaseUrl })
      await client.connect()
      return client
    }),
  )
}
