import { setTimeout as wait } from 'node:timers/promises'
import type { PostgresConnection } from '../../../../src/postgres/connection.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { OutboxArena } from '../arena.ts'
import type { OutboxCounts } from '../verdict.ts'

const POISONED = 'poisoned'
/** More than the arena's deployment allows, a half surrogate pair, and no JSON at all. */
const UNRECORDABLE = [
  JSON.stringify({ topic: 'test.counters', event_type: 'counted', key: POISONED, data: 'x'.repeat(1_100_000) }),
  `{"topic":"test.counters","event_type":"counted","key":"${POISONED}","data":"\\ud800"}`,
  '{"topic":"test.counters"',
] as const

export const oddEvents: Scenario<OutboxCounts> = {
  name: 'odd-events',
  title: 'Events that cannot be recorded, and one that cannot be sent',
  text: "Events that are too large or cannot be read are refused in the transaction of whoever records them, which rolls back. A row that no job or event can be made of parks its key: what is behind it waits, everybody else's goes on, and relays are killed meanwhile. `moca outbox skip` leaves the row out, and the key's events come in order.",
  async run(size, seed, count = size === 'full' ? 10 : 1) {
    const random = new Random(seed)
    await using arena = await OutboxArena.open(random)
    await Promise.all([arena.startRelay(), arena.startRelay()])
    await arena.admin.query('insert into counter (key) values ($1)', [POISONED])
    await arena.startWriters()
    const problems: string[] = []
    let refused = 0
    for (let round = 0; round < count; round++) {
      for (const request of UNRECORDABLE) {
        if (await isRefused(arena.admin, request)) refused++
        else problems.push(`Not refused as it should be: ${request.slice(0, 80)}`)
      }
      await poison(arena.admin)
      for (let event = 0; event < 3; event++) await countOne(arena.admin)
      const isParked = async () =>
        (await arena.admin.query('select from moca.parked_key where key = $1 and freed_at is null', [POISONED]))
          .length > 0
      await waitFor(isParked, { timeoutMs: 20_000, describe: 'the key to be parked' })
      const before = await arena.delivered()
      await arena.killRelay(random.pick(arena.relays))
      await arena.startRelay()
      await wait(500)
      if ((await arena.delivered()) <= before) problems.push('Others waited for the key that is parked')
      if (!(await isParked())) problems.push('The key was parked, and is not any more')
      const { code, stderr } = await arena.command(['outbox', 'skip', POISONED, '--force', '--json'])
      if (code !== 0) problems.push(`moca outbox skip ended with ${code}: ${stderr}`)
    }
    return { facts: { refused, keysParked: count }, verdict: await arena.verdict(), problems }
  },
}

/** The transaction had counted already: nothing of it may stay. */
async function isRefused(admin: PostgresConnection, request: string): Promise<boolean> {
  const recorded = admin.transaction(async (tx) => {
    await tx.query('update counter set value = value + 1 where key = $1', [POISONED])
    await tx.query('select moca.record($1)', [request])
  })
  return recorded.then(
    () => false,
    (error: unknown) => (error as { readonly sqlState?: string }).sqlState === 'MO001',
  )
}

async function countOne(admin: PostgresConnection): Promise<void> {
  await admin.transaction(async (tx) => {
    const [row] = await tx.query<{ value: number }>(
      'update counter set value = value + 1 where key = $1 returning value',
      [POISONED],
    )
    const event = { topic: 'test.counters', event_type: 'counted', key: POISONED, data: { value: row?.value } }
    await tx.query('select moca.record($1)', [JSON.stringify(event)])
  })
}

/** A row that says it is a job, and is none: written by nobody's function. */
async function poison(admin: PostgresConnection): Promise<void> {
  await admin.transaction(async (tx) => {
    await tx.query('select pg_current_xact_id()') // before its seq, as everybody does
    await tx.query(
      `insert into moca.outbox (seq, lane, xid, at, kind, topic, type, key, id, options, bytes, payload)
       values (nextval('moca.outbox_seq'), (hashtextextended($1, 0) & 15)::smallint, pg_current_xact_id(), clock_timestamp(),
         'j', 'default', 'broken', $1, 'no job id', '{}', 4, 'null')`,
      [POISONED],
    )
  })
}
