import type { JournalLine, PlannedJob } from '../journal.ts'
import type { LedgerLine } from '../ledger.ts'

/** A job as its producer knows it. */
export interface AcceptedJob extends PlannedJob {
  readonly id: string
  /** It was accepted between these instants, by the producer's own clock. */
  readonly fromUs: number
  readonly toUs: number
  /** The call that told its id, and its position in it: jobs of one call are accepted in their order. */
  readonly call: string
  readonly position: number
}

export interface Accepted {
  /** By id. */
  readonly jobs: ReadonlyMap<string, AcceptedJob>
  /** Business names that a schema refused. */
  readonly refused: ReadonlySet<string>
  /** Lines of handlers for jobs that no producer ever planned. */
  readonly unplanned: readonly LedgerLine[]
}

type Intent = Extract<JournalLine, { kind: 'intent' }>
type Answer = Extract<JournalLine, { kind: 'answer' }>

/**
 * What the producers had accepted. A call without an answer (its process was killed, or the connection broke) is resolved by
 * a later call for the same business, which gets the id as a duplicate; failing that by the ledger, if a handler saw the job.
 */
export function acceptedJobs(journal: readonly JournalLine[], ledger: readonly LedgerLine[]): Accepted {
  const intents = new Map<string, Intent>()
  const firstIntent = new Map<string, { plan: PlannedJob; us: number }>()
  const answers: Answer[] = []
  for (const line of journal) {
    if (line.kind === 'intent') intents.set(line.call, line)
    if (line.kind === 'answer') answers.push(line)
  }
  for (const { us, jobs } of intents.values()) {
    for (const plan of jobs) {
      const known = firstIntent.get(plan.business)
      if (!known || us < known.us) firstIntent.set(plan.business, { plan, us })
    }
  }

  const jobs = new Map<string, AcceptedJob>()
  for (const answer of answers.toSorted((a, b) => a.toUs - b.toUs)) {
    for (const [position, { id, status }] of answer.results.entries()) {
      const plan = intents.get(answer.call)?.jobs[position]
      if (!plan) throw new Error(`The journal has an answer of call ${answer.call} without its intent`)
      if (jobs.has(id) && status === 'duplicate') continue
      // A duplicate told of for the first time was accepted by a call that got no answer: no sooner than the first intent.
      const fromUs =
        status === 'enqueued' ? answer.fromUs : Math.min(answer.fromUs, firstIntent.get(plan.business)?.us ?? 0)
      jobs.set(id, { ...plan, id, fromUs, toUs: answer.toUs, call: answer.call, position })
    }
  }

  const unplanned: LedgerLine[] = []
  for (const line of ledger) {
    if (jobs.has(line.id)) continue
    const first = firstIntent.get(line.business)
    if (!first) unplanned.push(line)
    else {
      const { plan, us } = first
      jobs.set(line.id, {
        ...plan,
        id: line.id,
        fromUs: us,
        toUs: Number.POSITIVE_INFINITY,
        call: line.id,
        position: 0,
      })
    }
  }
  return { jobs, refused: refusals(journal, intents), unplanned }
}

function refusals(journal: readonly JournalLine[], intents: ReadonlyMap<string, Intent>): Set<string> {
  const refused = new Set<string>()
  for (const line of journal) {
    if (line.kind !== 'refusal') continue
    for (const { business } of intents.get(line.call)?.jobs ?? []) refused.add(business)
  }
  return refused
}
