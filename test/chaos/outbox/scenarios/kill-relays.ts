import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { OutboxArena } from '../arena.ts'
import type { OutboxCounts } from '../verdict.ts'

export const killRelays: Scenario<OutboxCounts> = {
  name: 'kill-relays',
  title: 'Relays are killed',
  text: 'One of two relays is killed with SIGKILL at a random instant, and replaced, again and again, while eight writers record. A kill counts when the victim had lanes with a batch that was not known to have been taken. Its lanes go on with the other one at once.',
  async run(size, seed, count = size === 'full' ? 200 : 4) {
    const random = new Random(seed)
    await using arena = await OutboxArena.open(random)
    await Promise.all([arena.startRelay(), arena.startRelay()])
    await arena.startWriters()
    let kills = 0
    let idleKills = 0
    while (kills < count && idleKills < count * 3 + 20) {
      await wait(random.between(50, 500))
      const wasBusy = await arena.killRelay(random.pick(arena.relays))
      if (wasBusy) kills++
      else idleKills++
      await arena.startRelay()
    }
    const verdict = await arena.verdict()
    const problems = kills < count ? [`Only ${kills} of ${count} kills counted`] : []
    return { facts: { kills, killsThatDidNotCount: idleKills }, verdict, problems }
  },
}
