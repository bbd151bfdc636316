import type { DeliveryLine } from '../delivery-ledger.ts'
import type { LoggedRow } from '../documents/read-postgres.ts'
import type { FoundJob } from '../raw-walk.ts'
import { ENRICH_ATTEMPTS } from '../recorded.ts'
import type { Committed, RecordedItem } from './committed.ts'
import { nameOf } from './judge-log.ts'
import { staleLines } from './order-of-keys.ts'
import type { Problem, ProblemKind } from './problem.ts'

export interface EventTotals {
  /** Events and jobs that committed transactions recorded, by hand or by trigger. */
  readonly recorded: number
  /** Below, each counts once per subscription that it is for. */
  readonly delivered: number
  /** Recorded, never delivered, and nowhere in Redis. */
  readonly lost: number
  /** Delivered more than once: what at-least-once allows. */
  readonly duplicated: number
  readonly outOfOrder: number
}

export interface Deliveries {
  readonly committed: Committed
  readonly log: readonly LoggedRow[]
  readonly ledger: readonly DeliveryLine[]
  /** What stands in Redis. */
  readonly places: readonly FoundJob[]
  /** Subjects of documents that cannot be enriched: their first event dies, and holds up all behind it. */
  readonly dying: ReadonlySet<string>
}

/** Has everything that was recorded come to everybody whom it was for, in order, and nothing else? */
export function judgeDeliveries(deliveries: Deliveries): {
  readonly totals: EventTotals
  readonly problems: readonly Problem[]
} {
  const { committed, ledger } = deliveries
  const lines = Map.groupBy(ledger, (line) => deliveryOf(line.route, line))
  const places = Map.groupBy(deliveries.places, ({ type, key }) => `${type} ${key}`)
  const found: { readonly kind: 'delivered' | ProblemKind; readonly problem?: Problem }[] = []
  // In the order of numbers: what waits in Redis is what comes last.
  for (const item of committed.recorded.toSorted((a, b) => a.number - b.number)) {
    for (const route of item.routes) {
      const own = lines.get(deliveryOf(route, item)) ?? []
      const standing = places.get(standingKeyOf(route, item)) ?? []
      found.push(judgeOne(route, item, own, standing, route === 'enrich' && deliveries.dying.has(item.subject)))
    }
  }
  const overtaken = outOfOrder(ledger)
  const successes = [...lines.values()].map((own) => own.filter(({ outcome }) => outcome === 'succeeded').length)
  return {
    totals: {
      recorded: committed.recorded.length,
      delivered: found.filter(({ kind }) => kind === 'delivered').length,
      lost: found.filter(({ kind }) => kind === 'event-lost').length,
      duplicated: successes.filter((count) => count > 1).length,
      outOfOrder: overtaken.length,
    },
    problems: [...found.flatMap(({ problem }) => problem ?? []), ...overtaken, ...judgeStrangers(deliveries)],
  }
}

/** What is named in problems: `enrich City:17 2`. */
function deliveryOf(route: string, item: { readonly subject: string; readonly number: number }): string {
  return `${route} ${nameOf(item)}`
}

/** Type and key of the job in Redis. The key of a document's events has its site before it, of which the demo has none. */
function standingKeyOf(route: string, { kind, subject, id }: RecordedItem): string {
  if (kind === 'job') return `${route} ${subject}`
  return `event:${route} ${route}/${id === undefined ? `:${subject}` : subject}`
}

type Judgement = { readonly kind: 'delivered' | ProblemKind; readonly problem?: Problem }

function judgeOne(
  route: string,
  item: RecordedItem,
  lines: readonly DeliveryLine[],
  standing: FoundJob[],
  isDying: boolean,
): Judgement {
  const isDone = lines.some(({ outcome }) => outcome === 'succeeded')
  const problem = (kind: ProblemKind, expected: string, found: string): Judgement => {
    const named = `${item.type}${item.id === undefined ? '' : ` ${item.id}`} of transaction ${item.transaction}`
    return { kind, problem: { kind, id: deliveryOf(route, item), expected: `${named} ${expected}`, found } }
  }
  if (isDying) return judgeDying(item, lines, standing, isDone, problem)
  if (isDone) {
    const left = standing.findIndex(({ id }) => lines.some((line) => line.id === id))
    if (left < 0) return { kind: 'delivered' }
    const [job] = standing.splice(left, 1)
    return problem('event-unfinished', 'delivered', `${job?.place} in Redis, although it was done`)
  }
  const job = standing.shift()
  if (!job) return problem('event-lost', 'delivered', 'no handler has done it, and no job of its key is in Redis')
  if (job.place !== 'dead') return problem('event-unfinished', 'delivered', `${job.place} in Redis (${job.id})`)
  return problem('event-wrongly-dead', 'delivered', `a dead letter (${job.id})`)
}

/** The first event of such a document is a dead letter after all attempts; those behind it wait for somebody to decide. */
function judgeDying(
  item: RecordedItem,
  lines: readonly DeliveryLine[],
  standing: FoundJob[],
  isDone: boolean,
  problem: (kind: ProblemKind, expected: string, found: string) => Judgement,
): Judgement {
  const isFirst = item.number === 1
  const wanted = isFirst ? 'dead' : 'gated'
  const at = standing.findIndex(({ place }) => place === wanted)
  const [job] = at < 0 ? [] : standing.splice(at, 1)
  if (isDone) return problem('event-not-dead', `to be ${wanted}`, 'delivered')
  if (!job) return problem('event-lost', `to be ${wanted} in Redis`, `no such job of its key is in Redis`)
  const failures = lines.filter(({ outcome }) => outcome === 'failed').length
  if (isFirst && failures < ENRICH_ATTEMPTS)
    return problem('event-not-retried', `to die after ${ENRICH_ATTEMPTS} attempts`, `dead after ${failures}`)
  // It has come to where it belongs.
  return { kind: 'delivered' }
}

/** An event overtaken by one of the same key with a higher number. What a stale attempt wrote counts for nothing. */
function outOfOrder(ledger: readonly DeliveryLine[]): Problem[] {
  const stale = staleLines(ledger)
  const first = new Map<string, DeliveryLine>()
  const latest = new Map<string, DeliveryLine>()
  const problems: Problem[] = []
  for (const line of ledger.toSorted((a, b) => a.us - b.us)) {
    const name = deliveryOf(line.route, line)
    if (line.outcome !== 'succeeded' || stale.has(line) || first.has(name)) continue
    first.set(name, line)
    const key = `${line.route} ${line.subject}`
    const before = latest.get(key)
    if (before && before.number > line.number) {
      const expected = `done before ${deliveryOf(before.route, before)} (${before.id}), which was recorded later`
      problems.push({ kind: 'event-out-of-order', id: name, expected, found: `done after it (${line.id})` })
    } else latest.set(key, line)
  }
  return problems
}

/** What handlers were given and nobody committed, or what is another event than the one that was. */
function judgeStrangers({ committed, log, ledger }: Deliveries): Problem[] {
  const items = new Map(committed.recorded.map((item) => [nameOf(item), item]))
  const rolledBack = new Map(committed.rolledBack.map((item) => [nameOf(item), item]))
  const logged = new Map(log.map((row) => [nameOf(row), row]))
  const problems = new Map<string, Problem>()
  for (const line of ledger) {
    const item = items.get(nameOf(line))
    const id = deliveryOf(line.route, line)
    const lineId = line.eventId ?? line.id
    const ownId = item?.id ?? logged.get(nameOf(line))?.id
    if (item?.routes.includes(line.route) && (ownId === undefined || ownId === lineId)) continue
    const twin = rolledBack.get(nameOf(line))
    const found = `delivered ${lineId}${twin ? `; transaction ${twin.transaction}, which was rolled back, had recorded one` : ''}`
    const expected = item ? `${item.type} ${ownId ?? ''} for ${item.routes.join(', ')}` : 'no such event was committed'
    problems.set(`${id} ${lineId}`, { kind: 'event-unknown', id, expected, found })
  }
  return [...problems.values()]
}
