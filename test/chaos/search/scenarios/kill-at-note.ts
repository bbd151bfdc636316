import { TripWire } from '../../../support/trip-wire.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { Random } from '../../random.ts'
import type { Scenario, Size } from '../../scenario.ts'
import { SearchArena } from '../arena.ts'
import { NOTES, type NoteName } from '../notes.ts'
import type { SearchCounts } from '../verdict.ts'

const COMMANDS = {
  sync: ['search', 'sync'],
  rebuild: ['search', 'rebuild', 'City', '--batch-size', '500'],
}
const ROUNDS = 6
/** Of notes that search sync writes again and again, it is killed at one of the first. */
const MOST_NOTES = 5
/** A rebuild may have come past a note before it was killed the last time: then it ends, and the one after it writes that note. */
const TRIES = 3
const SHORT: readonly Plan[] = [
  { note: 'intent', isWritten: true },
  { note: 'settling', isWritten: false },
  { note: 'page', isWritten: true },
  { note: 'swap', isWritten: true },
]

/** Right before a note is written, or right after. */
interface Plan {
  readonly note: NoteName
  readonly isWritten: boolean
}

export const killAtNote: Scenario<SearchCounts> = {
  name: 'kill-at-note',
  title: 'Search sync and rebuilds are killed right before and right after each note that they write',
  text: 'A proxy waits until search sync or a rebuild sends a note to PostgreSQL, of a given kind, and kills it with SIGKILL, with the note still delivered or not: that it takes an index, what it is about to submit, what it submits, that it is settled, documents to be looked at again and done with; that a rebuild begins, how far it has copied, that it has copied all, that it asks for the live index, the swap, its end, and the dropping of the old generation. Of what is to be submitted, what is settled, pages, the swap and the end, the tables are asked whether the note is there or not. Each kind is hit, before and after; the next process goes on.',
  async run(size, seed, count) {
    const random = new Random(seed)
    await using arena = await SearchArena.open(random, 1_200)
    const wire = await TripWire.start(arena.postgres.port)
    const problems: string[] = []
    const plans = plansOf(size, random).slice(0, count)
    const planned = new Set(plans.map(factOf))
    const kills = new Map(
      eachPlan()
        .map(factOf)
        .filter((fact) => planned.has(fact))
        .map((fact) => [fact, 0]),
    )
    let ends = 0
    const play = async (plan: Plan) => {
      for (let tries = 0; tries < TRIES; tries++) {
        const { wasKilled, problem } = await kill(arena, wire, plan, random)
        if (problem !== undefined) problems.push(problem)
        if (wasKilled) {
          kills.set(factOf(plan), (kills.get(factOf(plan)) ?? 0) + 1)
          return
        }
        ends++
      }
    }
    try {
      // Without an index there is nothing to follow.
      await arena.command(COMMANDS.rebuild)
      arena.startWriters()
      for (const plan of plans.filter(({ note }) => NOTES[note].by === 'sync')) await play(plan)
      await arena.startSync()
      await arena.writer()
      for (const plan of plans.filter(({ note }) => NOTES[note].by === 'rebuild')) {
        await play(plan)
        problems.push(...(await arena.findLostRows()))
        // Whatever it left, the live index has a writer.
        await waitFor(() => arena.writer(), { timeoutMs: 15_000 }).catch(() => {
          problems.push(`Nobody kept the index after a rebuild was killed ${sentenceOf(plan)}`)
        })
      }
      for (const [fact, count] of kills) if (count === 0) problems.push(`Nobody was killed at a note: ${fact}`)
      const last = await arena.command(COMMANDS.rebuild)
      if (last.code !== 0) problems.push(`The last rebuild ended with ${last.code}: ${last.stderr}`)
      const all = [...kills.values()].reduce((sum, each) => sum + each, 0)
      return { facts: { kills: all, ends, ...Object.fromEntries(kills) }, verdict: await arena.verdict(), problems }
    } finally {
      await wire.stop()
    }
  },
}

/** Runs a process until it is killed at a note of a kind, or comes to its end without one. */
async function kill(
  arena: SearchArena,
  wire: TripWire,
  plan: Plan,
  random: Random,
): Promise<{ readonly wasKilled: boolean; readonly problem?: string }> {
  const { by, text, isOften, isThere } = NOTES[plan.note]
  const before = await arena.notes()
  const database = new URL(arena.database.url)
  database.port = String(wire.port)
  const victim = arena.spawn(COMMANDS[by], { DATABASE_URL: database.href })
  const piece = isOften ? random.whole(1, MOST_NOTES) : 1
  wire.arm({ of: text, piece, isDelivered: plan.isWritten, onTrip: () => void victim.kill('SIGKILL') })
  await waitFor(() => victim.hasEnded, { timeoutMs: 60_000 }).catch(() => victim.kill('SIGTERM'))
  const { code, stderr } = await victim.ended
  wire.disarm()
  if (code !== null) {
    // A rebuild may end without such a note; search sync was told to.
    if (by === 'rebuild' && code === 0) return { wasKilled: false }
    return {
      wasKilled: false,
      problem: `A process ended with ${code}, and not ${sentenceOf(plan)}: ${stderr.slice(-300)}`,
    }
  }
  if (!isThere) return { wasKilled: true }
  // Its session may be at it still.
  const isAsPlanned = async () => isThere(await arena.notes(), before) === plan.isWritten
  return waitFor(isAsPlanned, { timeoutMs: 5_000 }).then(
    () => ({ wasKilled: true }),
    () => ({ wasKilled: false, problem: `A process was killed ${sentenceOf(plan)}, and the tables say otherwise` }),
  )
}

function plansOf(size: Size, random: Random): readonly Plan[] {
  if (size === 'short') return SHORT
  // Each time in another order: what one leaves is what the next begins with.
  return Array.from({ length: ROUNDS }, () => shuffled(eachPlan(), random)).flat()
}

function eachPlan(): Plan[] {
  const names = Object.keys(NOTES) as NoteName[]
  return names.flatMap((note) => [false, true].map((isWritten) => ({ note, isWritten })))
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  return list
    .map((each) => ({ each, place: random.next() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ each }) => each)
}

function factOf({ note, isWritten }: Plan): string {
  return `${isWritten ? 'after' : 'before'}${note.slice(0, 1).toUpperCase()}${note.slice(1)}`
}

function sentenceOf({ note, isWritten }: Plan): string {
  return `right ${isWritten ? 'after' : 'before'} its note (${note})`
}
