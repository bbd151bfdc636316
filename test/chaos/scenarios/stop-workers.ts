import { setTimeout as sleep } from 'node:timers/promises'
import { Arena } from '../arena.ts'
import { type Outcome, type Scenario, type Size, spread } from '../scenario.ts'

export const stopWorkers: Scenario = {
  name: 'stop-workers',
  title: 'Workers are told to stop',
  text: 'SIGTERM of loaded workers; another takes the place of each. What runs may end within `softTimeout`; the rest, and everything that was fetched, is handed back at once and uncharged: nobody waits for a lease, no attempt number is raised, nothing counts as a stall, and what had succeeded does not run again.',
  run,
}

async function run(size: Size, seed: number, count = size === 'full' ? 40 : 2): Promise<Outcome> {
  const arena = await Arena.open({
    seed,
    load: { outstanding: 300, longestMs: 600, longShare: size === 'full' ? 0.01 : 0 },
  })
  try {
    await arena.fleet.startMany(3)
    arena.startLoad()
    const heldAtStop: number[] = []
    const stopMs: number[] = []
    const problems: string[] = []
    for (let n = 0; n < count; n++) {
      const successor = arena.fleet.start()
      await successor.ready()
      await sleep(arena.random.between(100, 500)) // moments of chance are the point
      const member = arena.random.pick(arena.fleet.alive.filter(({ pid }) => pid !== successor.pid))
      heldAtStop.push(member.unfinished().length)
      member.stop()
      await member.gone()
      stopMs.push(member.parting?.stopMs ?? Number.POSITIVE_INFINITY)
    }
    const verdict = await arena.finish()
    const rescued = await arena.counter('rescued')
    const stalls = arena.ledger().filter((line) => line.stalls > 0).length
    if (rescued > 0) problems.push(`${rescued} jobs had to be rescued after orderly stops`)
    if (stalls > 0) problems.push(`${stalls} attempts count a stall though no worker died`)
    const released = new Set(arena.ledger().flatMap((line) => (line.releases > 0 ? [line.id] : [])))
    if (released.size === 0) problems.push('nothing was handed back')
    const facts = {
      stops: count,
      ...spread('held', heldAtStop),
      ...spread('stopMs', stopMs),
      jobsHandedBack: released.size,
      rescued,
    }
    return { facts, verdict, problems }
  } finally {
    await arena.close()
  }
}
