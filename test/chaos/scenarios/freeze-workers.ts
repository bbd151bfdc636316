import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '../../support/wait-for.ts'
import { Arena } from '../arena.ts'
import { type Outcome, type Scenario, type Size, spread } from '../scenario.ts'

const HELD_LEAST = 10

export const freezeWorkers: Scenario = {
  name: 'freeze-workers',
  title: 'Workers stand still',
  text: 'SIGSTOP of a worker with ten or more unfinished attempts for one and a half to three leases, then SIGCONT: the process wakes with running handlers whose jobs others have taken over, with fetched jobs, and with unread replies. Its results must be refused, nothing fetched may start without the server’s word, and it goes on working.',
  run,
}

async function run(size: Size, seed: number, count = size === 'full' ? 30 : 1): Promise<Outcome> {
  const arena = await Arena.open({ seed, load: { outstanding: 400, longShare: 0.001 } })
  try {
    const members = await arena.fleet.startMany(3)
    arena.startLoad()
    const heldAtFreeze: number[] = []
    for (let n = 0; n < count; n++) {
      await sleep(arena.random.between(200, 1_200)) // moments of chance are the point
      // Loaded ones. (One that runs a single suspect could be stopped again and again until that counts as its killer.)
      const loaded = () => members.filter((member) => member.unfinished().length >= HELD_LEAST)
      await waitFor(() => loaded().length > 0, { timeoutMs: 60_000, intervalMs: 3, describe: 'a loaded worker' })
      const member = arena.random.pick(loaded())
      heldAtFreeze.push(member.unfinished().length)
      const thaw = member.freeze()
      await sleep(arena.leaseMs * arena.random.between(1.5, 3)) // the fault itself
      thaw()
      await arena.goOn([member])
    }
    const verdict = await arena.finish()
    const stale = await arena.counter('stale')
    const problems =
      verdict.counts.rerunAfterAbsence === 0 ? ['nothing was taken over from those that stood still'] : []
    const facts = { freezes: count, ...spread('held', heldAtFreeze), staleResultsRefused: stale }
    return { facts, verdict, problems }
  } finally {
    await arena.close()
  }
}
