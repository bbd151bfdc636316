import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { INDEX_LEASE_MS, SearchArena } from '../arena.ts'
import type { SearchCounts } from '../verdict.ts'

export const freezeSync: Scenario<SearchCounts> = {
  name: 'freeze-sync',
  title: 'The process that keeps an index stands still past its lease',
  text: 'The one of two processes of search sync that writes the index is stopped with SIGSTOP at a random instant until the other one has taken the index, and then goes on. What it had under way changes nothing any more.',
  async run(size, seed, count = size === 'full' ? 20 : 1) {
    const random = new Random(seed)
    await using arena = await SearchArena.open(random, 200)
    await Promise.all([arena.startSync(), arena.startSync()])
    arena.startWriters()
    const problems: string[] = []
    for (let freeze = 0; freeze < count; freeze++) {
      const writer = await arena.writer()
      await wait(random.between(0, 300))
      writer.kill('SIGSTOP')
      const isTaken = async () => (await arena.writer()) !== writer
      await waitFor(isTaken, { timeoutMs: INDEX_LEASE_MS * 5 }).catch(() => {
        problems.push('Nobody took the index of a process that stood still')
      })
      await wait(random.between(0, 300))
      writer.kill('SIGCONT')
    }
    return { facts: { freezes: count }, verdict: await arena.verdict(), problems }
  },
}
