import { doctypeTopic } from '../events/topic.ts'
import { jobFor, recordedOrigin, SubscriptionSet } from '../events/fan-out.ts'
import { readDefinition } from '../events/subscription.ts'
import type { RegisteredSubscription } from '../events/subscription-registry.ts'
import type { ReceivedJob } from '../job/job-receiver.ts'
import type { Queryable } from '../postgres/connection.ts'
import type { LogRow } from './log-row.ts'
import { isSeen, parseSnapshot, type Tick } from './snapshot.ts'
import { loadStatements } from './statements.ts'

/** Where a subscription starts. */
interface Start {
  /** With what this does not see. Undefined: with everything. */
  readonly tick: Pick<Tick, 'snapshot' | 'floor' | 'high'> | undefined
  /** Of one that begins in the past: with which batch of a lane it had caught up. */
  readonly joinedN: ReadonlyMap<number, number> | undefined
}

interface RawSubscription {
  readonly version: number
  readonly name: string | null
  readonly since: number
  readonly definition: unknown
  readonly start_snapshot: string | null
  readonly past_snapshot: string | null
  readonly high: number | null
  readonly floor: number
  readonly joined: Readonly<Record<string, number>> | null
}

/** Sets are kept so many versions back: batches that are sent again ask for older ones. */
const KEPT_VERSIONS = 10

/** Who gets recorded events, version by version: a batch that is sent again goes to whom it went before. */
export class Subscribers {
  readonly #connection: Queryable
  readonly #sql: Readonly<Record<'load-subscriptions' | 'subscription-version', string>>
  readonly #logId: string
  readonly #announcesDoctypes: boolean
  readonly #known = new Map<number, VersionedSubscribers>()
  #version: number | undefined

  constructor(
    connection: Queryable,
    options: { readonly schema: string; readonly logId: string; readonly announcesDoctypes: boolean },
  ) {
    this.#connection = connection
    this.#sql = loadStatements(['load-subscriptions', 'subscription-version'], options.schema)
    this.#logId = options.logId
    this.#announcesDoctypes = options.announcesDoctypes
  }

  /** The version of the present set, as it was when it was looked at last. */
  async version(): Promise<number> {
    if (this.#version === undefined) await this.reload()
    return this.#version ?? 0
  }

  /** Looks whether the set has changed. */
  async reload(): Promise<void> {
    const [row] = await this.#connection.query<{ version: number }>(this.#sql['subscription-version'], [], {
      name: 'moca-subscription-version',
    })
    this.#version = row?.version ?? 0
  }

  async at(version: number): Promise<VersionedSubscribers> {
    const known = this.#known.get(version)
    if (known) return known
    const rows = await this.#connection.query<RawSubscription>(this.#sql['load-subscriptions'], [version])
    const set = new VersionedSubscribers(version, rows, this.#logId, this.#announcesDoctypes)
    this.#known.set(version, set)
    for (const old of this.#known.keys()) {
      if (this.#known.size <= KEPT_VERSIONS) break
      this.#known.delete(old)
    }
    return set
  }

  /** A subscription has joined a lane: sets that were read before do not know it. */
  forget(): void {
    this.#known.clear()
  }
}

/** The set of one version. */
export class VersionedSubscribers {
  readonly #set: SubscriptionSet
  readonly #starts = new Map<RegisteredSubscription, Start>()
  readonly #logId: string
  readonly #announcesDoctypes: boolean

  constructor(version: number, rows: readonly RawSubscription[], logId: string, announcesDoctypes: boolean) {
    const subscriptions: RegisteredSubscription[] = []
    for (const { name, since, definition, start_snapshot, past_snapshot, high, floor, joined } of rows) {
      if (name === null) continue
      const subscription = { ...readDefinition(name, definition), since }
      subscriptions.push(subscription)
      const from = start_snapshot ?? past_snapshot
      const joinedN = new Map(Object.entries(joined ?? {}).map(([lane, n]) => [Number(lane), n]))
      this.#starts.set(subscription, {
        tick: from === null || high === null ? undefined : { snapshot: parseSnapshot(from), high, floor },
        joinedN: start_snapshot === null ? joinedN : undefined,
      })
    }
    this.#set = new SubscriptionSet(version, subscriptions)
    this.#logId = logId
    this.#announcesDoctypes = announcesDoctypes
  }

  /** The jobs by which the event of a row comes to its subscriptions with batch `n` of its lane, or to `only` one, which begins before. */
  jobsFor(row: LogRow, n: number, only?: { readonly name: string; readonly since: number }): ReceivedJob[] {
    const jobs: ReceivedJob[] = []
    for (const { subscription, topic } of this.#set.matching(row)) {
      const start = this.#starts.get(subscription)
      const isAddressed = only
        ? subscription.name === only.name && subscription.since === only.since
        : start !== undefined && hasJoined(start, row, n)
      if (!isAddressed || (start && !isAfterStart(start, row))) continue
      jobs.push(jobFor(subscription, row, topic, recordedOrigin(this.#logId, row.seq)))
    }
    return jobs
  }

  /** The topics under which an event is announced. */
  topicsOf(row: LogRow): readonly string[] {
    const ofDoctype = this.#announcesDoctypes ? doctypeTopic(row) : undefined
    return ofDoctype === undefined ? [row.topic] : [row.topic, ofDoctype]
  }
}

/** Whether a subscription gets what comes with batch `n` of a row's lane. */
function hasJoined(start: Start, row: LogRow, n: number): boolean {
  if (start.joinedN === undefined) return true
  const joinedN = start.joinedN.get(row.lane)
  return joinedN !== undefined && n >= joinedN
}

function isAfterStart({ tick }: Start, row: LogRow): boolean {
  return tick === undefined || !isSeen(row, tick)
}
