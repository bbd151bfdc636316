import { setTimeout as wait } from 'node:timers/promises'
import { PostgresConnection } from '../../../../src/postgres/connection.ts'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { OutboxArena } from '../arena.ts'
import type { OutboxCounts } from '../verdict.ts'

export const lateCommit: Scenario<OutboxCounts> = {
  name: 'late-commit',
  title: 'A transaction stays open and commits late',
  text: 'A transaction records an event of a key of its own and stays open, for ten minutes in the long run, while thousands of others commit and a relay is killed; then it commits. Nobody waits for it meanwhile, and its event comes.',
  async run(size, seed, count = 1) {
    const random = new Random(seed)
    const openMs = size === 'full' ? 600_000 : 4_000
    await using arena = await OutboxArena.open(random)
    await Promise.all([arena.startRelay(), arena.startRelay()])
    await arena.admin.query(`insert into counter (key) values ('late')`)
    const connection = await PostgresConnection.open({ url: arena.database.url }, 'moca:late')
    await arena.startWriters()
    const problems: string[] = []
    try {
      for (let late = 0; late < count; late++) {
        await connection.transaction(async (tx) => {
          const [row] = await tx.query<{ value: number }>(
            `update counter set value = value + 1 where key = 'late' returning value`,
          )
          const event = { topic: 'test.counters', event_type: 'counted', key: 'late', data: { value: row?.value } }
          await tx.query('select moca.record($1)', [JSON.stringify(event)])
          await wait(openMs / 2)
          const before = await arena.delivered()
          await arena.killRelay(random.pick(arena.relays))
          await arena.startRelay()
          await wait(openMs / 2)
          if ((await arena.delivered()) <= before) problems.push('Others waited for the transaction that was open')
        })
      }
    } finally {
      connection.destroy()
    }
    return { facts: { lateCommits: count, openMs }, verdict: await arena.verdict(), problems }
  },
}
