import { randomUUID } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Fire, FireReceiver } from '../job/fire-receiver.ts'
import type { Logger } from '../logger.ts'
import { RepeatedWarning } from '../service/repeated-warning.ts'
import { fireOf, passOf } from './fires.ts'
import { Leader } from './leader.ts'
import type { Times } from './schedule.ts'
import type { Lead, ScheduleStore, StoredSchedule } from './schedule-store.ts'
import { decide, Timetable } from './timetable.ts'

/** A leader renews, and learns of changed schedules, so often. */
const RENEW_MS = 1_000
/** How soon a standby notices that the lead is free. */
const STANDBY_MS = 200
/** A fire that is so late is on time: nothing was missed before it. */
const ON_TIME_MS = 5_000
/** Until a full queue, or a server that failed, is asked again. */
const RETRY_MS = 250
const FIRES_A_CALL = 250
/** What falls due so soon is made ready: thousands of fires at one instant take longer to make than to send. */
const READY_MS = 1_500
/** Made ready in one go, so that what is due does not wait. */
const READY_AT_ONCE = 200

export interface SchedulerDeps {
  readonly store: ScheduleStore
  readonly receiver: FireReceiver
  readonly clock: Clock
  readonly log: Logger
  /** Makes Redis know what it may have forgotten: asked for in another life of the server, and where it knows no schedule at all. */
  readonly define: () => Promise<unknown>
  /** Told of fires that were enqueued, and how late the latest of them was. */
  readonly onFires?: (fired: { readonly count: number; readonly lateMs: number }) => void
}

export interface SchedulerHealth {
  readonly id: string
  readonly isLeading: boolean
  readonly epoch: number
  readonly schedules: number
  /** Since Redis last answered. Infinity: never. */
  readonly lastAnswerAgoMs: number
}

/** A schedule with its next instant. */
interface Entry {
  readonly schedule: StoredSchedule
  readonly timetable: Timetable
  lastMs: number
  /** Infinity: none. */
  nextMs: number
  /** The fire of the next instant, and the instant after it. */
  ready: { readonly fire: Fire; readonly afterMs: number } | undefined
}

/** Fires schedules while it leads, and stands by while somebody else does. */
export class Scheduler {
  readonly id = randomUUID().slice(0, 8)
  readonly #deps: SchedulerDeps
  readonly #leader: Leader
  readonly #warning: RepeatedWarning
  /** By queue: until when, by the server's clock (ms), nothing is sent to it, since it was full. */
  readonly #full = new Map<string, { untilMs: number; readonly warning: RepeatedWarning }>()
  #stop: AbortController | undefined
  #running: Promise<void> | undefined
  #entries: Entry[] = []
  /** Of the set that was read; undefined: it must be read again. */
  #version: number | undefined
  #epoch = 0
  #boot = ''
  /** What the server's clock was ahead of our monotonic one by, ms. */
  #aheadMs = 0
  #answeredAtMs: number | undefined

  constructor(deps: SchedulerDeps) {
    this.#deps = deps
    this.#leader = new Leader(deps.store, deps.clock, this.id)
    this.#warning = new RepeatedWarning(deps.log, deps.clock)
  }

  start(): void {
    if (this.#running) return
    const stop = new AbortController()
    this.#stop = stop
    this.#running = this.#run(stop.signal)
  }

  /** Gives the lead up, so that somebody else has it at once. Twice is harmless. */
  async stop(): Promise<void> {
    this.#stop?.abort()
    await this.#running
  }

  health(): SchedulerHealth {
    const { clock } = this.#deps
    return {
      id: this.id,
      isLeading: this.#leader.owner !== undefined,
      epoch: this.#epoch,
      schedules: this.#entries.length,
      lastAnswerAgoMs: this.#answeredAtMs === undefined ? Infinity : clock.monotonicMs() - this.#answeredAtMs,
    }
  }

  async #run(stop: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    while (!stop.aborted) {
      try {
        await this.#turn(stop)
        this.#warning.works('Redis answers the scheduler again')
      } catch (error) {
        // What was sent may have been done: what has fired is read again.
        this.#version = undefined
        this.#warning.failed(error instanceof Error ? error.message : String(error), 'The scheduler tries again')
        await clock.wait(RETRY_MS, stop)
      }
    }
    // Without an answer the lock runs out.
    await this.#leader.resign().catch(() => undefined)
  }

  /** Renews, and fires what falls due until the next renewal; or waits for the lead. */
  async #turn(stop: AbortSignal): Promise<void> {
    const { clock, store, define, log } = this.#deps
    const askedAtMs = clock.monotonicMs()
    const lead = await this.#leader.renew()
    this.#note(lead, askedAtMs)
    if (lead.word !== 'leading') {
      this.#version = undefined
      return clock.wait(STANDBY_MS, stop)
    }
    if (lead.epoch !== this.#epoch) {
      this.#epoch = lead.epoch
      this.#version = undefined
      log.info({ scheduler: this.id, epoch: lead.epoch }, 'Leading: schedules are fired here')
    }
    const isAnotherLife = lead.boot !== this.#boot
    if (lead.version === 0 || (isAnotherLife && this.#boot !== '')) await define()
    // A server that came back may know less than was fired: what it knows counts.
    if (isAnotherLife) this.#version = undefined
    this.#boot = lead.boot
    // Before they are listed: what changes meanwhile is noticed a turn later.
    if (this.#version !== lead.version) {
      this.#enter(await store.list())
      this.#version = lead.version
    }
    await this.#fireUntil(askedAtMs + RENEW_MS, stop)
  }

  #note(lead: Lead, askedAtMs: number): void {
    this.#answeredAtMs = this.#deps.clock.monotonicMs()
    // Counted from the sending: never ahead of the server by the time that the answer took.
    this.#aheadMs = lead.serverMs - (askedAtMs + this.#answeredAtMs) / 2
  }

  #serverMs(): number {
    return this.#deps.clock.monotonicMs() + this.#aheadMs
  }

  /** Timetables of times that are known already are kept: to read an expression costs twenty times what a next time costs. */
  #enter(schedules: readonly StoredSchedule[]): void {
    const known = new Map(this.#entries.map(({ schedule, timetable }) => [schedule.definition.times, timetable]))
    const timetableOf = (times: string) => {
      const timetable = known.get(times) ?? new Timetable(JSON.parse(times) as Times)
      known.set(times, timetable)
      return timetable
    }
    this.#entries = schedules
      .filter(({ isEnabled }) => isEnabled)
      .map((schedule) => {
        const timetable = timetableOf(schedule.definition.times)
        const { lastMs } = schedule
        return { schedule, timetable, lastMs, nextMs: timetable.next(lastMs) ?? Infinity, ready: undefined }
      })
  }

  async #fireUntil(untilMs: number, stop: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    while (!stop.aborted) {
      const next = this.#entries.reduce((least, entry) => Math.min(least, this.#dueMs(entry)), Infinity)
      const restMs = untilMs - clock.monotonicMs()
      const waitMs = Math.min(restMs, next - this.#serverMs())
      if (waitMs > 0) await (this.#makeReady() ? nextTurn() : clock.wait(waitMs, stop))
      if (clock.monotonicMs() >= untilMs || stop.aborted) return
      if (next <= this.#serverMs() && !(await this.#fireDue())) return clock.wait(RETRY_MS, stop)
    }
  }

  /** When its next instant can be sent. */
  #dueMs({ nextMs, schedule }: Entry): number {
    if (this.#full.size === 0) return nextMs
    return Math.max(nextMs, this.#full.get(schedule.definition.queue)?.untilMs ?? 0)
  }

  /** Makes some of the fires that fall due soon. False: there are none. */
  #makeReady(): boolean {
    const soonMs = this.#serverMs() + READY_MS
    let made = 0
    for (const entry of this.#entries) {
      const { schedule, timetable, nextMs, ready } = entry
      if (ready || nextMs > soonMs) continue
      entry.ready = { fire: fireOf(schedule, nextMs), afterMs: timetable.next(nextMs) ?? Infinity }
      if (++made === READY_AT_ONCE) break
    }
    return made > 0
  }

  /** False: somebody else leads. */
  async #fireDue(): Promise<boolean> {
    const nowMs = this.#serverMs()
    const due = this.#entries.filter((entry) => this.#dueMs(entry) <= nowMs)
    const byQueue = Map.groupBy(
      due.flatMap((entry) => this.#decide(entry, nowMs)),
      ({ entry }) => entry.schedule.definition.queue,
    )
    const calls: Promise<boolean>[] = []
    for (const [queue, fires] of byQueue) {
      for (let from = 0; from < fires.length; from += FIRES_A_CALL) {
        calls.push(this.#fire(queue, fires.slice(from, from + FIRES_A_CALL)))
        await nextTurn() // Redis begins with this call while the next is made
      }
    }
    // Each is waited for, so that none is under way when what has fired is read again.
    const results = await Promise.allSettled(calls)
    const failed = results.find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
    return results.every((result) => result.status === 'fulfilled' && result.value)
  }

  #decide(entry: Entry, nowMs: number): { readonly entry: Entry; readonly fire: Fire }[] {
    const { schedule, timetable, lastMs, nextMs, ready } = entry
    const isOnTime = nowMs - nextMs <= Math.min(ON_TIME_MS, schedule.definition.rules.maxLateMs)
    if (ready && isOnTime && ready.afterMs > nowMs) return [{ entry, fire: ready.fire }]
    const { missed, fireMs } = decide(timetable, schedule.definition.rules, lastMs, Math.floor(nowMs))
    const fires = fireMs.map((instantMs) => fireOf(schedule, instantMs))
    if (missed) fires.unshift(passOf(schedule, missed))
    return fires.map((fire) => ({ entry, fire }))
  }

  async #fire(queue: string, fires: readonly { readonly entry: Entry; readonly fire: Fire }[]): Promise<boolean> {
    const { receiver, onFires } = this.#deps
    const owner = this.#leader.owner
    if (owner === undefined) return false
    const answer = await receiver.fire(owner, queue, fires.map(({ fire }) => fire)) // biome-ignore format: one call
    if (answer.status === 'standby') return false
    if (answer.status === 'full') {
      this.#pause(queue, answer.maxWaiting)
      return true
    }
    this.#goOn(queue)
    let [count, lateMs] = [0, 0]
    for (const [index, outcome] of answer.outcomes.entries()) {
      const { entry, fire } = fires[index] as (typeof fires)[number]
      if (outcome === 'early') continue
      if (outcome === 'changed') {
        this.#version = undefined
        entry.nextMs = Infinity // until it is read again
        continue
      }
      entry.lastMs = Math.max(entry.lastMs, fire.instantMs)
      entry.nextMs = entry.ready?.fire === fire ? entry.ready.afterMs : (entry.timetable.next(entry.lastMs) ?? Infinity)
      entry.ready = undefined
      if (outcome !== 'enqueued') continue
      count++
      lateMs = Math.max(lateMs, this.#serverMs() - fire.instantMs)
    }
    if (count > 0) onFires?.({ count, lateMs })
    return true
  }

  /** The instants of its schedules wait; those of other queues do not. */
  #pause(queue: string, maxWaiting: number): void {
    const { log, clock } = this.#deps
    const { warning } = this.#full.get(queue) ?? { warning: new RepeatedWarning(log, clock) }
    this.#full.set(queue, { untilMs: this.#serverMs() + RETRY_MS, warning })
    warning.failed(`maxWaiting is ${maxWaiting}`, `Schedules wait: queue ${queue} is full`, { queue })
  }

  #goOn(queue: string): void {
    this.#full.get(queue)?.warning.works(`Schedules go on: queue ${queue} has room`)
    this.#full.delete(queue)
  }
}
