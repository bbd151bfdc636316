import { OptionError } from '../errors.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'

const WORDS = { done: 'd.', unchanged: 'd already.' } as const

/** Enables or disables one schedule. */
export async function switchSchedule(context: Context, name: string, to: 'enable' | 'disable'): Promise<ExitCode> {
  const result = await context.withMoca(({ scheduler }) => scheduler[to](name))
  context.output.result({ name, result }, () =>
    result === 'not_found' ? `There is no schedule ${name}.` : `Schedule ${name} is ${to}${WORDS[result]}`,
  )
  return result === 'not_found' ? EXIT.problem : EXIT.fine
}

/** Enqueues the job of one schedule now. */
export async function triggerSchedule(context: Context, name: string): Promise<ExitCode> {
  const id = await context.withMoca(async ({ scheduler }) => {
    try {
      return (await scheduler.trigger(name)).id
    } catch (error) {
      if (error instanceof OptionError) return undefined
      throw error
    }
  })
  const result = id === undefined ? 'not_found' : 'enqueued'
  context.output.result({ name, result, id }, () =>
    id === undefined ? `There is no schedule ${name}.` : `Enqueued the job of schedule ${name}: ${id}`,
  )
  return id === undefined ? EXIT.problem : EXIT.fine
}
