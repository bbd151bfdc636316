import { setTimeout as wait } from 'node:timers/promises'
import { Client } from 'pg'
import { COUNTRY_CHANGED } from './recorded.ts'

// Damage done to the log of recorded events by a process that is no part of Moca, with plain SQL:
//   node demo/log-fault-process.ts log-row-deleted|events-swapped DATABASE_URL
// Waits for an opportunity, does it, and prints what it did.
//
// What a relay has read cannot be taken away from it any more. So it is held up first, where it is about to write down what it will send;
// what is recorded afterwards has been read by nobody.

const GIVE_UP_MS = 60_000
/** Relays take a server that does not answer for longer than 10 s for a hanging one. */
const LOCK_MS = 3_000
const LOOK_EVERY_MS = 20

type LogRow = { readonly seq: string; readonly id: string; readonly key: string }

const [fault, url] = process.argv.slice(2)
const client = new Client({ connectionString: url ?? '' })
await client.connect()
try {
  console.log(await tryUntilDone(fault === 'log-row-deleted' ? deleteRow : swapRows))
} finally {
  await client.end()
}

/** `above`: what was recorded below may have been read. Undefined: there is no fitting row yet. */
type Damage = (above: string) => Promise<string | undefined>

async function deleteRow(above: string): Promise<string | undefined> {
  const [row] = await freshRows(above)
  if (!row) return undefined
  await client.query('delete from moca.outbox where seq = $1', [row.seq])
  return `row ${row.seq} of the log, event ${row.id} of ${row.key}, was deleted before it was relayed`
}

/** Two neighbours of one key change places. */
async function swapRows(above: string): Promise<string | undefined> {
  const ofKeys = Map.groupBy(await freshRows(above), ({ key }) => key)
  const [first, second] = [...ofKeys.values()].find(({ length }) => length >= 2) ?? []
  if (!first || !second) return undefined
  await client.query(
    `update moca.outbox a set id = b.id, options = b.options, bytes = b.bytes, payload = b.payload, at = b.at
     from moca.outbox b where (a.seq = $1 and b.seq = $2) or (a.seq = $2 and b.seq = $1)`,
    [first.seq, second.seq],
  )
  return `events ${first.id} and ${second.id} of ${first.key} were swapped in rows ${first.seq} and ${second.seq} of the log`
}

async function freshRows(above: string): Promise<LogRow[]> {
  const found = await client.query<LogRow>(
    'select seq, id, key from moca.outbox where seq > $1 and type = $2 order by seq limit 1000',
    [above, COUNTRY_CHANGED],
  )
  return found.rows
}

async function tryUntilDone(damage: Damage): Promise<string> {
  const until = performance.now() + GIVE_UP_MS
  while (performance.now() < until) {
    await client.query('begin')
    const done = await whileHeldUp(damage)
    await client.query(done === undefined ? 'rollback' : 'commit')
    if (done !== undefined) return done
    await wait(LOOK_EVERY_MS * 10)
  }
  throw new Error(`No opportunity for ${fault} within ${GIVE_UP_MS} ms`)
}

async function whileHeldUp(damage: Damage): Promise<string | undefined> {
  const until = performance.now() + LOCK_MS
  const [{ relays } = { relays: 0 }] = await ask<{ relays: number }>(
    `select count(distinct relay)::integer as relays
     from moca.lease join moca.relay on relay.id = lease.relay where alive_until > clock_timestamp()`,
  )
  if (relays === 0) return undefined
  await client.query('lock table moca.lease in access exclusive mode')
  let above: string | undefined
  while (performance.now() < until) {
    above ??= await lastRead(relays)
    const done = above === undefined ? undefined : await damage(above)
    if (done !== undefined) return done
    await wait(LOOK_EVERY_MS)
  }
  return undefined
}

/** Once all relays wait for the lock: nobody has read what comes after this row. */
async function lastRead(relays: number): Promise<string | undefined> {
  const [row] = await ask<{ waiting: number; last: string }>(
    `select
       (select count(distinct pid)::integer from pg_locks where relation = 'moca.lease'::regclass and not granted) as waiting,
       (select last_value from moca.outbox_seq) as last`,
  )
  return row && row.waiting >= relays ? row.last : undefined
}

async function ask<Row extends object>(text: string): Promise<Row[]> {
  return (await client.query<Row>(text)).rows
}
