import { waitFor } from '../../support/wait-for.ts'
import { Arena } from '../arena.ts'
import type { Member } from '../fleet.ts'
import { poison } from '../jobs.ts'
import { type Outcome, type Scenario, type Size, spread } from '../scenario.ts'

/** A kill counts only if its victim held at least so many unfinished attempts. */
const HELD_LEAST = 10
/** The first is not charged; maxStalls is 3. */
const POISON_DEATHS_MOST = 4

export const killWorkers: Scenario = {
  name: 'kill-workers',
  title: 'Workers are killed',
  text: `SIGKILL of workers at random moments. A kill counts only if the victim held ${HELD_LEAST} or more attempts that had begun and not ended. Among the jobs are poison pills, which kill every process that runs them: they alone may die of it. Nothing may be lost, nothing may run twice while its worker lives, keys keep their order.`,
  run,
}

async function run(size: Size, seed: number, count = size === 'full' ? 200 : 6): Promise<Outcome> {
  const arena = await Arena.open({ seed, load: { longShare: size === 'full' ? 0.004 : 0.001 } })
  try {
    await arena.fleet.startMany(4)
    arena.startLoad()
    const pills = size === 'full' ? 4 : 1
    const heldAtDeath: number[] = []
    let tooFew = 0
    while (heldAtDeath.length < count) {
      // Spread over the run, the last one not too late to die.
      if (heldAtDeath.length >= (planted(arena) * count) / (pills + 1) && planted(arena) < pills) plant(arena)
      const held = (await (await victim(arena)).kill()).length
      if (held >= HELD_LEAST) heldAtDeath.push(held)
      else tooFew++
      await keepUp(arena, 4)
    }
    // A pill ends several workers before it is dead: others take their place.
    const keeper = setInterval(() => void keepUp(arena, 4), 200)
    const verdict = await arena.finish().finally(() => clearInterval(keeper))
    const deaths = arena.fleet.fates.filter(({ diedUs }) => diedUs !== undefined).length
    const facts = {
      kills: heldAtDeath.length,
      ...spread('held', heldAtDeath),
      killsNotCounted: tooFew,
      poisonPills: pills,
      deathsByPoison: deaths - heldAtDeath.length - tooFew,
    }
    const problems = [
      ...(verdict.counts.rerunAfterDeath === 0 ? ['nothing was taken over from those that were killed'] : []),
      ...(facts.deathsByPoison > pills * POISON_DEATHS_MOST
        ? [`${pills} poison pills ended ${facts.deathsByPoison} workers`]
        : []),
    ]
    return { facts, verdict, problems }
  } finally {
    await arena.close()
  }
}

async function victim(arena: Arena): Promise<Member> {
  // Others may do; it only must not be the same one again and again.
  const candidates = () => arena.fleet.alive.filter((member) => member.unfinished().length > HELD_LEAST + 1)
  const found = await waitFor(
    () => {
      const some = candidates()
      return some.length > 0 ? some : undefined
    },
    {
      timeoutMs: 60_000,
      intervalMs: 3,
      describe: () =>
        `a worker with more than ${HELD_LEAST + 1} attempts (they have ${arena.fleet.alive.map((member) => member.unfinished().length).join(', ')})`,
    },
  )
  return arena.random.pick(found)
}

async function keepUp(arena: Arena, workers: number): Promise<void> {
  const missing = workers - arena.fleet.alive.length
  for (let n = 0; n < missing; n++) arena.fleet.start()
}

function planted(arena: Arena): number {
  return arena.load.journal.filter(({ expects }) => expects === 'kills').length
}

function plant(arena: Arena): void {
  arena.load.enqueue({ job: poison, ms: 0, expects: 'kills' })
}
