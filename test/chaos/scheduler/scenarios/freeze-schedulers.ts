import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { SchedulerArena } from '../arena.ts'
import type { SchedulerCounts } from '../verdict.ts'

export const freezeSchedulers: Scenario<SchedulerCounts> = {
  name: 'freeze-schedulers',
  title: 'The leading scheduler stands still past its lock, and goes on',
  text: 'The scheduler that leads is stopped with SIGSTOP until the other one leads and fires, then continued: what it still sends is refused, and it stands by.',
  async run(size, seed, count = size === 'full' ? 30 : 1) {
    const random = new Random(seed)
    await using arena = await SchedulerArena.open()
    for (let freeze = 0; freeze < count; freeze++) {
      const leader = await arena.leader()
      await wait(random.between(0, 1_200))
      leader.running.kill('SIGSTOP')
      try {
        await arena.leader(leader)
        await wait(random.between(0, 1_500))
      } finally {
        leader.running.kill('SIGCONT')
      }
      await wait(random.between(0, 1_500))
    }
    return { facts: { freezes: count }, verdict: await arena.verdict() }
  },
}
