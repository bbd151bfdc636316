import type { Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import { Courier } from './courier.ts'
import { CatchUp, Lane } from './lane.ts'
import { type Plan, planCatchUp, planWindow, planWish } from './plan.ts'
import type { IntentAnswer, IntentRequest, Look, RelayStore } from './relay-store.ts'
import type { Sink } from './sinks/sink.ts'
import { type Anchor, isNothingNew, type Tick } from './snapshot.ts'
import type { BatchLimits, Window } from './window.ts'

export interface RelaySettings {
  readonly host: string
  readonly pid: number
  readonly leaseMs: number
  readonly pollIntervalMs: number
  readonly redriveMaxMs: number
}

export interface SessionDeps<Content> {
  readonly store: RelayStore
  readonly sink: Sink<Content>
  /** The version of the set of subscriptions; `reload` when it was said to be another one, `forget` when one has joined a lane. */
  readonly subscriptions: { version(): Promise<number>; reload(): Promise<void>; forget(): void }
  readonly logId: string
  readonly settings: RelaySettings
  readonly clock: Clock
  readonly log: Logger
  /** The log was found readable. */
  readonly onLook?: () => void
  readonly onPass?: (facts: { readonly lanes: number; readonly rows: number }) => void
}

const LIMITS: BatchLimits = { rows: 1_000, bytes: 8 * 1024 * 1024 }
/** How often lanes are shared out, and positions compared. */
const LOOK_AROUND_MS = 1_000
/** A lane that has been idle for so long says that its last batch was taken. */
const ACK_AFTER_MS = 250
/** After so long without anything new a relay looks less often (docs/decisions/0049-a-quiet-log.md). */
const QUIET_AFTER_MS = 5_000
const QUIET_FACTOR = 24
/** What is under way when a relay stops may take so long to settle. */
const SETTLE_MS = 2_000

/**
 * A relay for as long as one connection to PostgreSQL lives: what it remembers beyond what is written down ends with it. Passes read what
 * became visible, write down what is to be sent, and leave the sending to couriers, one per lane: while one half of the lanes is sent,
 * the other is read.
 */
export class RelaySession<Content> {
  readonly #deps: SessionDeps<Content>
  readonly #courier: Courier<Content>
  readonly #lanes = new Map<number, Lane>()
  #life: string | undefined
  #anchor: Anchor | undefined
  #anchoredAtMs = -Infinity
  #first = 0
  #renewAtMs = -Infinity
  #lookAroundAtMs = -Infinity
  #wake: (() => void) | undefined
  /** The last seq that was drawn when the log was looked at last. */
  #drawn = -1
  /** When something new was found last. */
  #newsAtMs: number

  constructor(deps: SessionDeps<Content>) {
    this.#deps = deps
    this.#newsAtMs = deps.clock.monotonicMs()
    this.#courier = new Courier({
      ...deps,
      onSettled: () => this.#wake?.(),
      onLost: (lane) => this.#lanes.delete(lane.number),
    })
  }

  get lanes(): readonly Lane[] {
    return [...this.#lanes.values()]
  }

  /** Relays until the signal aborts, then lets go of its lanes. Rejects when PostgreSQL does not answer any more. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        this.#courier.requireSound()
        await this.#lookAround()
        if (!(await this.#pass())) await this.#rest(signal)
      }
      await this.#courier.settle(SETTLE_MS)
      await this.#acknowledge(0)
      await this.#deps.store.leave()
    } finally {
      this.#courier.stop()
    }
  }

  /** One pass over the lanes that have nothing under way. Returns whether there may be more to do at once. */
  async #pass(): Promise<boolean> {
    const free = this.lanes.filter(({ isFree }) => isFree)
    if (free.length === 0) return false
    const look = await this.#deps.store.look(await this.#newestAnchor())
    this.#deps.onLook?.()
    this.#drawn = look.drawn
    if (await this.#hasNewLife(look)) return true
    if (await this.#join(free)) return true
    const plans = [...(await this.#planWishes(free)), ...(await this.#planWindows(free, look))]
    const unfinished = plans.some((plan) => plan === 'more')
    const ready = plans.filter((plan) => plan !== 'more')
    if (ready.length === 0) {
      await this.#acknowledge(ACK_AFTER_MS)
      this.#renewAnchor(look)
      return unfinished
    }
    await this.#send(ready, look)
    return true
  }

  async #planWishes(free: readonly Lane[]): Promise<Plan<Content>[]> {
    const { store, sink, subscriptions } = this.#deps
    const plans: Plan<Content>[] = []
    for (const lane of free) {
      const key = [...lane.parkedKeys.values()].find(({ wish }) => wish !== undefined)?.key
      if (key === undefined) continue
      const rows = await store.readParked(lane.number, key, LIMITS)
      plans.push(await planWish(lane, key, rows, sink, await subscriptions.version()))
    }
    return plans
  }

  async #planWindows(free: readonly Lane[], look: Look): Promise<(Plan<Content> | 'more')[]> {
    const { store, sink, subscriptions } = this.#deps
    const most = Math.ceil(this.#lanes.size / 2)
    const chosen = this.#inTurn(free)
      .filter(({ parkedKeys }) => ![...parkedKeys.values()].some(({ wish }) => wish !== undefined))
      .flatMap((lane) => chooseWindow(lane, look) ?? [])
      .slice(0, most)
    if (chosen.length === 0) return []
    const readings = await store.read(
      chosen.map(({ window }) => window),
      LIMITS,
    )
    const version = await subscriptions.version()
    const plans: (Plan<Content> | 'more')[] = []
    for (const { lane, window, catchUp } of chosen) {
      const reading = readings.get(lane.number)
      if (!lane.isFree || !reading) continue
      if (catchUp && reading.rows.length === 0) {
        catchUp.skip(window)
        plans.push('more')
      } else if (catchUp) {
        // What is left fits into this batch: the lane waits for it, or it would run away from who catches up for ever.
        lane.isCatchUpsTurn = reading.isLast
        plans.push(await planCatchUp(lane, catchUp, window, reading, sink, version))
      } else if (reading.rows.length > 0) {
        lane.isCatchUpsTurn = true
        plans.push(await planWindow(lane, window, reading, sink, version))
      } else {
        if (lane.place.to) plans.push('more')
        lane.skip(window)
      }
    }
    return plans
  }

  /** Subscriptions that have come to where their lane stands get what comes from its next batch on. Returns whether there were any. */
  async #join(free: readonly Lane[]): Promise<boolean> {
    const joining = free.flatMap((lane) =>
      lane.place.to
        ? []
        : lane.catchUps
            .filter((catchUp) => catchUp.nextWindow(lane.number, lane.place.from) === undefined)
            .map((catchUp) => ({ lane, catchUp })),
    )
    if (joining.length === 0) return false
    const { store, subscriptions } = this.#deps
    const lanes = joining.map(({ lane }) => lane)
    const answer = await store.intend({
      ...EMPTY,
      subscriptions: await subscriptions.version(),
      lanes: [...new Set(lanes)].map(({ number, epoch }) => ({ lane: number, epoch })),
      joins: joining.map(({ lane, catchUp: { name, since } }) => ({
        name,
        since,
        lane: lane.number,
        joinedN: lane.n + 1,
      })),
    })
    this.#anchored(answer)
    await this.#handle(answer, lanes)
    if ('refused' in answer) return true
    for (const { lane, catchUp } of joining) lane.catchUps = lane.catchUps.filter((other) => other !== catchUp)
    subscriptions.forget()
    return true
  }

  /** Every lane comes first once: a pass takes half of them. */
  #inTurn(lanes: readonly Lane[]): readonly Lane[] {
    this.#first = (this.#first + 1) % lanes.length
    return [...lanes.slice(this.#first), ...lanes.slice(0, this.#first)]
  }

  async #send(plans: readonly Plan<Content>[], look: Look): Promise<void> {
    const { store, subscriptions, logId, onPass } = this.#deps
    const answer = await store.intend(requestOf(plans, look, await subscriptions.version()))
    this.#anchored(answer)
    await this.#handle(
      answer,
      plans.map(({ lane }) => lane),
    )
    if ('refused' in answer) return
    for (const plan of plans) {
      const { lane, batch, window, catchUp, content } = plan
      lane.intended(batch, window && { ...window.to, id: window.to.id ?? answer.tick }, catchUp)
      for (const key of plan.parkedKeys) lane.parkedKeys.set(key.key, { ...key, wish: undefined })
      lane.pending = { ...batch, logId, content }
      this.#courier.begin(lane)
    }
    this.#newsAtMs = this.#deps.clock.monotonicMs()
    if (plans.some(({ window, refusedAgain }) => !window || refusedAgain.length > 0)) await this.#loadParkedKeys()
    onPass?.({ lanes: plans.length, rows: plans.reduce((sum, { batch }) => sum + batch.rows, 0) })
  }

  /** Does what a refusal asks for. */
  async #handle(answer: IntentAnswer, lanes: readonly Lane[]): Promise<void> {
    if (!('refused' in answer)) return
    if (answer.refused === 'subscriptions') await this.#deps.subscriptions.reload()
    else await this.#reload(answer.refused === 'lease' ? answer.lanes : lanes.map(({ number }) => number))
  }

  /** Lanes that are idle say that their last batch was taken: nobody has to send it again, and it counts as published. */
  async #acknowledge(idleMs: number): Promise<void> {
    const { store, clock, subscriptions } = this.#deps
    const now = clock.monotonicMs()
    const taken = this.lanes.filter(
      ({ takenAtMs, pending }) => pending === undefined && takenAtMs !== undefined && now - takenAtMs >= idleMs,
    )
    if (taken.length === 0) return
    const acks = taken.map(({ number, n }) => ({ lane: number, n }))
    this.#anchored(await store.intend({ ...EMPTY, subscriptions: await subscriptions.version(), acks }))
    for (const lane of taken) lane.takenAtMs = undefined
  }

  async #newestAnchor(): Promise<Anchor> {
    this.#anchor ??= await this.#deps.store.anchor()
    return this.#anchor
  }

  #anchored(answer: IntentAnswer): void {
    if (!('anchor' in answer)) return
    this.#anchor = answer.anchor
    this.#anchoredAtMs = this.#deps.clock.monotonicMs()
  }

  /** What was drawn since the anchor and rolled back would be looked for again and again. An anchor costs a transaction id. */
  #renewAnchor({ drawn }: Look): void {
    const now = this.#deps.clock.monotonicMs()
    if (this.#anchor?.low === drawn || now - this.#anchoredAtMs < LOOK_AROUND_MS) return
    this.#anchor = undefined
    this.#anchoredAtMs = now
  }

  /** What is due once in a while: the lease, the share of lanes, wishes, and whether the sink still has what it took. */
  async #lookAround(): Promise<void> {
    const { store, clock, settings, subscriptions } = this.#deps
    const now = clock.monotonicMs()
    if (now >= this.#renewAtMs) {
      await store.renew(settings)
      this.#renewAtMs = now + settings.leaseMs / 3
    }
    if (now < this.#lookAroundAtMs) return
    this.#lookAroundAtMs = now + LOOK_AROUND_MS
    const idle = this.lanes.filter(({ isFree }) => isFree).map(({ number }) => number)
    const around = await store.lookAround(idle)
    const { owned } = around
    for (const lane of this.lanes) if (owned.get(lane.number) !== lane.epoch) this.#lanes.delete(lane.number)
    const gained = [...owned.keys()].filter((number) => !this.#lanes.has(number))
    if (gained.length > 0) await this.#reload(gained, owned)
    if (around.hasParkedKeys || this.lanes.some(({ parkedKeys }) => parkedKeys.size > 0)) await this.#loadParkedKeys()
    if (around.hasCatchUps || this.lanes.some(({ catchUps }) => catchUps.length > 0)) await this.#loadCatchUps()
    if (around.subscriptions !== (await subscriptions.version())) await subscriptions.reload()
    await this.#courier.comparePositions(this.lanes, around.hasRedrives ? await store.loadRedrives() : new Map())
  }

  /** Begins lanes anew with what is written down. */
  async #reload(numbers: readonly number[], owned?: ReadonlyMap<number, number>): Promise<void> {
    const { store, log } = this.#deps
    const epochs = owned ?? (await store.lookAround([])).owned
    for (const number of numbers) this.#lanes.delete(number)
    const mine = numbers.filter((number) => epochs.has(number))
    if (mine.length === 0) return
    for (const stored of await store.loadLanes(mine)) {
      // Taken over by somebody since.
      if (epochs.get(stored.lane) !== stored.epoch) continue
      const lane = Lane.restore(stored)
      this.#lanes.set(lane.number, lane)
      if (lane.pending) this.#courier.begin(lane)
    }
    await this.#loadParkedKeys()
    await this.#loadCatchUps()
    log.debug({ lanes: mine }, 'Lanes begin with what is written down')
  }

  async #loadParkedKeys(): Promise<void> {
    const keys = await this.#deps.store.loadParkedKeys([...this.#lanes.keys()])
    for (const lane of this.#lanes.values()) lane.parkedKeys.clear()
    for (const key of keys) this.#lanes.get(key.lane)?.parkedKeys.set(key.key, key)
  }

  /** Keeps what it knows of those that it knows: a batch of theirs may be under way. */
  async #loadCatchUps(): Promise<void> {
    const stored = await this.#deps.store.loadCatchUps([...this.#lanes.keys()])
    for (const lane of this.#lanes.values()) {
      const found = stored.filter(({ lane: number }) => number === lane.number).map((each) => new CatchUp(each))
      lane.catchUps = found.map((each) => lane.catchUps.find(({ id }) => id === each.id) ?? each)
    }
  }

  /** After a crash of the server, ticks that were not written down mean nothing. */
  async #hasNewLife({ life }: Look): Promise<boolean> {
    const isNew = this.#life !== undefined && this.#life !== life
    this.#life = life
    if (!isNew) return false
    this.#deps.log.warn({}, 'PostgreSQL crashed or was replaced: lanes begin with what is written down')
    this.#anchor = undefined
    await this.#reload([...this.#lanes.keys()])
    return true
  }

  /** Until there may be something new, or a courier has come back. */
  async #rest(signal: AbortSignal): Promise<void> {
    do {
      await this.#wait(this.#pollIntervalMs(), signal)
      if (signal.aborted || !this.#isIdle) return
      this.#courier.requireSound()
      await this.#lookAround()
    } while (this.#isIdle && (await this.#isNothingNew()))
  }

  #pollIntervalMs(): number {
    const { clock, settings } = this.#deps
    const { pollIntervalMs, leaseMs } = settings
    if (clock.monotonicMs() - this.#newsAtMs < QUIET_AFTER_MS) return pollIntervalMs
    return Math.min(pollIntervalMs * QUIET_FACTOR, leaseMs / 5)
  }

  /** No lane has anything to do, nor has a transaction drawn of which no lane knows. */
  get #isIdle(): boolean {
    return this.lanes.every(({ isIdle, seen }) => isIdle && seen.low === this.#drawn)
  }

  async #isNothingNew(): Promise<boolean> {
    const { lanes } = this
    if (lanes.length === 0) return true
    const { snapshot, drawn } = await this.#deps.store.glance()
    this.#deps.onLook?.()
    if (lanes.every(({ seen }) => isNothingNew(seen, snapshot, drawn))) return true
    this.#newsAtMs = this.#deps.clock.monotonicMs()
    return false
  }

  /** A courier that comes back ends it. */
  async #wait(mostMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController()
    const wake = () => woken.abort()
    this.#wake = wake
    signal.addEventListener('abort', wake, { once: true })
    await this.#deps.clock.wait(mostMs, woken.signal)
    signal.removeEventListener('abort', wake)
    this.#wake = undefined
  }
}

/** What a lane reads next: its own window, or that of a subscription that catches up, in turn. */
function chooseWindow(
  lane: Lane,
  look: Look,
): { readonly lane: Lane; readonly window: Window; readonly catchUp?: CatchUp } | undefined {
  const own = lane.nextWindow(look)
  const [catchUp] = lane.catchUps
  // Within a window the lane's place is no tick that somebody could come to.
  const window = lane.place.to ? undefined : catchUp?.nextWindow(lane.number, lane.place.from)
  if (catchUp && window && (lane.isCatchUpsTurn || !own)) return { lane, window, catchUp }
  return own && { lane, window: own }
}

const EMPTY = {
  lanes: [],
  tick: undefined,
  batches: [],
  acks: [],
  parkedKeys: [],
  parked: [],
  refusedAgain: [],
  leaving: [],
  joins: [],
}

function requestOf(plans: readonly Plan[], look: Tick, subscriptions: number): IntentRequest {
  return {
    subscriptions,
    lanes: plans.map(({ lane }) => ({ lane: lane.number, epoch: lane.epoch })),
    // Only windows that end with this look need it to be written down.
    tick: plans.some(({ window }) => window && window.to.id === undefined) ? look : undefined,
    batches: plans.map(({ batch }) => batch),
    acks: [],
    parkedKeys: plans.flatMap(({ parkedKeys }) => parkedKeys),
    parked: plans.flatMap(({ parked }) => parked),
    refusedAgain: plans.flatMap(({ refusedAgain }) => refusedAgain),
    leaving: plans.flatMap(({ leaving }) => leaving),
    joins: [],
  }
}
