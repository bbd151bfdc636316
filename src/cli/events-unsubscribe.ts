import { closest } from '../job/closest.ts'
import { NotFoundError } from './cli-error.ts'
import { confirm } from './confirm.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'

export interface UnsubscribeOptions {
  readonly force?: boolean
}

/** Ends a subscription. */
export async function unsubscribe(
  context: Context,
  name: string,
  { force = false }: UnsubscribeOptions,
): Promise<ExitCode> {
  const { output } = context
  return context.withMoca(async ({ events }) => {
    const known = (await events.subscriptions()).map((subscription) => subscription.name)
    if (!known.includes(name)) {
      const meant = closest(name, known)
      throw new NotFoundError(
        `There is no subscription ${name}; registered are ${known.join(', ') || 'none'}.`,
        meant === undefined ? 'See moca events consumer-status.' : `Did you mean ${meant}?`,
      )
    }
    const question = `End the subscription ${name}? Events from now on do not reach it. Jobs that it has stay.`
    if (!(await confirm(question, force))) {
      output.result({ name, unsubscribed: false }, () => 'Nothing was changed.')
      return EXIT.problem
    }
    const unsubscribed = await events.unsubscribe(name)
    output.result({ name, unsubscribed }, () => (unsubscribed ? `Ended ${name}.` : `Somebody else has ended ${name}.`))
    return unsubscribed ? EXIT.fine : EXIT.problem
  })
}
