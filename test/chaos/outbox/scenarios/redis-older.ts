import { setTimeout as wait } from 'node:timers/promises'
import { putBack } from '../../put-back.ts'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { OutboxArena } from '../arena.ts'
import type { OutboxCounts } from '../verdict.ts'

export const redisOlder: Scenario<OutboxCounts> = {
  name: 'outbox-redis-older',
  title: 'Redis is put back to an older file, and is sent again what was recorded',
  text: 'SIGKILL of Redis under load, and a copy of its files from some seconds ago is put in their place. Relays find that Redis is behind what it had taken, and send again what is missing from the log: nothing that was recorded is lost. What had been handled since the copy comes again.',
  async run(size, seed, count = size === 'full' ? 10 : 1) {
    const random = new Random(seed)
    await using arena = await OutboxArena.open(random)
    await Promise.all([arena.startRelay(), arena.startRelay()])
    await arena.startWriters()
    for (let restore = 0; restore < count; restore++) {
      await wait(random.between(500, 1_500))
      await putBack(arena.redis, () => wait(random.between(1_000, 3_000)))
    }
    const verdict = await arena.verdict({ limitMs: 300_000 })
    const [sent] = await arena.admin.query<{ rows: number }>(
      'select coalesce(sum(rows), 0)::int as rows from moca.resent',
    )
    const rowsSentAgain = sent?.rows ?? 0
    const problems = rowsSentAgain === 0 ? ['Nothing was sent again: Redis forgot nothing'] : []
    return { facts: { restores: count, rowsSentAgain }, verdict, problems }
  },
}
