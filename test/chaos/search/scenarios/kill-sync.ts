import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { SearchArena } from '../arena.ts'
import type { SearchCounts } from '../verdict.ts'

export const killSync: Scenario<SearchCounts> = {
  name: 'kill-sync',
  title: 'The process that keeps an index is killed',
  text: 'The one of two processes of search sync that writes the index is killed with SIGKILL at a random instant, and replaced, again and again. The other one goes on where it was.',
  async run(size, seed, count = size === 'full' ? 120 : 4) {
    const random = new Random(seed)
    await using arena = await SearchArena.open(random, 200)
    await Promise.all([arena.startSync(), arena.startSync()])
    arena.startWriters()
    for (let kill = 0; kill < count; kill++) {
      const writer = await arena.writer()
      await wait(random.between(0, 600))
      await arena.kill(writer)
      await arena.startSync()
    }
    return { facts: { kills: count }, verdict: await arena.verdict() }
  },
}
