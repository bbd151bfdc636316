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
}

/** A worker reports outcomes in one script: of what it holds, of what it has lost, and some that it has sent before. */
export async function settle(stage: Stage, { by, picks, history }: StepOf<'settle'>): Promise<void> {
  const { namespace, model, world } = stage
  const worker = await connected(stage, by)
  const reports = reportsOf(stage, worker, picks)
  const { lists, others } = sortReports(worker, reports)
  const header = {
    q: QUEUE,
    w: worker.name,
    lists: lists.map((list) => [list[0]?.attempt.letter, list.length, hasId(list[0])]),
    m: others.length,
    ...(history && { h: 'line', hn: 10, ha: 1000 }),
  }
  const stale = await namespace.run<string[]>('settle', header, [...lists.flatMap(flatten), ...others.map(encode)])
  const expected = [...lists.flat(), ...others]
    .filter(({ attempt: { letter, entry }, outcome }) => {
      return !model.settle(worker.name, letter, entry, outcome, namespace.nowMs)
    })
    .map(({ attempt }) => `${attempt.letter}:${attempt.entry}`)
  must('a stale attempt is refused and told so', stale.join() === expected.join(), () => {
    return `settle of ${worker.name} answered that ${stale.join() || 'none'} are stale, it should be ${expected.join() || 'none'}`
  })
  for (const { attempt } of reports) if (worker.memory.includes(attempt)) world.settled(worker, attempt)
}

/** One outcome for each attempt: the first that the step names. */
function reportsOf(stage: Stage, worker: ModelWorker, picks: StepOf<'settle'>['picks']): Report[] {
  const reports = new Map<Attempt, Report>()
  for (const pick of picks) {
    const [attempt] = picked(stage, worker, [pick])
    const outcome = OUTCOMES[pick.outcome]
    if (attempt && outcome && !reports.has(attempt)) reports.set(attempt, { attempt, outcome })
  }
  return [...reports.values()]
}

/** Plain completions go in lists by stream, the others one by one, as the settler does it. */
function sortReports(worker: ModelWorker, reports: readonly Report[]): { lists: Report[][]; others: Report[] } {
  const isPlain = ({ attempt, outcome }: Report) =>
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

function flatten(list: readonly Report[]): string[] {
  const entries = list.map(({ attempt }) => attempt.entry)
  return hasId(list[0]) ? [...entries, ...list.map(({ attempt }) => attempt.job)] : entries
}

function encode({ attempt: { letter, entry, job }, outcome }: Report): string {
  return JSON.stringify({ s: letter, e: entry, i: job, ...outcome })
}
