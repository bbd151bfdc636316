import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import { type Scenario, spread } from '../../scenario.ts'
import { SchedulerArena } from '../arena.ts'
import type { SchedulerCounts } from '../verdict.ts'

/** "At once": a standby looks every 200 ms, and both cores are busy starting the next one. */
const AT_ONCE_MS = 2_000

export const stopSchedulers: Scenario<SchedulerCounts> = {
  name: 'stop-schedulers',
  title: 'The leading scheduler is asked to stop',
  text: 'The scheduler that leads gets SIGTERM at a random instant, as in a deployment, and is replaced. The other one leads at once.',
  async run(size, seed, count = size === 'full' ? 100 : 3) {
    const random = new Random(seed)
    await using arena = await SchedulerArena.open()
    const handoversMs: number[] = []
    for (let stop = 0; stop < count; stop++) {
      const leader = await arena.leader()
      await wait(random.between(0, 1_200))
      const stoppedAtMs = performance.now()
      const ending = arena.end(leader, 'SIGTERM')
      await arena.leader(leader)
      handoversMs.push(Math.round(performance.now() - stoppedAtMs))
      await ending
      await arena.start()
    }
    const slow = handoversMs.filter((ms) => ms > AT_ONCE_MS)
    const problems = slow.map((ms) => `Nobody led for ${ms} ms after a stop`)
    return { facts: { stops: count, ...spread('handoverMs', handoversMs) }, verdict: await arena.verdict(), problems }
  },
}
