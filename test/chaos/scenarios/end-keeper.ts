import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '../../support/wait-for.ts'
import { Arena } from '../arena.ts'
import type { Member } from '../fleet.ts'
import { long } from '../jobs.ts'
import type { Outcome, Scenario, Size } from '../scenario.ts'

export const endKeeper: Scenario = {
  name: 'end-keeper',
  title: 'The keeper’s thread dies',
  text: 'The thread that renews leases is ended at random moments. The worker starts another, in time to keep every lease: nothing runs twice, nothing is rescued from the living.',
  run,
}

async function run(size: Size, seed: number, count = size === 'full' ? 60 : 3): Promise<Outcome> {
  // A new thread takes a third of a second, on a machine that is busy with this very run several times that.
  const arena = await Arena.open({
    seed,
    leaseMs: 4_000,
    load: { outstanding: 200, longShare: size === 'full' ? 0.004 : 0 },
  })
  try {
    const members = await arena.fleet.startMany(2)
    arena.startLoad()
    // These feel every renewal that is missing.
    for (let n = 0; n < 4; n++) arena.load.enqueue({ job: long, ms: arena.leaseMs * 2 })
    for (let n = 0; n < count; n++) {
      await sleep(arena.random.between(0.4, 0.9) * arena.leaseMs) // moments of chance are the point
      // In turn: a thread that is ended again before it could renew anything keeps no lease, and nobody promises that.
      members[n % members.length]?.endKeeper()
    }
    await waitFor(async () => (await threads(members)).every((health) => health?.threads === 1), {
      timeoutMs: 10_000,
      describe: 'each worker to have one thread again',
    })
    const ended = (await threads(members)).reduce((sum, health) => sum + (health?.threadsEnded ?? 0), 0)
    const verdict = await arena.finish()
    const rescued = await arena.counter('rescued')
    const stale = await arena.counter('stale')
    const problems = [
      ...(rescued > 0 ? [`${rescued} jobs were rescued from living workers`] : []),
      ...(ended < count / 2 ? [`only ${ended} of ${count} times there was a thread to end`] : []),
      ...(stale > 0 ? [`${stale} results were refused though no lease should have been lost`] : []),
    ]
    return { facts: { threadsEnded: ended, rescued, staleResultsRefused: stale }, verdict, problems }
  } finally {
    await arena.close()
  }
}

function threads(members: readonly Member[]) {
  return Promise.all(members.map((member) => member.health()))
}
