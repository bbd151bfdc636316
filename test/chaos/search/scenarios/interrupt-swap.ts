import { TripWire } from '../../../support/trip-wire.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { Random } from '../../random.ts'
import type { Scenario, Size } from '../../scenario.ts'
import { SearchArena } from '../arena.ts'
import type { SearchCounts } from '../verdict.ts'

const REBUILD = ['search', 'rebuild', 'City', '--batch-size', '1000']
/** What a rebuild sends when it asks for the live index, and when it swaps: pieces are counted from there. */
const ASKS = 'wants_live = $3'
const SWAPS = 'swap_search_generation'

interface Plan {
  readonly from: typeof ASKS | typeof SWAPS
  readonly piece: number
  readonly isDelivered: boolean
}

/** While it asks it sends the same again and again; from the swap on it sends fewer than this. */
const PIECES = { [ASKS]: 24, [SWAPS]: 12 }
const ROUNDS = 2

export const interruptSwap: Scenario<SearchCounts> = {
  name: 'interrupt-swap',
  title: 'The swap is interrupted at each of its statements',
  text: 'A proxy counts what a rebuild sends to PostgreSQL from when it asks for the live index, and from when it swaps; at the k-th piece it is killed with SIGKILL, with the piece still delivered or not, for each k up to its end. So it dies while it waits for the writer of the live index, before and after the swap, before the note that it swapped, and before the old generation is dropped. Each time the live index is kept on, and has every row.',
  async run(size, seed, count) {
    const random = new Random(seed)
    await using arena = await SearchArena.open(random, 300)
    const wire = await TripWire.start(arena.postgres.port)
    const database = new URL(arena.database.url)
    database.port = String(wire.port)
    const facts = { kills: 0, beforeSwap: 0, beforeNote: 0, beforeDrop: 0, afterDrop: 0, ends: 0 }
    const problems: string[] = []
    try {
      await arena.startSync()
      await arena.writer()
      arena.startWriters()
      for (const { from, piece, isDelivered } of plans(size).slice(0, count)) {
        const before = await arena.liveGeneration()
        const victim = arena.spawn(REBUILD, { DATABASE_URL: database.href })
        wire.arm({ piece, from, isDelivered, onTrip: () => void victim.kill('SIGKILL') })
        const { code, stderr } = await victim.ended
        wire.disarm()
        if (code === 0) facts.ends++
        else if (code === null) {
          facts.kills++
          facts[await arena.swapPhase(before)]++
        } else problems.push(`A rebuild ended with ${code} at piece ${piece} from ${from}: ${stderr.slice(-300)}`)
        problems.push(...(await arena.findLostRows()))
        // Whatever it left, the live index has a writer.
        await waitFor(() => arena.writer(), { timeoutMs: 15_000 }).catch(() => {
          problems.push(`Nobody kept the index after a swap was killed at piece ${piece} from ${from}`)
        })
      }
      if (count === undefined && Math.min(facts.beforeSwap, facts.beforeNote, facts.beforeDrop) === 0) {
        problems.push('No rebuild was killed at one of the steps of the swap')
      }
      const last = await arena.command(REBUILD)
      if (last.code !== 0) problems.push(`The last rebuild ended with ${last.code}: ${last.stderr}`)
      return { facts, verdict: await arena.verdict(), problems }
    } finally {
      await wire.stop()
    }
  },
}

function plans(size: Size): Plan[] {
  const deliveries = [true, false]
  if (size === 'short') {
    // Right after the swap is a note of kill-at-note.
    const swaps: readonly Plan[] = [
      { from: SWAPS, piece: 1, isDelivered: false },
      { from: SWAPS, piece: 2, isDelivered: false },
      { from: SWAPS, piece: 2, isDelivered: true },
      { from: SWAPS, piece: 3, isDelivered: true },
    ]
    return [{ from: ASKS, piece: 3, isDelivered: true }, ...swaps]
  }
  const all = ([ASKS, SWAPS] as const).flatMap((from) =>
    Array.from({ length: PIECES[from] }, (_, index) => index + 1).flatMap((piece) =>
      deliveries.map((isDelivered) => ({ from, piece, isDelivered })),
    ),
  )
  return Array.from({ length: ROUNDS }, () => all).flat()
}
