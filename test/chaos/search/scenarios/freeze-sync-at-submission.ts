import type { Running } from '../../../support/command-line.ts'
import { TripWire } from '../../../support/trip-wire.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { INDEX_LEASE_MS, SearchArena } from '../arena.ts'
import type { SearchCounts } from '../verdict.ts'

const INTEND = 'moca-intend-index-batch'
const SUBMIT = 'moca-submit-search-documents'

/** Where it stands still: both come after it has read the rows. */
interface Moment {
  readonly fact: 'beforeIntent' | 'afterIntent' | 'atSubmission'
  readonly of: typeof INTEND | typeof SUBMIT
  /** Whether what it had sent arrives only after another process has gone on in its place. */
  readonly arrivesLate: boolean
  /** What PostgreSQL answers to what comes late. Default: it is not looked at. */
  readonly refusal?: RegExp
}

const MOMENTS: readonly Moment[] = [
  { fact: 'atSubmission', of: SUBMIT, arrivesLate: true, refusal: /superseded/ },
  // Whoever owns the index is answered where the log stands.
  { fact: 'beforeIntent', of: INTEND, arrivesLate: true, refusal: /^(?!.*"low")/s },
  { fact: 'afterIntent', of: INTEND, arrivesLate: false },
]

export const freezeSyncAtSubmission: Scenario<SearchCounts> = {
  name: 'freeze-sync-at-submission',
  title: 'The process that keeps an index stands still between reading rows and submitting them',
  text: 'The one of two processes of search sync that writes the index is stopped with SIGSTOP when it has read the rows of a batch: before it notes that it will submit them, after that note, and when its submission is on its way, held back by a proxy. Rows of the batch are changed again, the other one takes the index and brings them; then what was held back arrives, and the stopped one goes on, or is killed. The engine refuses each submission that arrives so late, and a row that was brought is never what it was before.',
  async run(size, seed, count = size === 'full' ? 60 : 1) {
    const random = new Random(seed)
    await using arena = await SearchArena.open(random, 200)
    const wires = new Map<Running, TripWire>()
    const facts = { freezes: 0, beforeIntent: 0, afterIntent: 0, atSubmission: 0, refused: 0, killed: 0 }
    const problems: string[] = []
    const start = async (wire: TripWire) => {
      const database = new URL(arena.database.url)
      database.port = String(wire.port)
      wires.set(await arena.startSync({ DATABASE_URL: database.href }), wire)
    }
    const all = await Promise.all([TripWire.start(arena.postgres.port), TripWire.start(arena.postgres.port)])
    try {
      await Promise.all(all.map(start))
      arena.startWriters()
      for (let freeze = 0; freeze < count; freeze++) {
        const moment = MOMENTS[freeze % MOMENTS.length] as Moment
        // One that nobody else touches, and that changes here alone: nothing later makes up for it.
        const id = freeze + 1
        const writer = await arena.writer()
        const wire = wires.get(writer) as TripWire
        await freezeWith(arena, writer, wire, moment, id)
        facts.freezes++
        facts[moment.fact]++
        if (!moment.arrivesLate) await wire.release()
        await arena.changeCity(id)
        const isBrought = async () => (await arena.writer()) !== writer && (await arena.isCurrent(id))
        await waitFor(isBrought, { timeoutMs: INDEX_LEASE_MS * 5 }).catch(() => {
          problems.push(`Nobody brought city ${id} in the place of a process that stood still`)
        })
        if (moment.arrivesLate) {
          const answer = await wire.release()
          if (moment.refusal?.test(answer)) facts.refused++
          else problems.push(`What came late was not refused (${moment.fact})`)
        }
        if (!(await arena.isCurrent(id))) problems.push(`City ${id} went back to what it was (${moment.fact})`)
        if (random.chance(0.5)) writer.kill('SIGCONT')
        else {
          // It marks nothing as doubtful: what it had under way must have come to nothing by itself.
          await arena.kill(writer)
          wires.delete(writer)
          facts.killed++
          await start(wire)
        }
      }
      return { facts, verdict: await arena.verdict(), problems }
    } finally {
      await Promise.all(all.map((wire) => wire.stop()))
    }
  },
}

/** Changes a row, and stops the process that brings it. */
async function freezeWith(
  arena: SearchArena,
  writer: Running,
  wire: TripWire,
  { of }: Moment,
  id: number,
): Promise<void> {
  let isFrozen = false
  wire.arm({
    // From when it reads the row.
    from: `"${id}"`,
    of,
    piece: 1,
    isDelivered: 'late',
    onTrip: () => {
      isFrozen = writer.kill('SIGSTOP')
    },
  })
  await arena.changeCity(id)
  await waitFor(() => isFrozen, { timeoutMs: 20_000, describe: `the writer of the index to bring city ${id}` })
}
