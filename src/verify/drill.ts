import { randomUUID } from 'node:crypto'
import { type Clock, systemClock } from '../clock.ts'
import { CANARY, CANARY_EXPIRES_MS, canaryJob, canarySubscription } from '../events/canary.ts'
import { jobFor } from '../events/fan-out.ts'
import { formatJobId } from '../job/job-id.ts'
import type { Moca } from '../moca.ts'
import { recordCanaries } from '../outbox/canaries.ts'
import type { Database } from '../postgres/database.ts'
import type { JobView } from '../queue/inspector/job-view.ts'
import type { SearchIndex } from '../search/search-index.ts'
import type { DrillFinding } from './drill-finding.ts'
import { followIndexes, type IndexTrace, markDocuments } from './drill-indexes.ts'
import { lookUntil } from './look-until.ts'

export interface DrillDeps {
  /** Without hooks of an application: a canary is none of its affairs. */
  readonly moca: Moca
  /** Undefined: there is no outbox, and canaries are emitted and enqueued directly. */
  readonly outbox: { readonly database: Database; readonly schema: string } | undefined
  readonly indexes: readonly SearchIndex[]
  /** How long a canary may take. */
  readonly withinMs: number
  readonly clock?: Clock
}

/** A job that a canary became, and how long after the commit (ms) it was seen. Undefined: not within the time. */
export interface CanaryTrace {
  /** event: it came by a subscription. job: it was enqueued itself. */
  readonly kind: 'event' | 'job'
  /** Of the log. Undefined: it did not come through it. */
  readonly lane: number | undefined
  readonly queue: string
  readonly job: string
  readonly relayedMs: number | undefined
  readonly handledMs: number | undefined
}

export interface DrillAccount {
  readonly id: string
  /** Rows of the log; undefined: there is none. */
  readonly rows: { readonly first: number; readonly last: number } | undefined
  readonly canaries: readonly CanaryTrace[]
  readonly indexes: readonly IndexTrace[]
  readonly findings: readonly DrillFinding[]
}

/**
 * Sends canaries through a system that runs, on the ways that work takes (docs/decisions/0065-drill.md): an event in each lane of the log,
 * which a subscription makes a job of; a job for each queue of the configuration; and in each search index a document that is indexed
 * again. Resolves when all have come through, or when the time is over. Changes nothing that an application sees.
 */
export async function sendThrough(deps: DrillDeps): Promise<DrillAccount> {
  const id = randomUUID()
  const [sent, indexes] = await Promise.all([sendCanaries(deps, id), markDocuments(deps.indexes)])
  const traces = await Promise.all([follow(deps, sent), followIndexes(indexes, deps)])
  const findings = [...traces[0].findings, ...traces[1].findings]
  return { id, rows: sent.rows, canaries: traces[0].canaries, indexes: traces[1].indexes, findings }
}

type Sent = Pick<CanaryTrace, 'kind' | 'lane' | 'queue' | 'job'>

interface SentCanaries {
  readonly rows: DrillAccount['rows']
  readonly canaries: readonly Sent[]
  readonly atMs: number
}

async function sendCanaries({ moca, outbox, clock = systemClock }: DrillDeps, id: string): Promise<SentCanaries> {
  const queues = Object.keys(moca.config.queues)
  const subscription = canarySubscription(queues.includes('default') ? 'default' : (queues[0] ?? 'default'))
  await moca.events.subscribe(subscription)
  const registered = (await moca.events.subscriptions()).find(({ name }) => name === subscription.name)
  if (!registered) throw new Error(`Subscription ${subscription.name} was taken out while it was needed`)
  const eventJob = (origin: string, key: string) => {
    const { queue, place } = jobFor(registered, { key, options: undefined, payload: '' }, CANARY, origin)
    return { queue, job: formatJobId(queue, place) }
  }
  if (outbox) {
    const { events, jobs, firstSeq, lastSeq } = await recordCanaries(outbox.database, outbox.schema, { id, queues })
    const canaries = [
      ...events.map(({ lane, key, origin }): Sent => ({ kind: 'event', lane, ...eventJob(origin, key) })),
      ...jobs.map(({ lane, queue, id: job }): Sent => ({ kind: 'job', lane, queue, job })),
    ]
    return { rows: { first: firstSeq, last: lastSeq }, canaries, atMs: clock.monotonicMs() }
  }
  const key = `canary:${id}`
  const event = await moca.events.emit(CANARY, { type: CANARY, key, data: { canary: id } })
  const options = { expiresIn: `${CANARY_EXPIRES_MS}ms` } as const
  const jobs = await Promise.all(
    queues.map(async (queue): Promise<Sent> => {
      const { id: job } = await moca.queue.enqueue(canaryJob, { canary: id }, { ...options, queue })
      return { kind: 'job', lane: undefined, queue, job }
    }),
  )
  const canaries: Sent[] = [{ kind: 'event', lane: undefined, ...eventJob(event.id, key) }, ...jobs]
  return { rows: undefined, canaries, atMs: clock.monotonicMs() }
}

interface Progress {
  relayedMs?: number
  handledMs?: number
  last?: JobView
}

async function follow(
  { moca, withinMs, clock = systemClock }: DrillDeps,
  { canaries, atMs }: SentCanaries,
): Promise<Pick<DrillAccount, 'canaries' | 'findings'>> {
  const followed = canaries.map((sent) => ({ sent, progress: {} as Progress }))
  await lookUntil(
    async () => {
      const open = followed.filter(({ progress }) => progress.handledMs === undefined)
      await Promise.all(
        open.map(async ({ sent, progress }) => {
          const view = await moca.queue.inspect(sent.job)
          const ms = clock.monotonicMs() - atMs
          if (view) progress.relayedMs ??= ms
          // One that was there, or was taken by Redis itself, and is not any more has ended: the history had no room for it.
          const wasThere = progress.last !== undefined || sent.lane === undefined
          if (view ? view.status === 'completed' : wasThere) progress.handledMs = ms
          if (view) progress.last = view
        }),
      )
      return followed.every(({ progress }) => progress.handledMs !== undefined)
    },
    withinMs,
    clock,
  )
  const late = `${withinMs / 1_000} s`
  const findings = followed.flatMap(({ sent: { lane, queue, job }, progress }): DrillFinding[] => {
    const { relayedMs, handledMs, last } = progress
    if (handledMs !== undefined) return []
    if (lane !== undefined && relayedMs === undefined) {
      const fix = `moca outbox status says who relays lane ${lane}, and why it may stand still; moca outbox start runs a relay`
      const expected = `a row of the log in queue ${queue} within ${late}`
      return [{ kind: 'canary_not_relayed', lane, expected, found: 'not there', fix }]
    }
    const found = `${last?.status}${last?.reason === undefined ? '' : `: ${last.reason}`} (${job})`
    const fix = `moca queue status says what waits before it; moca worker start --queues ${queue} serves the queue`
    return [{ kind: 'canary_not_handled', queue, expected: `done within ${late}`, found, fix }]
  })
  const traces = followed.map(({ sent, progress: { relayedMs, handledMs } }) => ({ ...sent, relayedMs, handledMs }))
  return { canaries: traces, findings }
}
