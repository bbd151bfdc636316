import { setTimeout as wait } from 'node:timers/promises'
import { putBack } from '../../put-back.ts'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { SchedulerArena } from '../arena.ts'
import type { SchedulerCounts } from '../verdict.ts'

export const restartRedis: Scenario<SchedulerCounts> = {
  name: 'scheduler-restart-redis',
  title: 'Redis is killed and restarted under schedulers',
  text: 'SIGKILL of Redis (append-only file, fsync always) at a random instant, away for up to three seconds, then started again. What fell due meanwhile fires; nothing fires twice.',
  async run(size, seed, count = size === 'full' ? 40 : 2) {
    const random = new Random(seed)
    await using arena = await SchedulerArena.open()
    for (let restart = 0; restart < count; restart++) {
      await arena.leader()
      await wait(random.between(300, 2_000))
      await arena.redis.kill('SIGKILL')
      await wait(random.between(0, 3_000))
      await arena.redis.start()
    }
    return { facts: { restarts: count }, verdict: await arena.verdict() }
  },
}

export const olderRedis: Scenario<SchedulerCounts> = {
  name: 'scheduler-redis-older',
  title: 'Redis is put back to an older file under schedulers',
  text: 'SIGKILL of Redis, and a copy of its files from some seconds ago is put in their place. What it forgot to have fired fires again; no instant is lost.',
  async run(size, seed, count = size === 'full' ? 20 : 1) {
    const random = new Random(seed)
    await using arena = await SchedulerArena.open()
    for (let restore = 0; restore < count; restore++) {
      await arena.leader()
      await wait(random.between(300, 2_000))
      await putBack(arena.redis, () => wait(random.between(1_000, 4_000)))
    }
    return { facts: { restores: count }, verdict: await arena.verdict({ mayRepeat: true }) }
  },
}
