import { waitFor } from '../../support/wait-for.ts'
import { Arena } from '../arena.ts'
import type { Member } from '../fleet.ts'
import { long } from '../jobs.ts'
import { type LedgerLine, monotonicUs } from '../ledger.ts'
import { type Outcome, type Scenario, type Size, spread } from '../scenario.ts'

const SHORT_MS = 2_000
const LONG_MS = 20_000
const HELD_LEAST = 5

export const mixedLeases: Scenario = {
  name: 'mixed-leases',
  title: 'Workers with different leases',
  text: `One worker has a lease of ${LONG_MS / 1_000} s and renews it every seven seconds or so; the others have one of ${SHORT_MS / 1_000} s, and are killed (SIGKILL) one after another. Their jobs are taken over after their own short lease, those of the first worker never while it lives: each by the lease of the worker that has it. In the end the first is killed too: what it ran stays its own until its long lease is over.`,
  run,
}

async function run(size: Size, seed: number, count = size === 'full' ? 20 : 1): Promise<Outcome> {
  const arena = await Arena.open({ seed, leaseMs: SHORT_MS, load: { outstanding: 150, longShare: 0.004 } })
  try {
    const patient = arena.fleet.start({ worker: { lease: LONG_MS } })
    await arena.fleet.startMany(2)
    await patient.ready()
    arena.startLoad()
    const held: number[] = []
    const takenOverMs: number[] = []
    for (let n = 0; n < count; n++) {
      await runsLong(arena, patient)
      const victim = await loaded(arena, (member) => member !== patient)
      const left = await victim.kill()
      held.push(left.length)
      takenOverMs.push(await takenOver(arena, left))
      await arena.fleet.start().ready()
    }
    // Half a minute: not in `npm test`.
    const earlyMs = size === 'full' ? await endPatient(arena, patient) : undefined
    const verdict = await arena.finish()
    const ran = longRuns(arena, patient)
    const problems: string[] = []
    if (ran === 0) problems.push('no job of the worker with the long lease ran for longer than the short lease')
    if (verdict.counts.rerunAfterDeath === 0) problems.push('nothing was taken over from those that were killed')
    if (earlyMs !== undefined && earlyMs < LONG_MS / 2)
      problems.push(`a job of the worker with the long lease was taken over ${earlyMs} ms after its death`)
    const facts = {
      kills: count,
      ...spread('held', held),
      ...spread('takenOverMs', takenOverMs),
      runsLongerThanTheShortLease: ran,
      ...(earlyMs === undefined ? {} : { longLeaseTakenOverMs: earlyMs }),
    }
    return { facts, verdict, problems }
  } finally {
    await arena.close()
  }
}

/** Sees to it that this worker runs a job for longer than the short lease. */
async function runsLong(arena: Arena, member: Member): Promise<void> {
  const mine = new Set<string>()
  const isThere = () => {
    if (member.unfinished().some(({ name }) => mine.has(name))) return true
    // One more at a time: any worker may get it.
    if (mine.size === 0 || [...mine].every((name) => arena.starts(name).length > 0))
      mine.add(arena.load.enqueue({ job: long, ms: SHORT_MS * 2 }).name)
    return false
  }
  await waitFor(isThere, {
    timeoutMs: 60_000,
    intervalMs: 100,
    describe: 'a long job in the worker with the long lease',
  })
}

async function loaded(arena: Arena, isWanted: (member: Member) => boolean): Promise<Member> {
  const candidates = () =>
    arena.fleet.alive.filter((member) => isWanted(member) && member.unfinished().length >= HELD_LEAST)
  await waitFor(() => candidates().length > 0, { timeoutMs: 60_000, intervalMs: 3, describe: 'a loaded worker' })
  return arena.random.pick(candidates())
}

/** Waits until one of these jobs runs elsewhere; how long after now. */
async function takenOver(arena: Arena, lines: readonly LedgerLine[], timeoutMs = 60_000): Promise<number> {
  const names = new Set(lines.map(({ name }) => name))
  const fromUs = monotonicUs()
  const again = () => arena.ledger().find(({ kind, name, us }) => kind === 'start' && us > fromUs && names.has(name))
  const first = await waitFor(again, { timeoutMs, intervalMs: 100, describe: 'a job of a dead worker to run again' })
  return Math.round((first.us - fromUs) / 1_000)
}

function longRuns(arena: Arena, { pid }: Member): number {
  const lines = arena.ledger().filter((line) => line.pid === pid)
  const startUs = new Map(lines.flatMap(({ kind, run, us }) => (kind === 'start' ? [[run, us] as const] : [])))
  const lasted = ({ run, us }: LedgerLine) => us - (startUs.get(run) ?? us)
  return lines.filter((line) => line.kind === 'end' && lasted(line) > SHORT_MS * 1_000).length
}

async function endPatient(arena: Arena, patient: Member): Promise<number> {
  await runsLong(arena, patient)
  return takenOver(arena, await patient.kill())
}
