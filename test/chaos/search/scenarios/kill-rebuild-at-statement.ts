import { TripWire } from '../../../support/trip-wire.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { SearchArena } from '../arena.ts'
import type { SearchCounts } from '../verdict.ts'

/** More than a rebuild of a small table sends. */
const PIECES = 150
const REBUILD = ['search', 'rebuild', 'City', '--batch-size', '50']

export const killRebuildAtStatement: Scenario<SearchCounts> = {
  name: 'kill-rebuild-at-statement',
  title: 'A rebuild is killed at its first statement, its second, its third, ...',
  text: 'A proxy counts what a rebuild of a small table sends to PostgreSQL; at the k-th piece it is killed with SIGKILL, with the piece still delivered or not. So it dies in the midst of what it does first and most: before and after the note of its position, before its first page, in pages, between a page and the note of it. Each one goes on where the one before was; how the swap is interrupted is a scenario of its own. After each the index is kept, and what it should be.',
  async run(size, seed, count) {
    const random = new Random(seed)
    await using arena = await SearchArena.open(random, 120)
    const wire = await TripWire.start(arena.postgres.port)
    const facts = { kills: 0, ended: 0, generationsThatWentLive: 0 }
    let live = ''
    const problems: string[] = []
    const all = Array.from({ length: PIECES }, (_, index) => index + 1)
    const plans = (size === 'full' ? all : all.filter((piece) => piece % 37 === 0))
      .flatMap((piece) =>
        (size === 'full' ? [true, false] : [piece % 2 === 0]).map((isDelivered) => ({ piece, isDelivered })),
      )
      .slice(0, count)
    try {
      await arena.startSync()
      await arena.writer()
      arena.startWriters()
      for (const { piece, isDelivered } of plans) {
        const database = new URL(arena.database.url)
        database.port = String(wire.port)
        const victim = arena.spawn(REBUILD, { DATABASE_URL: database.href })
        wire.arm({ piece, isDelivered, onTrip: () => void victim.kill('SIGKILL') })
        const { code, stderr } = await victim.ended
        wire.disarm()
        if (code === 0) facts.ended++
        else if (code === null) facts.kills++
        else problems.push(`A rebuild ended with ${code} at piece ${piece}: ${stderr.slice(-300)}`)
        problems.push(...(await arena.findLostRows()))
        const generation = await arena.liveGeneration()
        if (live !== '' && generation !== live) facts.generationsThatWentLive++
        live = generation
        // Whatever it left, the live index has a writer.
        await waitFor(() => arena.writer(), { timeoutMs: 15_000 }).catch(() => {
          problems.push(`Nobody kept the index after a rebuild was killed at piece ${piece}`)
        })
      }
      const last = await arena.command(REBUILD)
      if (last.code !== 0) problems.push(`The last rebuild ended with ${last.code}: ${last.stderr}`)
      return { facts, verdict: await arena.verdict(), problems }
    } finally {
      await wire.stop()
    }
  },
}
