import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { OutboxArena } from '../arena.ts'
import type { OutboxCounts } from '../verdict.ts'

export const redisOutage: Scenario<OutboxCounts> = {
  name: 'redis-outage',
  title: 'Redis is away under load',
  text: 'Redis (append-only file, fsync always) is killed and stays away, for two minutes in the long run, while writers go on recording; then it comes back. The relays pause, and drain in order.',
  async run(size, seed, count = size === 'full' ? 3 : 1) {
    const random = new Random(seed)
    const awayMs = size === 'full' ? 120_000 : 3_000
    await using arena = await OutboxArena.open(random)
    await Promise.all([arena.startRelay(), arena.startRelay()])
    await arena.startWriters()
    for (let outage = 0; outage < count; outage++) {
      await wait(random.between(500, 1_500))
      await arena.redis.kill('SIGKILL')
      await wait(awayMs)
      await arena.redis.start()
    }
    return { facts: { outages: count, awayMs }, verdict: await arena.verdict({ limitMs: 300_000 }) }
  },
}
