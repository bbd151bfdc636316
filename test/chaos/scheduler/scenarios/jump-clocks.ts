import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { SchedulerArena } from '../arena.ts'
import type { SchedulerCounts } from '../verdict.ts'

const CLOCK = new URL('../../shifted-clock.ts', import.meta.url).href
const ENV = { NODE_OPTIONS: `--import=${CLOCK}`, CHAOS_CLOCK_OFFSETS_MS: '0,3600000,-3600000,86400000' }

export const jumpClocks: Scenario<SchedulerCounts> = {
  name: 'jump-clocks',
  title: "Schedulers' clocks jump",
  text: "The clock of a scheduler's machine jumps by an hour forward, by two back, by a day forward, while it leads; now and then it is stopped so that the other one leads. Instants fall due by the clock of Redis, so nothing comes of it.",
  async run(size, seed, count = size === 'full' ? 60 : 4) {
    const random = new Random(seed)
    await using arena = await SchedulerArena.open(ENV)
    for (let jump = 0; jump < count; jump++) {
      const leader = await arena.leader()
      leader.running.kill('SIGUSR2')
      await wait(random.between(300, 2_500))
      if (!random.chance(0.3)) continue
      await arena.end(leader, 'SIGTERM')
      await arena.start(ENV)
    }
    return { facts: { jumps: count }, verdict: await arena.verdict() }
  },
}
