import { TripWire } from '../../../support/trip-wire.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { SearchArena } from '../arena.ts'
import type { SearchCounts } from '../verdict.ts'

/** Many rounds of all that it does for a batch: look, read the log and the rows, intend, submit, settle. */
const PIECES = 75

export const killSyncAtStatement: Scenario<SearchCounts> = {
  name: 'kill-sync-at-statement',
  title: 'The process that keeps an index is killed at its next statement, the one after it, ...',
  text: 'A proxy counts what search sync sends to PostgreSQL while it follows the log; at the k-th piece it is killed with SIGKILL, with the piece still delivered or not. So it dies between reading and the note of what is submitted, between that note and the submission, and between the submission and the note that it is settled. The next one goes on.',
  async run(size, seed, count) {
    const random = new Random(seed)
    await using arena = await SearchArena.open(random, 100)
    const wire = await TripWire.start(arena.postgres.port)
    const database = new URL(arena.database.url)
    database.port = String(wire.port)
    const problems: string[] = []
    let kills = 0
    const pieces = Array.from({ length: PIECES }, (_, index) => index + 1)
    const plans = pieces
      .filter((piece) => size === 'full' || piece === 6 || piece === 9)
      .flatMap((piece) => [true, false].map((isDelivered) => ({ piece, isDelivered })))
      .slice(0, count)
    try {
      arena.startWriters()
      for (const { piece, isDelivered } of plans) {
        const victim = await arena.startSync({ DATABASE_URL: database.href })
        await arena.writer()
        wire.arm({ piece, isDelivered, onTrip: () => void victim.kill('SIGKILL') })
        await waitFor(() => victim.hasEnded, { timeoutMs: 20_000 }).then(
          () => kills++,
          () => problems.push(`It never sent ${piece} pieces`),
        )
        await arena.kill(victim)
        wire.disarm()
      }
      await arena.startSync()
      return { facts: { kills }, verdict: await arena.verdict(), problems }
    } finally {
      await wire.stop()
    }
  },
}
