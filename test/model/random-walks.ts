import { type Database, NamespaceUnderTest } from './namespace-under-test.ts'
import { Random, seedOf } from './random.ts'
import { RandomSteps, type Step } from './steps.ts'
import { Violation } from './violation.ts'
import { Walk } from './walk.ts'

/** A walk is so long; then everything is brought to an end, and the next begins with nothing. */
const WALK_STEPS = 250
/** When the clock of a walk begins. */
const BEGIN_MS = 1_800_000_000_000

export interface Found {
  readonly violation: Violation
  /** The steps that lead to it, the last of which showed it. */
  readonly steps: readonly Step[]
  readonly walk: number
}

export interface WalksRequest {
  /** Each runs walks of its own, side by side. */
  readonly databases: readonly Database[]
  readonly seed: number
  /** How many steps in all. */
  readonly steps: number
  /** Which walk comes first: to run one again. */
  readonly firstWalk?: number
  readonly onProgress?: (steps: number) => void
}

/** Runs random walks until enough steps were made or a violation is found. */
export async function runWalks(request: WalksRequest): Promise<{ steps: number; walks: number; found?: Found }> {
  const { databases, seed, steps: wanted, firstWalk = 0, onProgress } = request
  let steps = 0
  let next = firstWalk
  const finds: Found[] = []
  const runLane = async (database: Database) => {
    while (steps < wanted && finds.length === 0) {
      const index = next++
      const result = await runWalk(database, seedOf(seed, index), Math.min(WALK_STEPS, wanted - steps))
      steps += result.steps.length
      if (result.violation) finds.push({ violation: result.violation, steps: result.steps, walk: index })
      onProgress?.(steps)
    }
  }
  await Promise.all(databases.map(runLane))
  // Walks are begun in order, and those under way are ended: the first of them that finds something is the same in every run.
  const [found] = finds.toSorted((a, b) => a.walk - b.walk)
  return { steps, walks: next - firstWalk, ...(found && { found }) }
}

async function runWalk(database: Database, seed: number, length: number) {
  const walk = await beginWalk(database)
  const chooser = new RandomSteps(new Random(seed))
  const steps: Step[] = []
  const violation = await violationOf(async () => {
    while (steps.length < length) {
      const step = chooser.next(walk.situation)
      steps.push(step)
      await walk.run(step)
    }
    await walk.finish()
  })
  return { steps, violation }
}

async function beginWalk(database: Database): Promise<Walk> {
  await database.clear()
  const namespace = new NamespaceUnderTest(database, 'model', BEGIN_MS)
  const walk = new Walk(namespace, new NamespaceUnderTest(database, 'shelf', BEGIN_MS))
  await walk.start()
  return walk
}

/** Runs given steps, and what finishes a walk; the violation that they lead to, if any. */
async function replay(database: Database, steps: readonly Step[]): Promise<Violation | undefined> {
  const walk = await beginWalk(database)
  return violationOf(async () => {
    for (const step of steps) await walk.run(step)
    await walk.finish()
  })
}

/** Leaves out steps, as many as possible, that the same invariant does not need in order to be broken. */
export async function shorten(database: Database, { steps, violation }: Found): Promise<readonly Step[]> {
  let shortest = steps
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < shortest.length; ) {
      const shorter = shortest.toSpliced(from, size)
      const again = await replay(database, shorter)
      if (again?.invariant === violation.invariant) shortest = shorter
      else from += size
    }
  }
  return shortest
}

async function violationOf(run: () => Promise<void>): Promise<Violation | undefined> {
  try {
    await run()
    return undefined
  } catch (error) {
    if (error instanceof Violation) return error
    // A script that fails, or an answer that cannot be read, is a violation as well.
    if (error instanceof Error && /^(ERR|WRONGTYPE|NOGROUP|MOCALAYOUT|user_script)/.test(error.message)) {
      return new Violation('scripts do not fail', error.message)
    }
    throw error
  }
}
