import { setTimeout as sleep } from 'node:timers/promises'
import { Arena } from '../arena.ts'
import { monotonicUs } from '../ledger.ts'
import type { Outcome, Scenario, Size } from '../scenario.ts'

export const forgetAll: Scenario = {
  name: 'forget-all',
  title: 'Redis forgets everything',
  text: 'FLUSHALL under load, with every connection left open. The loss is told, in full; the same processes go on by themselves, and nothing that was accepted afterwards is lost.',
  run,
}

async function run(size: Size, seed: number, count = size === 'full' ? 10 : 1): Promise<Outcome> {
  const arena = await Arena.open({ seed, load: { outstanding: 200, longShare: 0, isPersistent: true } })
  try {
    const members = await arena.fleet.startMany(2)
    arena.startLoad()
    const problems: string[] = []
    let accepted = 0
    for (let n = 0; n < count; n++) {
      await sleep(arena.random.between(500, 2_000)) // moments of chance are the point
      const before = arena.load.answered
      await arena.raw.send('FLUSHALL')
      arena.forgot({ sinceUs: 0, untilUs: monotonicUs() })
      // What was answered before the command was sent is gone for certain.
      accepted = before
      await arena.goOn(members)
    }
    const verdict = await arena.finish()
    const reported = arena.losses.reduce((sum, { lost }) => sum + lost, 0)
    if (reported < accepted) problems.push(`Moca told of ${reported} lost jobs; ${accepted} had been accepted before`)
    return { facts: { flushes: count, answeredBefore: accepted, reportedLost: reported }, verdict, problems }
  } finally {
    await arena.close()
  }
}
