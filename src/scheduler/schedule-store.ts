import { OptionError } from '../errors.ts'
import type { StoredScript } from '../redis/connection.ts'
import { definitionText, type Schedule, type ScheduleDefinition } from './schedule.ts'
import { loadScripts } from './scripts.ts'

/** What is needed to look at schedules. */
export interface RedisReads {
  /** `{moca:<namespace>}:` */
  readonly prefix: string
  send<T>(command: readonly string[]): Promise<T>
}

/** A namespace in Redis, as whoever has opened it lends it. Everything rejects with ConnectionError when Redis is away. */
export interface RedisAccess extends RedisReads {
  /** The layout that the namespace was opened with. */
  readonly layout: string
  /** A server that forgot the namespace is opened again, and asked again. */
  run<T>(script: StoredScript, args: readonly string[]): Promise<T>
}

/** A schedule as it stands in Redis. */
export interface StoredSchedule {
  readonly name: string
  /** Grows with every change. */
  readonly version: number
  readonly isEnabled: boolean
  readonly definition: ScheduleDefinition
  /** The last instant that was taken; of one that has not fired yet, since when it is there. ms since 1970. */
  readonly lastMs: number
}

/** What became of one instant, or of several that were missed. */
export interface Run {
  readonly outcome: 'enqueued' | 'busy' | 'passed' | 'triggered'
  readonly scheduledFor: Date
  /** When it was decided, by the server's clock. */
  readonly at: Date
  /** Of `enqueued` and `triggered`. */
  readonly jobId: string | undefined
  /** Of `passed`: the first of the instants that were missed; `scheduledFor` is the last. */
  readonly missedFrom: Date | undefined
}

export interface Lead {
  readonly word: 'leading' | 'standby' | 'resigned'
  readonly epoch: number
  /** Who leads; empty: nobody. */
  readonly owner: string
  /** Of the set of schedules; 0: none was ever defined, or Redis forgot them. */
  readonly version: number
  /** The server's clock. */
  readonly serverMs: number
  /** The life of the server: in another one it may have forgotten fires. */
  readonly boot: string
}

const FIELD = 's:'

/** Schedules in Redis: every process that has the namespace knows them all. */
export class ScheduleStore {
  readonly #redis: RedisAccess

  constructor(redis: RedisAccess) {
    this.#redis = redis
  }

  /** `config`: these are all of the configuration; others that came of one go. Rejects with OptionError for a name of another source. */
  async define(
    source: ScheduleDefinition['source'],
    schedules: readonly Schedule[],
    maxPayloadBytes: number,
  ): Promise<{ readonly version: number; readonly changed: number; readonly removed: number }> {
    const texts = await Promise.all(schedules.map((schedule) => definitionText(schedule, source, maxPayloadBytes)))
    const flat = schedules.flatMap(({ name }, index) => [name, texts[index] as string])
    const reply = await this.#run<[string, number, number, string[]]>('define', source, ...flat)
    const [version, changed, removed, [foreign]] = reply
    if (foreign !== undefined) throw configured(foreign)
    return { version: Number(version), changed, removed }
  }

  /** Defines schedules of run time as they were kept. A name that the configuration has by now is left to it. Returns how many were news. */
  async restore(kept: readonly { readonly name: string; readonly text: string }[]): Promise<number> {
    if (kept.length === 0) return 0
    const [, changed] = await this.#run<[string, number]>(
      'define',
      'runtime',
      ...kept.flatMap(({ name, text }) => [name, text]),
    )
    return changed
  }

  /** Rejects with OptionError where the configuration has it and it is to be removed. */
  async switch(name: string, to: 'enable' | 'disable' | 'remove'): Promise<'done' | 'unchanged' | 'not_found'> {
    const [word] = await this.#run<['done' | 'unchanged' | 'not_found' | 'configured']>('switch', name, to)
    if (word === 'configured') throw configured(name)
    return word
  }

  /** All of them, by name. */
  list(): Promise<StoredSchedule[]> {
    return listSchedules(this.#redis)
  }

  /** The latest runs of a schedule, newest first: at most 20; the script keeps up to twice as many. */
  runs(name: string): Promise<Run[]> {
    return listRuns(this.#redis, name)
  }

  /** `holdMs`: how long the lock holds; 0: give it up. */
  async lead(owner: string, holdMs: number): Promise<Lead> {
    const reply = await this.#run<[Lead['word'], ...string[]]>('lead', owner, String(holdMs))
    const [word, epoch, holder = '', version, at, boot = ''] = reply
    return { word, epoch: Number(epoch), owner: holder, version: Number(version), serverMs: Number(at), boot }
  }

  /** Who leads; undefined: nobody. A look only. */
  async leader(): Promise<{ readonly epoch: number; readonly owner: string } | undefined> {
    const text = await this.#redis.send<string | null>(['GET', `${this.#redis.prefix}leader`])
    const [, epoch, owner = ''] = /^(\d+) (.*)$/.exec(text ?? '') ?? []
    return epoch === undefined ? undefined : { epoch: Number(epoch), owner }
  }

  #run<Reply>(name: 'define' | 'switch' | 'lead', ...args: string[]): Promise<Reply> {
    return this.#redis.run<Reply>(loadScripts()[name], [this.#redis.layout, ...args])
  }
}

/** All schedules of a namespace, by name. */
export async function listSchedules(redis: RedisReads): Promise<StoredSchedule[]> {
  const { prefix } = redis
  const [schedules, fires] = await Promise.all([
    redis.send<string[]>(['HGETALL', `${prefix}schedules`]),
    redis.send<string[]>(['HGETALL', `${prefix}fires`]),
  ])
  const lasts = new Map(pairs(fires))
  return pairs(schedules)
    .filter(([field]) => field.startsWith(FIELD))
    .map(([field, value]) => readSchedule(field.slice(FIELD.length), value, lasts.get(field.slice(FIELD.length))))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** The latest runs of a schedule, newest first. */
export async function listRuns(redis: RedisReads, name: string): Promise<Run[]> {
  return (await redis.send<string[]>(['LRANGE', `${redis.prefix}runs:${name}`, '0', '19'])).map(readRun)
}

function configured(name: string): OptionError {
  return new OptionError(`Schedule ${name} comes from the configuration: change it there`, {
    option: 'name',
    found: name,
  })
}

function pairs(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, index) => [flat[index * 2] ?? '', flat[index * 2 + 1] ?? ''])
}

function readSchedule(name: string, value: string, fire = ''): StoredSchedule {
  const [, version, enabled, text = ''] = /^(\d+) ([01]) (.*)$/s.exec(value) ?? []
  return {
    name,
    version: Number(version),
    isEnabled: enabled === '1',
    definition: JSON.parse(text) as ScheduleDefinition,
    lastMs: Number(/^\d+/.exec(fire)?.[0] ?? 0),
  }
}

function readRun(text: string): Run {
  const [instant, at, outcome, ...about] = text.split(' ')
  const hasJob = outcome === 'enqueued' || outcome === 'triggered'
  return {
    outcome: outcome as Run['outcome'],
    scheduledFor: new Date(Number(instant)),
    at: new Date(Number(at)),
    jobId: hasJob ? `${about[0]}.0.${about[1]}` : undefined,
    missedFrom: outcome === 'passed' ? new Date(Number(about[0])) : undefined,
  }
}
