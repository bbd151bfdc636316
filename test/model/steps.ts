import type { Random } from './random.ts'
import type { SettledOutcome } from './server-model.ts'

// The steps of a walk. They are small numbers that are resolved when the step runs ("the third of what worker 0 holds"), so that a
// walk can be replayed, and shortened, as a list of them.

export interface JobToEnqueue {
  /** Makes the given id: equal for no two jobs of a walk. */
  readonly name: number
  readonly type: 0 | 1
  readonly key?: number
  /** Delay in ms; negative = due at an instant that has passed. */
  readonly delay?: number
  readonly idempotency?: number
  readonly big?: true
  readonly expires?: true
  /** It keeps its key when it dies. */
  readonly blocks?: true
}

export interface Pick {
  readonly pick: number
  /** memory: what the worker holds; reported: what it has settled before; foreign: what another worker holds. */
  readonly from?: 'reported' | 'foreign'
}

/** What a relay sends of its log: the next batch, which is made of the jobs, or another one that it should not send. */
export type RelayedBatch =
  | 'next'
  | 'last again'
  | 'older'
  | 'beyond the next'
  | 'last with other rows'
  | 'next of another log'

export type Step =
  | { do: 'enqueue'; jobs: JobToEnqueue[]; max?: number; atomic?: true }
  | { do: 'relay'; unit: number; batch: RelayedBatch; jobs: JobToEnqueue[]; epoch?: 'older' | 'newer'; max?: number }
  | { do: 'reposition'; unit: number; back: number }
  | { do: 'subscribe' }
  | { do: 'publish'; jobs: JobToEnqueue[]; isOutdated?: true; max?: number }
  | { do: 'read'; by: number; letter: string; count: number; reply?: 'lost' | 'old session' }
  | { do: 'settle'; by: number; picks: (Pick & { outcome: number })[]; history?: true }
  | { do: 'renew'; by: number; picks: Pick[] }
  | { do: 'release'; by: number; picks: Pick[]; decided?: 'now' | 'before a renewal' | 'in an earlier session' }
  | { do: 'session'; by: number; keep: number }
  | { do: 'late adoption'; by: number }
  | { do: 'crash'; by: number }
  | { do: 'age'; whose: number | 'gone' | 'all'; long?: true }
  | { do: 'rescue'; by: number; page: number }
  | { do: 'promote'; limit: number }
  | { do: 'move'; to: 'cancel' | 'retry' | 'purge'; picks: number[]; among?: 'dead' }
  | { do: 'clock'; by: number }
  | { do: 'snapshot' }
  | { do: 'restart'; forget?: true }
  | { do: 'flush' }
  | { do: 'expire marker'; idempotency: number }
  | { do: 'beat'; by: number; leaves?: true; long?: true }
  | { do: 'count' }

export const OUTCOMES: readonly SettledOutcome[] = [
  { r: 'completed' },
  { r: 'delayed', d: 0, a: true, er: { m: 'Error: planned' } },
  { r: 'delayed', d: 20, a: true, er: { m: 'Error: planned' } },
  { r: 'delayed', d: 3 },
  { r: 'dead', rs: 'attempts used up', a: true, er: { m: 'Error: planned' } },
  { r: 'dead', rs: 'unreadable' },
  { r: 'released' },
  { r: 'aside' },
  { r: 'cancelled' },
  { r: 'expired' },
]

const ASIDE = OUTCOMES.findIndex(({ r }) => r === 'aside')

export const TYPES = ['x', 'y'] as const
export const KEYS = ['k:1', 'k/2'] as const
export const WORKERS = 3
/** Lanes of an outbox. */
const UNITS = 2
/** All streams that jobs of these types can stand in. */
export const LETTERS = ['m', 'f', 's', 'a', 'tx', 'ty'] as const

/** What the choice of the next step depends on. */
export interface Situation {
  readonly jobs: number
  readonly dead: number
  /** Letters of streams in which something waits. */
  readonly unread: readonly string[]
  /** Indexes of workers that hold something, or believe so. */
  readonly holders: readonly number[]
}

/** No further jobs are enqueued beyond so many. */
const MOST_JOBS = 11

// Forwards mostly: a little, past most delays, past a lease. Back as a clock does that is set.
const PASSING_MS = [1, 1, 2, 5, 30, 30, 150_000_000, 1_500_000_000, -1, -4, -100]

/** Chooses steps by chance; the same seed gives the same walk, as long as the scripts do the same. */
export class RandomSteps {
  readonly #random: Random
  #names = 0

  constructor(random: Random) {
    this.#random = random
  }

  next({ jobs, dead, unread, holders }: Situation): Step {
    const random = this.#random
    const held = holders.length
    // Mostly what can do something; now and then what should do nothing.
    const by = held > 0 && !random.chance(4) ? random.pick(holders) : random.int(WORKERS)
    const kind = random.weighted({
      enqueue: jobs < MOST_JOBS ? 14 : 0,
      relay: jobs < MOST_JOBS ? 7 : 1,
      publish: jobs < MOST_JOBS ? 2 : 0,
      read: unread.length > 0 ? 24 : 2,
      settle: held > 0 ? 26 : 1,
      renew: held > 0 ? 6 : 0,
      release: held > 0 ? 3 : 0,
      session: 3,
      crash: 2,
      age: 5,
      rescue: 6,
      promote: 6,
      move: jobs > 0 ? 5 : 0,
      clock: 9,
      snapshot: 2,
      restart: 1,
      rare: 2,
    })
    switch (kind) {
      case 'enqueue':
        return this.#enqueue()
      case 'relay':
        return this.#relay()
      case 'publish':
        return this.#publish()
      case 'read':
        return this.#read(unread)
      case 'settle': {
        const history = random.chance(8) && { history: true as const }
        if (random.chance(5))
          return { do: 'settle', by, picks: upTo(16).map((pick) => ({ pick, outcome: 0 })), ...history }
        const picks = this.#some(3, () => ({
          ...this.#pick(),
          outcome: this.#outcome(),
        }))
        return { do: 'settle', by, picks, ...history }
      }
      case 'renew':
        return {
          do: 'renew',
          by,
          picks: random.chance(2) ? upTo(16).map((pick) => ({ pick })) : this.#some(3, () => this.#pick()),
        }
      case 'release':
        return {
          do: 'release',
          by,
          picks: this.#some(3, () => this.#pick()),
          ...(random.chance(2) && {
            decided: random.pick(['now', 'before a renewal', 'in an earlier session'] as const),
          }),
        }
      case 'session':
        return { do: 'session', by, keep: random.int(256) }
      case 'crash':
        return { do: 'crash', by }
      case 'age':
        return {
          do: 'age',
          whose: random.pick([0, 1, 2, 'gone', 'gone', 'all'] as const),
          ...(random.chance(4) && { long: true }),
        }
      case 'rescue':
        return { do: 'rescue', by, page: random.pick([1, 1, 2, 3]) }
      case 'promote':
        return { do: 'promote', limit: 1 + random.int(4) }
      case 'move':
        return dead > 0 && random.chance(2)
          ? { do: 'move', to: 'retry', picks: [random.int(64)], among: 'dead' }
          : {
              do: 'move',
              to: random.pick(['cancel', 'cancel', 'purge', 'retry'] as const),
              picks: this.#some(2, () => random.int(64)),
            }
      case 'clock':
        return { do: 'clock', by: random.pick(PASSING_MS) }
      case 'snapshot':
        return { do: 'snapshot' }
      case 'restart':
        return random.chance(3) ? { do: 'restart' } : { do: 'restart', forget: true }
      default:
        return random.pick<Step>([
          ...(random.chance(3) ? [{ do: 'flush' } as const] : []),
          { do: 'count' },
          { do: 'count' },
          { do: 'late adoption', by },
          { do: 'late adoption', by },
          { do: 'expire marker', idempotency: random.int(3) },
          { do: 'subscribe' },
          { do: 'beat', by },
          { do: 'beat', by, long: true },
          { do: 'beat', by, leaves: true },
        ])
    }
  }

  #enqueue(): Step {
    const random = this.#random
    // More than a page of a sweep.
    if (random.chance(16)) return { do: 'enqueue', jobs: upTo(13).map(() => ({ name: this.#names++, type: 0 })) }
    const isBounded = random.chance(8)
    // Where room is short it matters which jobs are known already.
    const job = () => ({ ...this.#job(), ...(isBounded && random.chance(2) && { idempotency: random.int(3) }) })
    return {
      do: 'enqueue',
      jobs: this.#some(3, job),
      ...(isBounded && { max: random.int(6) }),
      ...(isBounded && random.chance(2) && { atomic: true }),
    }
  }

  #job(): JobToEnqueue {
    const random = this.#random
    const type = random.chance(5) ? 1 : 0
    // The first digits come by chance, so that ids do not sort in the order in which they were made.
    const name = random.int(1000) * 1_000_000_000 + this.#names++
    if (random.chance(3)) return { name, type }
    return {
      name,
      type,
      ...(random.chance(2) && { key: random.int(KEYS.length), ...(random.chance(2) && { blocks: true as const }) }),
      ...(random.chance(3) && { delay: random.pick([1, 3, 20, 20, 20, -5, 0]) }),
      ...(random.chance(6) && { idempotency: random.int(3) }),
      ...(random.chance(8) && { big: true }),
      ...(random.chance(8) && { expires: true }),
    }
  }

  #relay(): Step {
    const random = this.#random
    if (random.chance(10)) return { do: 'reposition', unit: random.int(UNITS), back: 1 + random.int(3) }
    const batch = random.chance(3)
      ? random.pick(['last again', 'older', 'beyond the next', 'last with other rows', 'next of another log'] as const)
      : 'next'
    return {
      do: 'relay',
      unit: random.int(UNITS),
      batch,
      jobs: this.#some(3, () => this.#job()),
      ...(random.chance(6) && { epoch: random.pick(['older', 'newer'] as const) }),
      ...(random.chance(8) && { max: random.int(6) }),
    }
  }

  #publish(): Step {
    const random = this.#random
    return {
      do: 'publish',
      jobs: this.#some(3, () => this.#job()),
      ...(random.chance(4) && { isOutdated: true }),
      ...(random.chance(8) && { max: random.int(6) }),
    }
  }

  #read(unread: readonly string[]): Step {
    const random = this.#random
    const by = random.int(WORKERS)
    const letter = unread.length > 0 && !random.chance(12) ? random.pick(unread) : random.pick(LETTERS)
    const reply = random.chance(12) ? 'lost' : random.chance(12) ? 'old session' : undefined
    return { do: 'read', by, letter, count: random.chance(6) ? 11 : 1 + random.int(3), ...(reply && { reply }) }
  }

  #pick(): Pick {
    const random = this.#random
    const pick = random.int(16)
    if (random.chance(8)) return { pick, from: 'reported' }
    if (random.chance(10)) return { pick, from: 'foreign' }
    return { pick }
  }

  /** Completed, mostly; set aside more often than chance would have it: much follows from it. */
  #outcome(): number {
    const random = this.#random
    if (random.chance(2)) return 0
    return random.chance(4) ? ASIDE : random.int(OUTCOMES.length)
  }

  #some<T>(most: number, make: () => T): T[] {
    return Array.from({ length: 1 + this.#random.int(most) }, make)
  }
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
