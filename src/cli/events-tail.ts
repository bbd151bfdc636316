import type { Envelope } from '../events/event.ts'
import type { Gap } from '../events/event-backend.ts'
import type { HeardEvent } from '../events/events.ts'
import type { Moca } from '../moca.ts'
import type { Context } from './context.ts'
import { type EventFormat, formatEvent, requireFormat } from './event-format.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseInstant } from './flag-values.ts'
import type { Output } from './output.ts'
import { stopSignal } from './stop-signal.ts'

export interface TailOptions {
  readonly doctype?: string
  readonly event?: string
  readonly site?: string
  readonly since?: string
  readonly format?: string
}

/** Shows events while they are published, and before that those that were recorded since an instant. */
export async function tailEvents(context: Context, topic: string = '*', options: TailOptions): Promise<ExitCode> {
  const format = requireFormat(options.format, context.output.isJson)
  const since = parseInstant('--since', options.since)
  const stop = stopSignal()
  await context.withMoca(async (moca) => {
    const tail = new Tail(context.output, format, options)
    // From here on nothing that is published is missed; what comes while the log is read waits.
    const listening = await moca.events.listen(topic, tail.hear, { onGap: tail.tellGap })
    if (since) await tail.lookBack(moca, topic, since, stop)
    tail.goLive()
    context.output.note(`Listening to ${topic === '*' ? 'all topics' : topic}. Ctrl-C ends.`)
    await new Promise<void>((resolve) => {
      if (stop.aborted) resolve()
      else stop.addEventListener('abort', () => resolve(), { once: true })
    })
    await listening.stop()
  })
  return EXIT.fine
}

/** An event is shown once: one that is read from the log may be published a little later, or a second time when Redis forgot. */
const REMEMBERED = 200_000

class Tail {
  readonly #output: Output
  readonly #format: EventFormat
  readonly #options: TailOptions
  readonly #shown = new Set<string>()
  /** What was heard before it was its turn. */
  #waiting: HeardEvent[] | undefined = []

  constructor(output: Output, format: EventFormat, options: TailOptions) {
    this.#output = output
    this.#format = format
    this.#options = options
  }

  readonly hear = (heard: HeardEvent): void => {
    if (this.#waiting) this.#waiting.push(heard)
    else this.#show(heard)
  }

  readonly tellGap = ({ from, to }: Gap): void => {
    const between = `between ${from.toISOString()} and ${to.toISOString()}`
    this.#output.warn(`The connection was lost: events ${between} may be missing here.`)
  }

  async lookBack(moca: Moca, topic: string, since: Date, stop: AbortSignal): Promise<void> {
    for await (const heard of moca.events.history({ topics: [topic], since })) {
      if (stop.aborted) return
      this.#show(heard)
    }
  }

  goLive(): void {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const heard of waiting) this.#show(heard)
  }

  #show(heard: HeardEvent): void {
    const { event } = heard
    if (!this.#isWanted(event) || this.#shown.has(event.event_id)) return
    this.#shown.add(event.event_id)
    if (this.#shown.size > REMEMBERED) {
      const [oldest] = this.#shown
      this.#shown.delete(oldest as string)
    }
    this.#output.print(formatEvent(heard, this.#format, this.#output))
  }

  #isWanted({ doctype, event_type, site }: Envelope): boolean {
    const { doctype: onlyDoctype, event: onlyType, site: onlySite } = this.#options
    return (
      (onlyDoctype === undefined || doctype === onlyDoctype) &&
      (onlyType === undefined || event_type === onlyType) &&
      (onlySite === undefined || site === onlySite)
    )
  }
}
