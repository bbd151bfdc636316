import { setTimeout as wait } from 'node:timers/promises'
import { waitFor } from '../../../support/wait-for.ts'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { OutboxArena, RELAY_LEASE_MS } from '../arena.ts'
import type { OutboxCounts } from '../verdict.ts'

export const freezeRelays: Scenario<OutboxCounts> = {
  name: 'freeze-relays',
  title: 'A lane owner stands still past its lease, and goes on',
  text: 'One of two relays is stopped with SIGSTOP until the other has taken its lanes over and relays them, then continued: what it still sends is refused. Its connections stay open all the time, so only the lease tells.',
  async run(size, seed, count = size === 'full' ? 20 : 2) {
    const random = new Random(seed)
    await using arena = await OutboxArena.open(random)
    await Promise.all([arena.startRelay(), arena.startRelay()])
    await arena.startWriters()
    for (let freeze = 0; freeze < count; freeze++) {
      await waitFor(async () => (await owners(arena)).size === 2, {
        timeoutMs: 20_000,
        describe: 'two relays with lanes',
      })
      await wait(random.between(50, 500))
      const frozen = random.pick(arena.relays)
      frozen.running.kill('SIGSTOP')
      try {
        await waitFor(async () => !(await owners(arena)).has(frozen.pid), {
          timeoutMs: RELAY_LEASE_MS * 10,
          describe: 'the other relay to have all lanes',
        })
        await wait(random.between(0, 500))
      } finally {
        frozen.running.kill('SIGCONT')
      }
    }
    return { facts: { freezes: count }, verdict: await arena.verdict() }
  },
}

/** The pids of relays that own lanes. */
async function owners(arena: OutboxArena): Promise<ReadonlySet<number>> {
  const rows = await arena.admin.query<{ pid: number }>(
    'select distinct r.pid from moca.lease l join moca.relay r on r.id = l.relay',
  )
  return new Set(rows.map(({ pid }) => pid))
}
