/**
 * What this process holds, in memory shared with the keeper's thread: one slot per attempt, from the moment it was fetched until its
 * outcome is settled. Who may do what is decided by one compare-and-set on the slot's state:
 *
 *   free -> held (fetched)   main thread
 *   held -> running          main thread, when the handler is about to start
 *   held -> returned         keeper, when it was not started in time: the keeper hands it back
 *   running, returned -> free  main thread
 *
 * A state is the slot's generation times four plus one of these, so that an exchange never hits a later attempt in the same slot.
 */
const FREE = 0
const HELD = 1
const RUNNING = 2
const RETURNED = 3

const BEAT = 0
const EPOCH = 1

export interface LeaseTableMemory {
  readonly capacity: number
  readonly flags: SharedArrayBuffer
  readonly states: SharedArrayBuffer
  readonly refs: SharedArrayBuffer
  readonly numbers: SharedArrayBuffer
}

/** One slot as the keeper reads it. */
export interface HeldEntry {
  readonly slot: number
  /** Index of its stream in the list that both threads know. */
  readonly ref: number
  readonly entry: string
  /** How often it had been delivered, renewed or confirmed; undefined where that decides nothing. */
  readonly times?: number
}

export class LeaseTable {
  readonly memory: LeaseTableMemory
  readonly #flags: Int32Array
  readonly #states: Int32Array
  readonly #refs: Int32Array
  /** Per slot: ms and sequence of the entry id, held since, renewed until (both monotonic ms of the main thread). */
  readonly #numbers: Float64Array
  readonly #free: number[] = []

  constructor(memory: LeaseTableMemory) {
    this.memory = memory
    this.#flags = new Int32Array(memory.flags)
    this.#states = new Int32Array(memory.states)
    this.#refs = new Int32Array(memory.refs)
    this.#numbers = new Float64Array(memory.numbers)
  }

  static create(capacity: number): LeaseTable {
    const table = new LeaseTable({
      capacity,
      flags: new SharedArrayBuffer(4 * 4),
      states: new SharedArrayBuffer(capacity * 4),
      refs: new SharedArrayBuffer(capacity * 4),
      numbers: new SharedArrayBuffer(capacity * 4 * 8),
    })
    for (let slot = capacity - 1; slot >= 0; slot--) table.#free.push(slot)
    return table
  }

  // Main thread.

  get freeSlots(): number {
    return this.#free.length
  }

  /** Notes a fetched attempt; its slot. There must be a free one: fetching is bounded by `freeSlots`. */
  hold(ref: number, entry: string, nowMs: number): number {
    const slot = this.#free.pop()
    if (slot === undefined) throw new Error('No free slot in the lease table: more was fetched than there was room for')
    const at = slot * 4
    const dash = entry.indexOf('-')
    this.#numbers[at] = digits(entry, 0, dash)
    this.#numbers[at + 1] = digits(entry, dash + 1, entry.length)
    this.#numbers[at + 2] = nowMs
    this.#numbers[at + 3] = Number.POSITIVE_INFINITY
    this.#refs[slot] = ref
    Atomics.store(this.#states, slot, ((((this.#states[slot] as number) >> 2) + 1) << 2) | HELD)
    return slot
  }

  /** True: this attempt may start. False: the keeper has handed it back. */
  start(slot: number, renewUntilMs: number): boolean {
    this.#numbers[slot * 4 + 3] = renewUntilMs
    const state = Atomics.load(this.#states, slot)
    return (state & 3) === HELD && Atomics.compareExchange(this.#states, slot, state, (state & ~3) | RUNNING) === state
  }

  /** The handler has ended: only its outcome waits, so the lease is kept for as long as the process lives. */
  finish(slot: number): void {
    this.#numbers[slot * 4 + 3] = Number.POSITIVE_INFINITY
  }

  /** True while the attempt is held and was not handed back. */
  isHeld(slot: number): boolean {
    return (Atomics.load(this.#states, slot) & 3) === HELD
  }

  /** Twice is harmless: a slot that is free already stays so. */
  release(slot: number): void {
    if (((this.#states[slot] as number) & 3) === FREE) return
    Atomics.store(this.#states, slot, (this.#states[slot] as number) & ~3)
    this.#free.push(slot)
  }

  /** Tells the keeper that the event loop turns. */
  beat(): void {
    Atomics.add(this.#flags, BEAT, 1)
  }

  /**
   * Changes when the keeper begins to hand back what it finds pending and not in this table. A reply is checked against the epoch at
   * which its request was sent *after* its entries were put into the table: one of the two threads then sees the other (both write
   * first and read second).
   */
  get epoch(): number {
    return Atomics.load(this.#flags, EPOCH)
  }

  // Keeper's thread.

  get beats(): number {
    return Atomics.load(this.#flags, BEAT)
  }

  nextEpoch(): void {
    Atomics.add(this.#flags, EPOCH, 1)
  }

  /** Takes what was held before `heldBeforeMs` and not started: it will not start any more. */
  takeUnstarted(heldBeforeMs: number): HeldEntry[] {
    const taken: HeldEntry[] = []
    for (let slot = 0; slot < this.memory.capacity; slot++) {
      const state = Atomics.load(this.#states, slot)
      if ((state & 3) !== HELD || (this.#numbers[slot * 4 + 2] as number) > heldBeforeMs) continue
      // Read before the exchange: afterwards the main thread may free the slot and use it again.
      const entry = this.#entry(slot)
      if (Atomics.compareExchange(this.#states, slot, state, (state & ~3) | RETURNED) === state) taken.push(entry)
    }
    return taken
  }

  /**
   * What must be renewed now: held, or running (finished and not yet settled included) within its time. `onlyTimed`: only what runs and
   * has a timeout.
   */
  owned(nowMs: number, onlyTimed = false): HeldEntry[] {
    const entries: HeldEntry[] = []
    for (let slot = 0; slot < this.memory.capacity; slot++) {
      const state = Atomics.load(this.#states, slot) & 3
      const untilMs = this.#numbers[slot * 4 + 3] as number
      if (onlyTimed && (state !== RUNNING || untilMs === Number.POSITIVE_INFINITY)) continue
      if ((state === RUNNING && untilMs > nowMs) || state === HELD) entries.push(this.#entry(slot))
    }
    return entries
  }

  /** All entries in the table, as "<ref>:<entry>". */
  names(): Set<string> {
    const names = new Set<string>()
    for (let slot = 0; slot < this.memory.capacity; slot++) {
      if ((Atomics.load(this.#states, slot) & 3) === FREE) continue
      const { ref, entry } = this.#entry(slot)
      names.add(`${ref}:${entry}`)
    }
    return names
  }

  /** True while the slot still is this entry's and running. */
  isRunning({ slot, entry }: HeldEntry): boolean {
    return (Atomics.load(this.#states, slot) & 3) === RUNNING && this.#entry(slot).entry === entry
  }

  #entry(slot: number): HeldEntry {
    const at = slot * 4
    return { slot, ref: this.#refs[slot] as number, entry: `${this.#numbers[at]}-${this.#numbers[at + 1]}` }
  }
}

/** The number between two places of a text, without making a text of it: this runs for every job. */
function digits(text: string, from: number, to: number): number {
  let number = 0
  for (let index = from; index < to; index++) number = number * 10 + text.charCodeAt(index) - 48
  return number
}
