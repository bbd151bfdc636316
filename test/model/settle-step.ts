import { historyHead, historyLine } from '../../src/queue/history.ts'
import { QUEUE } from './namespace-under-test.ts'
import type { SettledOutcome } from './server-model.ts'
import type { Stage, StepOf } from './stage.ts'
import { OUTCOMES } from './steps.ts'
import { must } from './violation.ts'
import { connected, picked } from './worker-steps.ts'
import type { Attempt, ModelWorker } from './world.ts'

interface Report {
  readonly attempt: Attempt
  readonly outcome: SettledOutcome
  /** It was sent before, and its answer lost. */
  readonly isAgain: boolean
}

/** A worker reports outcomes in one script: of what it holds, of what it has lost, and some that it has sent before. */
export async function settle(stage: Stage, { by, picks, history }: StepOf<'settle'>): Promise<void> {
  const { namespace, world } = stage
  const worker = await connected(stage, by)
  const reports = reportsOf(stage, worker, picks)
  const { lists, others } = sortReports(worker, reports)
  const header = {
    q: QUEUE,
    w: worker.name,
    lists: lists.map((list) => [list[0]?.attempt.letter, hasId(list[0]), history === true]),
    m: others.length,
    ...(history && { h: '#m x c 1 1000 0', hn: 10, ha: 1000 }),
  }
  const args = [...lists.map(sectionOf), ...others.map(encode)]
  const [stale, failed] = await namespace.run<[string[], string[]]>('settle', header, args)
  must('scripts do not fail', failed.length === 0, () => `settle: ${failed.join(' ')}`)
  const expected = refusedOf([...lists.flat(), ...others], stage, worker)
  must('a stale attempt is refused and told so', stale.join() === expected.join(), () => {
    return `settle of ${worker.name} answered that ${stale.join() || 'none'} are stale, it should be ${expected.join() || 'none'}`
  })
  for (const { attempt } of reports) if (worker.memory.includes(attempt)) world.settled(worker, attempt)
}

/** What the server should refuse: first what was taken over, then what was sent again and cannot be told. */
function refusedOf(reports: readonly Report[], { model, namespace }: Stage, worker: ModelWorker): string[] {
  const stale: string[] = []
  const unsure: string[] = []
  for (const { attempt, outcome, isAgain } of reports) {
    const { letter, entry, job } = attempt
    if (model.settle(worker.name, letter, entry, outcome, namespace.nowMs)) continue
    if (!isAgain) {
      model.count('stale')
      stale.push(`${letter}:${entry}`)
    } else if (!isEnd(outcome) || model.jobs.has(job)) unsure.push(`${letter}:${entry}`)
  }
  return [...stale, ...unsure]
}

function isEnd({ r }: SettledOutcome): boolean {
  return r === 'completed' || r === 'cancelled' || r === 'expired'
}

/** One outcome for each attempt: the first that the step names. */
function reportsOf(stage: Stage, worker: ModelWorker, picks: StepOf<'settle'>['picks']): Report[] {
  const reports = new Map<Attempt, Report>()
  for (const pick of picks) {
    const [attempt] = picked(stage, worker, [pick])
    const outcome = OUTCOMES[pick.outcome]
    if (attempt && outcome && !reports.has(attempt)) {
      reports.set(attempt, { attempt, outcome, isAgain: pick.from === 'reported' })
    }
  }
  return [...reports.values()]
}

/** Plain completions go in lists by stream, the others one by one, as the settler does it. */
function sortReports(worker: ModelWorker, reports: readonly Report[]): { lists: Report[][]; others: Report[] } {
  const isPlain = ({ attempt, outcome, isAgain }: Report) =>
    !isAgain &&
    outcome.r === 'completed' &&
    attempt.key === undefined &&
    !attempt.isBig &&
    attempt.boot === worker.boot &&
    worker.memory.includes(attempt)
  const plain = reports.filter(isPlain)
  const byStream = Object.groupBy(plain, (report) => `${report.attempt.letter} ${hasId(report)}`)
  return {
    lists: Object.values(byStream) as Report[][],
    others: reports.filter((report) => !isPlain(report)),
  }
}

/** The job has an id that is not its entry. */
function hasId(report: Report | undefined): boolean {
  return report?.attempt.job !== report?.attempt.entry
}

function sectionOf(list: readonly Report[]): string {
  const letter = list[0]?.attempt.letter ?? ''
  const head = historyHead({ letter, type: 'x', outcome: 'c', attempt: 1, keepMs: 1000, fromMs: 0 })
  const lines = list.map(({ attempt: { entry, job } }) => historyLine(entry, 0, 0, hasId(list[0]) ? job : undefined))
  return [head, ...lines].join('\n')
}

function encode({ attempt: { letter, entry, job }, outcome, isAgain }: Report): string {
  return JSON.stringify({ s: letter, e: entry, i: job, again: isAgain || undefined, ...outcome })
}
