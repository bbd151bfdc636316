import type { ReceivedPosition } from '../../src/job/job-receiver.ts'
import { must } from './violation.ts'

// What the server must hold after each step, said without streams and hashes: jobs, where they are, who has them, whose turn it is.
// It follows the specification, not the scripts. Ids of entries are the server's to choose; the model learns them (agreement.ts).

export type JobState = 'waiting' | 'active' | 'delayed' | 'gated' | 'dead'

export interface ModelJob {
  readonly id: string
  readonly type: string
  readonly key: string | undefined
  /** It keeps its key when it dies. */
  readonly blocks: boolean
  readonly isBig: boolean
  readonly payload: string
  state: JobState
  /** The stream in which it waits or is active. */
  letter: string
  /** Its entry there; undefined until it is seen. */
  entry: string | undefined
  /** The consumer that holds it while it is active. */
  owner: string | undefined
  /** How long its owner has not renewed it, as far as steps have let it age (ms). */
  idleMs: number
  /** How often this attempt was delivered or renewed. */
  deliveries: number
  dueMs: number
  charged: number
  stalls: number
  chargedStalls: number
  releases: number
  /** Entry of the attempt before. */
  before: string | undefined
  /** Since when it stands in a side stream. */
  asideMs: number
  reason: string | undefined
  /** Its place in the order of its key; undefined while it has none (a delayed job takes its place when it is due). */
  turn: number | undefined
}

export interface EnqueuedJob {
  /** Given id; undefined = its entry becomes its id. */
  readonly id: string | undefined
  readonly type: string
  readonly key: string | undefined
  readonly blocks: boolean
  readonly payload: string
  readonly isBig: boolean
  readonly dueMs: number | undefined
  /** Hash of its idempotency key. */
  readonly marker: string | undefined
}

export type SettledOutcome = { readonly again?: true } & (
  | { readonly r: 'completed' | 'released' | 'aside' | 'cancelled' | 'expired' }
  | { readonly r: 'delayed'; readonly d: number; readonly a?: true; readonly er?: { readonly m: string } }
  | { readonly r: 'dead'; readonly rs: string; readonly a?: true; readonly er?: { readonly m: string } }
)

export class ServerModel {
  jobs = new Map<string, ModelJob>()
  counters = new Map<string, number>()
  slots = new Map<string, string>()
  gates = new Map<string, string[]>()
  markers = new Map<string, string>()
  sides = new Set<string>()
  /** How far each unit of an outbox has come. */
  positions = new Map<string, ReceivedPosition>()
  /** Deaths that people should hear of: job and reason. */
  notes: (readonly [id: string, reason: string])[] = []
  /** Version of the set of subscriptions. */
  version = 0
  /** When this life of the server began, by its clock. */
  bootMs = 0
  /** The leases that workers registered, with the instant of their last sign of life. */
  workers = new Map<string, { leaseMs: number; seenMs: number }>()
  /** When a job was accepted last. */
  acceptedAtMs = 0
  #nextTurn = 0

  clone(): ServerModel {
    const copy = new ServerModel()
    copy.jobs = new Map([...this.jobs].map(([id, job]) => [id, { ...job }]))
    copy.counters = new Map(this.counters)
    copy.slots = new Map(this.slots)
    copy.gates = new Map([...this.gates].map(([key, ids]) => [key, [...ids]]))
    copy.markers = new Map(this.markers)
    copy.sides = new Set(this.sides)
    copy.positions = new Map(this.positions)
    copy.notes = [...this.notes]
    copy.version = this.version
    copy.bootMs = this.bootMs
    copy.workers = new Map(this.workers)
    copy.acceptedAtMs = this.acceptedAtMs
    copy.#nextTurn = this.#nextTurn
    return copy
  }

  count(name: string, by = 1): void {
    if (by > 0) this.counters.set(name, (this.counters.get(name) ?? 0) + by)
  }

  /** Jobs that `maxWaiting` counts. */
  get waiting(): number {
    let sum = 0
    for (const { state } of this.jobs.values()) if (state === 'gated' || state === 'waiting') sum++
    return sum
  }

  /** How many of these jobs need room: not those whose idempotency key is known, or repeated among them. */
  newcomers(jobs: readonly EnqueuedJob[]): number {
    const markers = jobs.flatMap(({ marker }) => marker ?? [])
    const fresh = new Set(markers.filter((marker) => !this.markers.has(marker)))
    return jobs.length - markers.length + fresh.size
  }

  /** Accepts jobs, told what the script answered; returns what it must have answered. */
  enqueue(jobs: readonly EnqueuedJob[], nowMs: number, room: number, answers: readonly string[]): string[] {
    let accepted = 0
    const expected = jobs.map((job, index) => {
      const known = job.marker === undefined ? undefined : this.markers.get(job.marker)
      if (known !== undefined) return `=${known}`
      if (accepted >= room) return 'full'
      const id = job.id ?? answers[index] ?? ''
      accepted++
      if (job.marker !== undefined) this.markers.set(job.marker, `q.0.${id}`)
      this.#accept(id, job, nowMs)
      return id
    })
    this.count('accepted', accepted)
    if (accepted > 0) this.acceptedAtMs = nowMs
    return expected
  }

  /** What becomes of a numbered batch of an outbox: the table of docs/decisions/0032-batches-and-leases.md. */
  relay(unit: string, batch: ReceivedPosition, jobs: readonly EnqueuedJob[], nowMs: number, room: number): string {
    const { logId, n, epoch, digest } = this.positions.get(unit) ?? { logId: batch.logId, n: 0, epoch: 0, digest: '' }
    if (logId !== batch.logId) return 'foreign'
    if (epoch > batch.epoch) return 'stale'
    if (n > batch.n) return 'ahead'
    if (n === batch.n) return digest === batch.digest || digest === '' ? 'done' : 'ahead'
    if (n < batch.n - 1) return 'forgot'
    if (jobs.length > 0 && room <= 0) return 'full'
    this.#acceptNew(jobs, nowMs)
    this.positions.set(unit, batch)
    return 'applied'
  }

  publish(version: number, jobs: readonly EnqueuedJob[], nowMs: number, room: number): string {
    if (version !== this.version) return 'outdated'
    if (jobs.length > 0 && room <= 0) return 'full'
    this.#acceptNew(jobs, nowMs)
    return 'published'
  }

  /** Those that stand here already are passed over. */
  #acceptNew(jobs: readonly EnqueuedJob[], nowMs: number): void {
    for (const job of jobs) {
      const id = job.id as string
      if (this.jobs.has(id)) continue
      this.#accept(id, job, nowMs)
      this.count('accepted')
      this.acceptedAtMs = nowMs
    }
  }

  #accept(id: string, { type, key, blocks, payload, isBig, dueMs }: EnqueuedJob, nowMs: number): void {
    must('one id, one job', !this.jobs.has(id), () => `${id} was given to a second job`)
    const job: ModelJob = {
      id,
      type,
      key,
      blocks,
      isBig,
      payload,
      state: 'waiting',
      letter: 'm',
      entry: undefined,
      owner: undefined,
      idleMs: 0,
      deliveries: 0,
      dueMs: 0,
      charged: 0,
      stalls: 0,
      chargedStalls: 0,
      releases: 0,
      before: undefined,
      asideMs: 0,
      reason: undefined,
      turn: undefined,
    }
    this.jobs.set(id, job)
    if (dueMs !== undefined && dueMs > nowMs) {
      job.state = 'delayed'
      job.dueMs = dueMs
    } else this.#takeTurn(job, 'm')
  }

  /** A job whose time has come: into a stream, or behind the others of its key. */
  #takeTurn(job: ModelJob, letter: string): void {
    if (job.key === undefined) {
      this.#wait(job, letter)
      return
    }
    const holder = this.slots.get(job.key)
    // A dead letter that kept its key runs again in its turn.
    if (holder === job.id) {
      this.#wait(job, letter)
      return
    }
    job.turn = this.#nextTurn++
    if (holder !== undefined) {
      job.state = 'gated'
      const gate = this.gates.get(job.key)
      if (gate) gate.push(job.id)
      else this.gates.set(job.key, [job.id])
    } else {
      this.slots.set(job.key, job.id)
      this.#wait(job, letter)
    }
  }

  #wait(job: ModelJob, letter: string): void {
    if (job.entry !== undefined) job.before = job.entry
    job.state = 'waiting'
    job.letter = letter
    job.entry = undefined
    job.owner = undefined
    job.idleMs = 0
  }

  /** The next of the key, after `job` has left it. */
  #leaveKey(job: ModelJob): void {
    if (job.key === undefined || this.slots.get(job.key) !== job.id) return
    const gate = this.gates.get(job.key)
    const next = gate?.shift()
    if (gate?.length === 0) this.gates.delete(job.key)
    if (next === undefined) this.slots.delete(job.key)
    else {
      this.slots.set(job.key, next)
      this.#wait(this.jobs.get(next) as ModelJob, 'f')
    }
  }

  #remove(job: ModelJob): void {
    this.#leaveKey(job)
    this.jobs.delete(job.id)
  }

  #bury(job: ModelJob, reason: string): void {
    if (job.entry !== undefined) job.before = job.entry
    job.state = 'dead'
    job.reason = reason
    job.entry = undefined
    job.owner = undefined
    if (!job.blocks) {
      this.#leaveKey(job)
      job.turn = undefined
    }
    this.count('died')
    this.notes.push([job.id, reason])
  }

  /** A worker has read an entry. */
  read(id: string, letter: string, entry: string, owner: string): ModelJob {
    const job = this.jobs.get(id)
    must('reads hand out what waits', job?.state === 'waiting' && job.letter === letter, () => {
      return `${owner} read ${letter}:${entry}, job ${id}, which is ${job ? `${job.state} in ${job.letter}` : 'no job'}`
    })
    const read = job as ModelJob
    if (read.key !== undefined) this.#checkTurn(read)
    read.state = 'active'
    read.entry = entry
    read.owner = owner
    read.idleMs = 0
    read.deliveries = 1
    return read
  }

  /** Jobs of a key run one after another, in the order in which they took their turns. */
  #checkTurn(job: ModelJob): void {
    for (const other of this.jobs.values()) {
      if (other === job || other.key !== job.key || other.turn === undefined) continue
      must('a blocked key runs nothing', other.state !== 'dead', () => {
        return `${job.id} of key ${job.key} was read, which the dead letter ${other.id} keeps`
      })
      must('the order of a key', other.turn > (job.turn as number), () => {
        return `${job.id} of key ${job.key} was read while ${other.id}, accepted before it, is ${other.state}`
      })
    }
  }

  /** The job of an attempt, if the attempt still is the one that counts. */
  current(worker: string, letter: string, entry: string): ModelJob | undefined {
    for (const job of this.jobs.values()) {
      if (job.state === 'active' && job.entry === entry && job.letter === letter) {
        return isOf(job.owner, worker) ? job : undefined
      }
    }
    return undefined
  }

  /** Applies an outcome; false = the attempt is stale and nothing happened. */
  settle(worker: string, letter: string, entry: string, outcome: SettledOutcome, nowMs: number): boolean {
    const job = this.current(worker, letter, entry)
    if (!job) return false
    if ('a' in outcome && outcome.a) job.charged++
    switch (outcome.r) {
      case 'completed':
      case 'cancelled':
      case 'expired':
        this.#remove(job)
        this.count(outcome.r)
        break
      case 'delayed':
        job.before = job.entry
        job.state = 'delayed'
        job.dueMs = nowMs + outcome.d
        job.entry = undefined
        job.owner = undefined
        this.count(outcome.a ? 'retried' : 'snoozed')
        break
      case 'dead':
        this.#bury(job, outcome.rs)
        break
      case 'released':
        this.release(job)
        break
      case 'aside':
        job.asideMs = nowMs
        this.sides.add(job.type)
        this.#wait(job, `t${job.type}`)
        break
    }
    return true
  }

  /** Back to where it is read from, uncharged. */
  release(job: ModelJob): void {
    job.releases++
    this.#wait(job, homeOf(job))
    this.count('released')
  }

  rescue(job: ModelJob, maxStalls: number): 'rescued' | 'dead' {
    if (job.stalls > 0) job.chargedStalls++
    job.stalls++
    if (job.chargedStalls >= maxStalls) {
      this.#bury(job, 'stalled')
      return 'dead'
    }
    this.#wait(job, homeOf(job))
    this.count('rescued')
    return 'rescued'
  }

  /** Jobs of a side stream that nobody has read for `graceMs`, as far as one page of a sweep goes. */
  buryUnhandled(letter: string, nowMs: number, graceMs: number, limit: number): number {
    const unread = [...this.jobs.values()].filter((job) => job.state === 'waiting' && job.letter === letter)
    const page = unread.sort((a, b) => compareEntries(a.entry as string, b.entry as string)).slice(0, limit)
    const young = page.findIndex((job) => nowMs - job.asideMs < graceMs)
    const gone = young < 0 ? page : page.slice(0, young)
    for (const job of gone) this.#bury(job, 'no handler')
    return gone.length
  }

  /** Moves what is due; returns how many. */
  promote(nowMs: number, limit: number): number {
    const due = [...this.jobs.values()]
      .filter((job) => job.state === 'delayed' && job.dueMs <= nowMs)
      .sort((a, b) => a.dueMs - b.dueMs || (a.id < b.id ? -1 : 1))
      .slice(0, limit)
    for (const job of due) {
      if (job.key !== undefined && this.slots.get(job.key) === job.id) this.#wait(job, homeOf(job))
      else this.#takeTurn(job, homeOf(job))
    }
    return due.length
  }

  /** A worker gives a sign of life; others that gave none for four leases, theirs and this one's, are forgotten when they own nothing. */
  beat(worker: string, leaseMs: number, nowMs: number): void {
    this.workers.set(worker, { leaseMs, seenMs: nowMs })
    const gone = [...this.workers]
      .filter(([, other]) => nowMs - other.seenMs >= 4 * Math.max(leaseMs, other.leaseMs))
      .sort(([a, { seenMs: aMs }], [b, { seenMs: bMs }]) => aMs - bMs || (a < b ? -1 : 1))
    for (const [name] of gone.slice(0, 10)) if (!this.#ownsSomething(name)) this.workers.delete(name)
  }

  #ownsSomething(worker: string): boolean {
    return [...this.jobs.values()].some(({ owner }) => isOf(owner, worker))
  }

  /** The lease of an attempt: its worker's own; `defaultMs` when the server does not know the worker. */
  leaseOf(owner: string | undefined, defaultMs: number): number {
    return this.workers.get(owner?.slice(0, owner.lastIndexOf('.')) ?? '')?.leaseMs ?? defaultMs
  }

  get nextDueMs(): number {
    let next = Number.POSITIVE_INFINITY
    for (const job of this.jobs.values()) if (job.state === 'delayed') next = Math.min(next, job.dueMs)
    return next
  }

  /** A dead letter that the jobs behind it wait for. */
  keepsKey({ id, key, state }: ModelJob): boolean {
    return state === 'dead' && key !== undefined && this.slots.get(key) === id
  }

  move(to: 'cancel' | 'retry' | 'purge', id: string): string {
    const job = this.jobs.get(id)
    if (to === 'retry') {
      if (job?.state !== 'dead') return job ? 'not_dead' : 'not_found'
      Object.assign(job, { charged: 0, stalls: 0, chargedStalls: 0, reason: undefined })
      this.#takeTurn(job, 'f')
      this.count('revived')
      return 'retried'
    }
    if (!job || (to === 'cancel' && job.state === 'dead' && !this.keepsKey(job))) return 'not_found'
    if (job.state === 'active') return 'active'
    const gate = job.state === 'gated' ? this.gates.get(job.key as string) : undefined
    if (gate) {
      gate.splice(gate.indexOf(id), 1)
      if (gate.length === 0) this.gates.delete(job.key as string)
    }
    this.#remove(job)
    const word = to === 'cancel' ? 'cancelled' : 'purged'
    this.count(word)
    return word
  }
}

/** The stream that a job goes back to. */
function homeOf({ stalls, chargedStalls }: ModelJob): string {
  if (chargedStalls > 0) return 'a'
  return stalls > 0 ? 's' : 'f'
}

/** Consumers are named <worker>.<session>. */
export function isOf(consumer: string | undefined, worker: string): boolean {
  return consumer?.slice(0, consumer.lastIndexOf('.')) === worker
}

function compareEntries(a: string, b: string): number {
  const [aMs = 0, aSequence = 0] = a.split('-').map(Number)
  const [bMs = 0, bSequence = 0] = b.split('-').map(Number)
  return aMs - bMs || aSequence - bSequence
}
