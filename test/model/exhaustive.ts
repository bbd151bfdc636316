import { type Database, LEASE_MS, NamespaceUnderTest } from './namespace-under-test.ts'
import type { Picture } from './picture.ts'
import type { ServerModel } from './server-model.ts'
import type { Step } from './steps.ts'
import { Violation } from './violation.ts'
import { Walk } from './walk.ts'

// Every walk of a given depth, with two workers and at most three jobs. A move is one or several steps that belong together, such as
// a worker that hangs until its lease has ended and is swept by the other. A state that was met before with as much depth left is not
// walked again: states are equal when only names and the lengths of long pauses differ.

const WORKERS = 2
const BEGIN_MS = 1_800_000_000_000
const DELAY_MS = 5
/** Pauses longer than this are taken for equal: longer than any chain of "the ms after" that a walk of this depth can build. */
const LONG_MS = 20

export interface Exploration {
  moves: number
  states: number
  found?: { violation: Violation; steps: readonly Step[] }
}

export interface ExploreRequest {
  /** Each explores a share, side by side. */
  readonly databases: readonly Database[]
  readonly depth: number
  readonly jobs: number
}

export async function explore({ databases, depth, jobs }: ExploreRequest): Promise<Exploration> {
  const result: Exploration = { moves: 0, states: 0 }
  const met = new Map<string, number>()
  const roots = await Promise.all(databases.map((database) => beginWalk(database)))
  const moves = movesAt(roots[0] as Walk, jobs)
  await Promise.all(
    roots.map(async (root, lane) => {
      const explorer = new Explorer(databases[lane] as Database, jobs, met, result)
      for (let move = moves.shift(); move; move = moves.shift()) await explorer.walk(root, [move], depth, 1, [])
    }),
  )
  result.states = met.size
  return result
}

async function beginWalk(database: Database): Promise<Walk> {
  await database.clear()
  const walk = new Walk(namespaceAt(database, 0), new NamespaceUnderTest(database, 'shelf', BEGIN_MS), WORKERS)
  await walk.start()
  await walk.run({ do: 'clock', by: 2 * LEASE_MS })
  for (let by = 0; by < WORKERS; by++) await walk.run({ do: 'session', by, keep: 0 })
  return walk
}

function namespaceAt(database: Database, depth: number): NamespaceUnderTest {
  return new NamespaceUnderTest(database, `depth${depth}`, BEGIN_MS)
}

class Explorer {
  readonly #database: Database
  readonly #jobs: number
  readonly #met: Map<string, number>
  readonly #result: Exploration

  constructor(database: Database, jobs: number, met: Map<string, number>, result: Exploration) {
    this.#database = database
    this.#jobs = jobs
    this.#met = met
    this.#result = result
  }

  async walk(from: Walk, moves: Step[][], left: number, level: number, path: readonly Step[]): Promise<void> {
    for (const move of moves) {
      for (const steps of [move, [{ do: 'snapshot' } as const, ...move, { do: 'restart', forget: true } as const]]) {
        if (this.#result.found) return
        this.#result.moves++
        const shelf = new NamespaceUnderTest(this.#database, 'shelf', BEGIN_MS)
        const walk = await from.fork(namespaceAt(this.#database, level), shelf)
        const taken = [...path, ...steps]
        if (!(await this.#take(walk, steps, taken))) return
        walk.forgetSnapshot()
        if (left > 1 && this.#isNew(walk, left - 1)) {
          await this.walk(walk, movesAt(walk, this.#jobs), left - 1, level + 1, taken)
        }
      }
    }
  }

  async #take(walk: Walk, steps: readonly Step[], taken: readonly Step[]): Promise<boolean> {
    try {
      for (const step of steps) await walk.run(step)
      return true
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      this.#result.found ??= { violation: error, steps: taken }
      return false
    }
  }

  #isNew(walk: Walk, left: number): boolean {
    const state = describeState(walk)
    if ((this.#met.get(state) ?? 0) >= left) return false
    this.#met.set(state, left)
    return true
  }
}

/** What can happen next. */
function movesAt({ model, world }: Walk, jobs: number): Step[][] {
  const moves: Step[][] = []
  const accepted = model.counters.get('accepted') ?? 0
  if (accepted < jobs) {
    const enqueue = (options: object) =>
      moves.push([{ do: 'enqueue', jobs: [{ name: accepted, type: 0, ...options }] }])
    enqueue({})
    enqueue({ key: 0 })
    enqueue({ key: 0, blocks: true })
    enqueue({ key: 0, delay: DELAY_MS })
  }
  const all = [...model.jobs.values()]
  const unread = new Set(all.filter(({ state }) => state === 'waiting').map(({ letter }) => letter))
  for (const [by, worker] of world.workers.entries()) {
    for (const letter of unread) moves.push([{ do: 'read', by, letter, count: 1 }])
    for (const [pick] of worker.memory.entries()) {
      for (const outcome of [0, 1, 5, 6]) moves.push([{ do: 'settle', by, picks: [{ pick, outcome }] }])
    }
    if (worker.reported.length > 0) {
      moves.push([{ do: 'settle', by, picks: [{ pick: worker.reported.length - 1, outcome: 0, from: 'reported' }] }])
    }
    if (worker.memory.length > 0) {
      const pause: Step[] = [
        { do: 'clock', by: 2 * LEASE_MS },
        { do: 'age', whose: by },
      ]
      const sweep: Step = { do: 'rescue', by: 1 - by, page: 1 }
      moves.push([...pause, sweep], [...pause, { do: 'crash', by }, sweep], [{ do: 'session', by, keep: 1 }])
    }
  }
  if (all.some(({ state }) => state === 'delayed')) {
    moves.push([
      { do: 'clock', by: DELAY_MS },
      { do: 'promote', limit: 10 },
    ])
  }
  moves.push([{ do: 'clock', by: 1 }], [{ do: 'clock', by: -3 }])
  for (const [pick, { state }] of all.entries()) {
    if (state === 'dead') {
      moves.push([{ do: 'move', to: 'retry', picks: [pick] }])
      moves.push([{ do: 'move', to: 'cancel', picks: [pick] }])
    } else if (state !== 'active') moves.push([{ do: 'move', to: 'cancel', picks: [pick] }])
  }
  return moves
}

/** All that can make a difference to what happens next, with instants replaced by their order and distance. */
function describeState(walk: Walk): string {
  const { model, world, picture } = walk
  const ids = [...model.jobs.keys()]
  const nameJob = (id: string | undefined) => (id === undefined ? '' : ids.indexOf(id))
  const nameConsumer = (consumer: string | undefined) => {
    const index = world.workers.findIndex(({ name }) => consumer?.startsWith(`${name}.`))
    if (index < 0) return consumer === undefined ? '' : 'gone'
    return `${index}${consumer?.endsWith(`.${world.workers[index]?.session}`) ? '' : ' before'}`
  }
  const text = JSON.stringify([
    [...model.jobs.values()].map((job) => ({ ...job, id: 0, turn: undefined, owner: nameConsumer(job.owner) })),
    turns(model),
    [...model.slots].map(([key, id]) => [key, nameJob(id)]),
    [...model.gates].map(([key, gated]) => [key, gated.map(nameJob)]),
    world.workers.map(({ isConnected, boot, memory, reported }) => [
      isConnected,
      boot === walk.boot,
      [...memory, ...reported.slice(-1)].map((attempt) => ({ ...attempt, job: nameJob(attempt.job) })),
    ]),
    [...world.fences].map(([name, fence]) => [nameJob(name.slice(4)), `${fence >> 20n}-${fence & 0xfffffn}`]),
    marks(walk, picture),
  ])
  return compress(text)
}

function turns({ jobs }: ServerModel): number[] {
  const all = [...jobs.values()]
  return all.map((job) => all.filter(({ turn }) => turn !== undefined && turn < (job.turn ?? -1)).length)
}

function marks({ namespace, boot, model }: Walk, { lasts, floor }: Picture): unknown {
  return [`${namespace.nowMs}-0`, boot, floor, [...lasts], model.counters.get('accepted') ?? 0]
}

/** Replaces each instant by one that keeps the order, and distances up to LONG_MS. */
function compress(text: string): string {
  const instant = /\d{13}/g
  const found = [...new Set(text.match(instant))].map(Number).toSorted((a, b) => a - b)
  const replaced = new Map<string, string>()
  let at = 0
  for (const [index, ms] of found.entries()) {
    at += index === 0 ? 0 : Math.min(LONG_MS, ms - (found[index - 1] as number))
    replaced.set(String(ms), String(at))
  }
  return text.replaceAll(instant, (ms) => replaced.get(ms) as string)
}
