import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { OutboxArena } from '../arena.ts'
import type { OutboxCounts } from '../verdict.ts'

export const emptyRedis: Scenario<OutboxCounts> = {
  name: 'empty-redis',
  title: 'Redis forgets everything, and is sent again what was recorded',
  text: 'Redis is emptied (FLUSHALL) under load: jobs, positions, subscriptions. What was recorded within `redriveMax` is sent again from the log by itself, so nothing of it is lost; what had been handled comes again.',
  async run(size, seed, count = size === 'full' ? 5 : 1) {
    const random = new Random(seed)
    await using arena = await OutboxArena.open(random)
    await Promise.all([arena.startRelay(), arena.startRelay()])
    await arena.startWriters()
    for (let flush = 0; flush < count; flush++) {
      await wait(random.between(1_000, 3_000))
      await arena.redis.cli(['FLUSHALL'])
    }
    const verdict = await arena.verdict({ limitMs: 300_000 })
    const [sent] = await arena.admin.query<{ rows: number }>(
      'select coalesce(sum(rows), 0)::int as rows from moca.resent',
    )
    return { facts: { flushes: count, rowsSentAgain: sent?.rows ?? 0 }, verdict }
  },
}
