import { text } from 'node:stream/consumers'
import type { EventInput } from '../events/event.ts'
import { UsageError } from './cli-error.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'

const EXAMPLE = `moca events publish shop.orders '{"type":"order.paid","key":"order:42","data":{"total":12}}'`

/** Emits one event, given as an argument or on standard input. */
export async function publishEvent(context: Context, topic: string, given: string | undefined): Promise<ExitCode> {
  const event = parseEvent(given ?? (await readInput()))
  const { id } = await context.withMoca(({ events }) => events.emit(topic, event))
  context.output.result({ id, topic }, () => `Published ${id} to ${topic}.`)
  return EXIT.fine
}

async function readInput(): Promise<string> {
  if (process.stdin.isTTY) throw new UsageError('There is no event to publish.', `Give it as JSON: ${EXAMPLE}`)
  return text(process.stdin)
}

/** What of it is no event is said by the library. */
function parseEvent(json: string): EventInput {
  try {
    return JSON.parse(json) as EventInput
  } catch (error) {
    throw new UsageError(`The event is no JSON: ${error instanceof Error ? error.message : String(error)}`, EXAMPLE)
  }
}
