import { waitFor } from '../../support/wait-for.ts'
import { Arena } from '../arena.ts'
import { block, gate } from '../jobs.ts'
import type { Member } from '../fleet.ts'
import type { LedgerLine } from '../ledger.ts'
import { type Outcome, type Scenario, type Size, spread } from '../scenario.ts'

const LEASES = 3
const GATES_EACH = 4

export const blockEventLoop: Scenario = {
  name: 'block-event-loop',
  title: 'The event loop is blocked',
  text: `A handler computes synchronously for ${LEASES} leases (its timeout is longer). At that moment other jobs of the same process have ended and are not reported yet, others run, others are fetched and wait, and replies lie unread in the socket. No lease may be lost: nothing runs twice, no result is refused; what waits is handed to other workers meanwhile.`,
  run,
}

async function run(size: Size, seed: number, count = size === 'full' ? 12 : 1): Promise<Outcome> {
  // Short jobs: the faster the work, the more is fetched ahead.
  const arena = await Arena.open({ seed, load: { outstanding: 300, longestMs: 12, longShare: 0 } })
  try {
    const members = await arena.fleet.startMany(2)
    arena.startLoad()
    const unreported: number[] = []
    const startedElsewhere: number[] = []
    for (let n = 0; n < count; n++) {
      await waitAtGates(arena, members)
      const entry = arena.load.enqueue({ job: block, ms: arena.leaseMs * LEASES })
      await waitFor(() => arena.ledger().some((line) => line.name === entry.name && line.kind === 'end'), {
        timeoutMs: arena.leaseMs * LEASES + 30_000,
        intervalMs: 100,
        describe: 'the block to end',
      })
      const [start, end] = arena.ledger().filter(({ name }) => name === entry.name) as [LedgerLine, LedgerLine]
      const during = arena.ledger().filter(({ us }) => us > start.us && us < end.us)
      unreported.push(during.filter(({ pid, kind }) => pid === start.pid && kind === 'end').length)
      startedElsewhere.push(during.filter(({ pid, kind }) => pid !== start.pid && kind === 'start').length)
    }
    const verdict = await arena.finish()
    const stale = await arena.counter('stale')
    const rescued = await arena.counter('rescued')
    const handedBack = await arena.counter('released')
    const problems = [
      ...(handedBack === 0 ? ['nothing that was fetched and waited was handed to others'] : []),
      ...(stale > 0 ? [`${stale} results were refused though no lease should have been lost`] : []),
      ...(rescued > 0 ? [`${rescued} jobs were rescued from a worker that lived`] : []),
      ...(Math.min(...unreported) === 0 ? ['no job had ended unreported when the loop was blocked'] : []),
    ]
    const facts = {
      blocks: count,
      ...spread('endedUnreported', unreported),
      ...spread('startedElsewhere', startedElsewhere),
      staleResultsRefused: stale,
      rescued,
      handedBack,
    }
    return { facts, verdict, problems }
  } finally {
    await arena.close()
  }
}

/** Sees to it that each worker runs jobs which end when the block begins, whoever gets the block. */
async function waitAtGates(arena: Arena, members: readonly Member[]): Promise<void> {
  const gates = new Set<string>()
  const atGate = (member: Member) => member.unfinished().filter(({ name }) => gates.has(name)).length
  const wait = () => {
    gates.add(arena.load.enqueue({ job: gate, ms: 6_000 }).name)
    return members.every((member) => atGate(member) >= GATES_EACH)
  }
  await waitFor(wait, { timeoutMs: 20_000, intervalMs: 30, describe: 'jobs of each worker to wait for the block' })
}
