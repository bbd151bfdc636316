import { setTimeout as sleep } from 'node:timers/promises'
import { Arena } from '../arena.ts'
import type { Outcome, Scenario, Size } from '../scenario.ts'

export const cutNetwork: Scenario = {
  name: 'cut-network',
  title: 'The network between workers and Redis is cut',
  text: 'For up to three leases all workers lose Redis at once: connections are refused, or everything disappears without a word (a black hole, whose contents arrive late or never), or Redis itself stands still (SIGSTOP). No lease can be renewed meanwhile, and yet nothing may run twice: the living get a lease to come back. The same processes go on by themselves.',
  run,
}

type Fault = 'refused' | 'hole, late' | 'hole, lost' | 'Redis frozen'
const FAULTS: readonly Fault[] = ['refused', 'hole, late', 'hole, lost', 'Redis frozen']

async function run(size: Size, seed: number, count = size === 'full' ? 24 : 2): Promise<Outcome> {
  const arena = await Arena.open({
    seed,
    hasProxy: true,
    load: { outstanding: 200, longestMs: 60, longShare: 0.002, isPersistent: true },
  })
  try {
    const members = await arena.fleet.startMany(2)
    arena.startLoad()
    const played: Record<Fault, number> = { refused: 0, 'hole, late': 0, 'hole, lost': 0, 'Redis frozen': 0 }
    for (let n = 0; n < count; n++) {
      await sleep(arena.random.between(200, 1_000)) // moments of chance are the point
      const fault = FAULTS[(n + seed) % FAULTS.length] as Fault
      const end = begin(arena, fault)
      await sleep(arena.leaseMs * arena.random.between(0.5, 3)) // the outage itself
      await end()
      played[fault]++
      await arena.goOn(members)
    }
    const verdict = await arena.finish()
    const rescued = await arena.counter('rescued')
    const facts = {
      refused: played.refused,
      holesLate: played['hole, late'],
      holesLost: played['hole, lost'],
      redisFrozen: played['Redis frozen'],
      rescued,
    }
    return { facts, verdict }
  } finally {
    await arena.close()
  }
}

/** Begins an outage; the result ends it. */
function begin(arena: Arena, fault: Fault): () => Promise<void> {
  const { proxy, redis } = arena
  if (fault === 'Redis frozen') {
    void redis.kill('SIGSTOP')
    return () => redis.kill('SIGCONT')
  }
  if (fault === 'refused') proxy.refuse()
  else proxy.setFaults({ kind: 'hole' })
  return async () => proxy.heal({ isLost: fault === 'hole, lost' })
}
