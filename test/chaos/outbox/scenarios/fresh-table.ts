import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { OutboxArena } from '../arena.ts'
import { addVerdicts, type OutboxCounts, type OutboxVerdict } from '../verdict.ts'

export const freshTable: Scenario<OutboxCounts> = {
  name: 'fresh-table',
  title: 'Two relays start at once on a fresh log',
  text: 'Two relays are started at the same instant on a log that nobody has ever relayed, and into which eight writers write already.',
  async run(size, seed, count = size === 'full' ? 10 : 1) {
    const random = new Random(seed)
    const verdicts: OutboxVerdict[] = []
    for (let start = 0; start < count; start++) {
      await using arena = await OutboxArena.open(random)
      await arena.startWriters()
      await Promise.all([arena.startRelay(), arena.startRelay()])
      verdicts.push(await arena.verdict())
    }
    return { facts: { starts: count }, verdict: addVerdicts(verdicts) }
  },
}
