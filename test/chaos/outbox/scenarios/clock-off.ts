import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { OutboxArena } from '../arena.ts'
import type { OutboxCounts } from '../verdict.ts'

const HOUR_MS = 3_600_000
const CLOCK = new URL('../../shifted-clock.ts', import.meta.url).href

export const clockOff: Scenario<OutboxCounts> = {
  name: 'clock-off',
  title: "A relay's clock is an hour off",
  text: "The clock of one of two relays is an hour ahead, that of the other an hour behind; now one, now the other is killed and replaced. Leases and windows go by PostgreSQL's clock and snapshots, so nothing comes of it.",
  async run(size, seed, count = size === 'full' ? 40 : 3) {
    const random = new Random(seed)
    await using arena = await OutboxArena.open(random)
    const start = async (offsetMs: number) => {
      const env = { NODE_OPTIONS: `--import=${CLOCK}`, CHAOS_CLOCK_OFFSETS_MS: String(offsetMs) }
      const relay = await arena.startRelay(env)
      requireShifted(relay.running.output, offsetMs)
      return relay
    }
    const offsets = [HOUR_MS, -HOUR_MS]
    let relays = await Promise.all(offsets.map(async (offsetMs) => ({ offsetMs, relay: await start(offsetMs) })))
    await arena.startWriters()
    for (let kill = 0; kill < count; kill++) {
      await wait(random.between(100, 600))
      const { offsetMs, relay } = random.pick(relays)
      await arena.killRelay(relay)
      const next = { offsetMs, relay: await start(offsetMs) }
      relays = [...relays.filter((each) => each.relay !== relay), next]
    }
    return { facts: { kills: count }, verdict: await arena.verdict() }
  },
}

/** By the instants in its log: without the fault there would be nothing to see. */
function requireShifted(output: string, offsetMs: number): void {
  const time = /"time":"([^"]+)"/.exec(output)?.[1] ?? ''
  const isShifted = Math.abs(Date.parse(time) - Date.now() - offsetMs) < HOUR_MS / 2
  if (!isShifted) throw new Error(`The clock of a relay should be off by ${offsetMs} ms; it says ${time || 'nothing'}`)
}
