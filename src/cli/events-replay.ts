import { UsageError } from './cli-error.ts'
import { confirm } from './confirm.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseInstant } from './flag-values.ts'
import { formatCount, jobs } from './format.ts'

export interface ReplayFlags {
  readonly since?: string
  readonly until?: string
  readonly key?: string
  readonly subscription?: string
  readonly dryRun?: boolean
  readonly force?: boolean
}

/** Sends recorded events again, as new jobs of the subscriptions that ask for them now. */
export async function replayEvents(context: Context, topic: string, flags: ReplayFlags): Promise<ExitCode> {
  const since = parseInstant('--since', flags.since)
  if (!since) throw new UsageError('Say from when on: --since 2h, or an instant.', 'See --help.')
  // Without an end, what it sends now would not be what it counted.
  const until = parseInstant('--until', flags.until) ?? new Date()
  const { key, subscription, dryRun = false, force = false } = flags
  const { output } = context
  return context.withMoca(async (moca) => {
    const options = { topics: [topic], since, until, key, subscription }
    const expected = await moca.events.replay({ ...options, dryRun: true })
    const what = ({ events, jobs: count }: typeof expected) => `${formatCount(events)} events as ${jobs(count)}`
    if (dryRun || expected.jobs === 0) {
      output.result({ ...expected, dryRun }, () => `${dryRun ? 'Would replay' : 'Replayed'} ${what(expected)}.`)
      return EXIT.fine
    }
    if (!(await confirm(`Replay ${what(expected)}? Handlers will see them again.`, force))) {
      output.result({ events: 0, jobs: 0, dryRun }, () => 'Nothing was replayed.')
      return EXIT.problem
    }
    let told = { events: 0, jobs: 0 }
    try {
      const done = await moca.events.replay(options, (result) => {
        told = result
      })
      output.result({ ...done, dryRun }, () => `Replayed ${what(done)}.`)
      return EXIT.fine
    } catch (error) {
      output.warn(`Interrupted after ${what(told)}; these stay sent.`)
      throw error
    }
  })
}
