import { waitFor } from '../../../support/wait-for.ts'
import { TripWire } from '../../../support/trip-wire.ts'
import { Random } from '../../random.ts'
import type { Scenario, Size } from '../../scenario.ts'
import { OutboxArena } from '../arena.ts'
import type { OutboxCounts } from '../verdict.ts'

interface Plan {
  readonly server: 'redis' | 'postgres'
  /** From when on pieces are counted. */
  readonly since: 'start' | 'relaying'
  readonly piece: number
  readonly isDelivered: boolean
}

export const killAtCommand: Scenario<OutboxCounts> = {
  name: 'kill-at-command',
  title: 'A relay is killed at its first command, its second, its third, ...',
  text: 'Proxies count what a relay sends to Redis, and to PostgreSQL; at the k-th piece it is killed with SIGKILL. For each k: counted from the start of the process and from when it relays, at either server, and with the piece still delivered to the server or not. A piece is what arrives at once: a command or a message, or several that were sent together. So it dies in the midst of all that it does to start and to relay, before and after its writes.',
  async run(size, seed, count) {
    const random = new Random(seed)
    await using arena = await OutboxArena.open(random)
    const wires = { redis: await TripWire.start(arena.redis.port), postgres: await TripWire.start(arena.postgres.port) }
    await arena.startWriters()
    const problems: string[] = []
    const plans = planAll(size).slice(0, count)
    try {
      for (const plan of plans)
        if (!(await killAt(arena, wires, plan))) problems.push(`Never reached: ${JSON.stringify(plan)}`)
      await arena.startRelay()
      return { facts: { kills: plans.length - problems.length }, verdict: await arena.verdict(), problems }
    } finally {
      await Promise.all([wires.redis.stop(), wires.postgres.stop()])
    }
  },
}

function planAll(size: Size): Plan[] {
  const pieces = Array.from({ length: 25 }, (_, index) => index + 1)
  const counted = size === 'full' ? { start: pieces, relaying: pieces } : { start: [6], relaying: [1, 2, 4] }
  const plans: Plan[] = []
  for (const since of ['start', 'relaying'] as const) {
    for (const piece of counted[since]) {
      for (const server of ['redis', 'postgres'] as const) {
        for (const isDelivered of [true, false]) plans.push({ server, since, piece, isDelivered })
      }
    }
  }
  return plans
}

/** False: it never sent so much. */
async function killAt(
  arena: OutboxArena,
  wires: Readonly<Record<'redis' | 'postgres', TripWire>>,
  { server, since, piece, isDelivered }: Plan,
): Promise<boolean> {
  const database = new URL(arena.database.url)
  database.port = String(wires.postgres.port)
  const wire = wires[server]
  const victim = arena.spawnRelay({ REDIS_URL: `redis://127.0.0.1:${wires.redis.port}`, DATABASE_URL: database.href })
  try {
    if (since === 'relaying') await victim.said(/Relaying the outbox/, 30_000)
    let wasKilled = false
    const kill = () => {
      wasKilled = victim.kill('SIGKILL')
    }
    wire.arm({ piece, isDelivered, onTrip: kill })
    await waitFor(() => victim.hasEnded, { timeoutMs: 15_000 }).catch(() => {
      // then it was not killed
    })
    return wasKilled
  } finally {
    victim.kill('SIGKILL')
    await victim.ended
    wire.disarm()
  }
}
