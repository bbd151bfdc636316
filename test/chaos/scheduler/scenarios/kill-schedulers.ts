import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import { type Scenario, spread } from '../../scenario.ts'
import { SchedulerArena } from '../arena.ts'
import type { SchedulerCounts } from '../verdict.ts'

export const killSchedulers: Scenario<SchedulerCounts> = {
  name: 'kill-schedulers',
  title: 'The leading scheduler is killed',
  text: 'The one of two schedulers that leads is killed with SIGKILL at a random instant, and replaced, again and again. The other one leads when the lock has run out, and fires what fell due meanwhile.',
  async run(size, seed, count = size === 'full' ? 200 : 2) {
    const random = new Random(seed)
    await using arena = await SchedulerArena.open()
    const takeoversMs: number[] = []
    for (let kill = 0; kill < count; kill++) {
      const leader = await arena.leader()
      await wait(random.between(0, 1_200))
      const killedAtMs = performance.now()
      await arena.end(leader, 'SIGKILL')
      const takeover = arena.leader().then(() => performance.now() - killedAtMs)
      await arena.start()
      takeoversMs.push(Math.round(await takeover))
    }
    const slow = takeoversMs.filter((ms) => ms > 10_000)
    const problems = slow.map((ms) => `Nobody led for ${ms} ms after a kill`)
    return { facts: { kills: count, ...spread('takeoverMs', takeoversMs) }, verdict: await arena.verdict(), problems }
  },
}
