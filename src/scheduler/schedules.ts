import type { Clock } from '../clock.ts'
import { ConfigError, OptionError, QueueFullError } from '../errors.ts'
import { describeValue } from '../job/describe-value.ts'
import type { FireReceiver } from '../job/fire-receiver.ts'
import { formatJobId, givenPlace } from '../job/job-id.ts'
import { triggerOf } from './fires.ts'
import type { KeptSchedules } from './kept-schedules.ts'
import { definitionText, isSchedule, requireScheduleName, type Rules, type Schedule, type Times } from './schedule.ts'
import type { Run, ScheduleStore, StoredSchedule } from './schedule-store.ts'
import { Timetable } from './timetable.ts'

/** A schedule as it stands. */
export interface ScheduleView extends Times, Rules {
  readonly name: string
  /** From the configuration, or defined at run time. */
  readonly source: 'config' | 'runtime'
  readonly isEnabled: boolean
  readonly type: string
  readonly queue: string
  /** The last instant that was taken; of one that has not fired yet, since when it is there. */
  readonly lastAt: Date
  /** Its next instants; none while it is disabled. */
  readonly next: readonly Date[]
  /** Newest first, at most 20. */
  readonly runs: readonly Run[]
}

/** The schedules of a namespace, as an application sees them: `moca.scheduler`. */
export class Schedules {
  readonly #store: ScheduleStore
  readonly #receiver: FireReceiver
  readonly #clock: Clock
  readonly #maxPayloadBytes: number
  readonly #kept: KeptSchedules | undefined

  /** `kept`: what is defined at run time is kept there, too. */
  constructor(deps: {
    store: ScheduleStore
    receiver: FireReceiver
    clock: Clock
    maxPayloadBytes: number
    kept?: KeptSchedules | undefined
  }) {
    this.#store = deps.store
    this.#receiver = deps.receiver
    this.#clock = deps.clock
    this.#maxPayloadBytes = deps.maxPayloadBytes
    this.#kept = deps.kept
  }

  /**
   * Defines a schedule at run time, or changes it; a leading scheduler knows of it within a second. One whose times change begins now.
   * Rejects with PayloadError, or OptionError for a name that the configuration has. Where there is a PostgreSQL it is kept there, and
   * comes back when Redis forgets it; then it also rejects with ConnectionError while PostgreSQL is away, and SchemaError without a schema.
   */
  async upsert(schedule: Schedule): Promise<'changed' | 'unchanged'> {
    if (!isSchedule(schedule)) {
      throw new ConfigError(`upsert takes a schedule made by defineSchedule; found ${describeValue(schedule)}`)
    }
    const define = async () => {
      const { changed } = await this.#store.define('runtime', [schedule], this.#maxPayloadBytes)
      return changed > 0 ? 'changed' : 'unchanged'
    }
    if (!this.#kept) return define()
    const text = await definitionText(schedule, 'runtime', this.#maxPayloadBytes)
    return this.#kept.change(async (kept) => {
      await kept.put(schedule.name, text)
      return define() // refused: nothing was kept, either
    })
  }

  /** Makes these the schedules of the configuration; others that came of one are removed. Scheduler processes do. */
  async defineConfigured(
    schedules: readonly Schedule[],
  ): Promise<{ readonly changed: number; readonly removed: number }> {
    return this.#store.define('config', schedules, this.#maxPayloadBytes)
  }

  /** Removes a schedule that was defined at run time. Jobs that it has enqueued stay. Rejects with OptionError for one of the configuration. */
  async remove(name: string): Promise<boolean> {
    const remove = async () => (await this.#store.switch(name, 'remove')) === 'done'
    if (!this.#kept) return remove()
    return this.#kept.change(async (kept) => {
      const wasKept = await kept.remove(name)
      return (await remove()) || wasKept
    })
  }

  /** Instants that passed while it was disabled are not made up for. */
  enable(name: string): Promise<'done' | 'unchanged' | 'not_found'> {
    return this.#switch(name, true)
  }

  /** Stays in force until it is enabled, also when the configuration is defined again. */
  disable(name: string): Promise<'done' | 'unchanged' | 'not_found'> {
    return this.#switch(name, false)
  }

  async #switch(name: string, isEnabled: boolean): Promise<'done' | 'unchanged' | 'not_found'> {
    const flip = () => this.#store.switch(name, isEnabled ? 'enable' : 'disable')
    if (!this.#kept) return flip()
    return this.#kept.change(async (kept) => {
      const word = await flip()
      if (word !== 'not_found') await kept.switch(name, isEnabled)
      return word
    })
  }

  /** Enqueues its job now, enabled or not, beside its instants. Rejects with OptionError for an unknown name, QueueFullError or EnqueueError. */
  async trigger(name: string): Promise<{ readonly id: string }> {
    requireScheduleName(name)
    const schedule = (await this.#store.list()).find((each) => each.name === name)
    if (!schedule) throw unknown(name)
    const { queue } = schedule.definition
    const now = this.#clock.wallMs()
    const fire = triggerOf(schedule, now, givenPlace(now))
    const answer = await this.#receiver.fire(undefined, queue, [fire])
    if (answer.status === 'full') throw new QueueFullError(queue, answer.maxWaiting)
    if (answer.status !== 'fired' || answer.outcomes[0] !== 'enqueued') throw unknown(name)
    return { id: formatJobId(queue, fire.place) }
  }

  /** All of them, by name, with so many next instants each. */
  async list(options: { readonly next?: number } = {}): Promise<ScheduleView[]> {
    const schedules = await this.#store.list()
    const now = this.#clock.wallMs()
    return Promise.all(
      schedules.map(async (schedule) => view(schedule, await this.#store.runs(schedule.name), now, options.next ?? 1)),
    )
  }

  /** Who leads; undefined: no scheduler does. */
  leader(): Promise<{ readonly epoch: number; readonly owner: string } | undefined> {
    return this.#store.leader()
  }
}

function view(
  { name, definition, isEnabled, lastMs }: StoredSchedule,
  runs: readonly Run[],
  nowMs: number,
  count: number,
): ScheduleView {
  const { source, type, queue, rules } = definition
  const times = JSON.parse(definition.times) as Times
  const timetable = new Timetable(times)
  const next: Date[] = []
  let at = isEnabled ? timetable.next(nowMs) : undefined
  for (; at !== undefined && next.length < count; at = timetable.next(at)) {
    next.push(new Date(at))
  }
  return { name, source, isEnabled, type, queue, ...times, ...rules, lastAt: new Date(lastMs), next, runs }
}

function unknown(name: string): OptionError {
  return new OptionError(`There is no schedule ${name}`, { option: 'name', found: name })
}
