import type { Clock } from '../../clock.ts'
import { EnqueueError, QueueFullError } from '../../errors.ts'
import type { Fire, FireAnswer, FireOutcome, FireReceiver } from '../../job/fire-receiver.ts'
import type {
  BatchAnswer,
  EmittedEvents,
  JobReceiver,
  ReceivedBatch,
  ReceivedPosition,
} from '../../job/job-receiver.ts'
import type { Link } from '../../redis/link.ts'
import type { ConfirmedCounts } from '../confirmed-counts.ts'
import { relayKey } from '../keys.ts'
import { mustReopen, type NamespaceConnection } from '../namespace.ts'
import { explainFailure, wasRefusedUnapplied } from '../refusals.ts'
import { loadScripts, type ScriptName } from '../scripts.ts'
import { largeBytes } from '../entry.ts'
import { fireValues } from './fire-values.ts'
import { formatPosition, parsePosition } from './position.ts'
import { type MaxWaiting, ReceivedCall } from './received-call.ts'

export interface ReceiverDeps {
  readonly link: Link<NamespaceConnection>
  readonly counts: ConfirmedCounts
  readonly clock: Clock
  readonly maxWaiting: MaxWaiting
  /** Longest wait for a connection, and of `publish` for its answer, ms. */
  readonly timeoutMs: number
}

/** What relay.lua and publish.lua answer: a word, and what it is about. */
type Reply = readonly [word: string, ...about: readonly (string | number)[]]

/** Something that is sent, and whether the server may have got it. */
interface Sending {
  /** It is given up then, by the monotonic clock. */
  readonly deadlineMs: number
  isSent: boolean
  /** Whoever asked for it does not wait any more, and was told whether it was sent. */
  isGivenUp: boolean
}

/** Accepts jobs that were recorded in an outbox, or come of emitted events or schedules. Each call is one script: all of it, or nothing. */
export class Receiver implements JobReceiver, FireReceiver {
  readonly #deps: ReceiverDeps

  constructor(deps: ReceiverDeps) {
    this.#deps = deps
  }

  async receive(batch: ReceivedBatch): Promise<BatchAnswer> {
    const { unit, logId: log, n, epoch, rows, digest, jobs, announcements } = batch
    const call = new ReceivedCall(jobs, announcements, this.#deps.maxWaiting)
    const sending = this.#begin()
    try {
      return readAnswer(await this.#accept('relay', { unit, log, n, epoch, rows, digest }, call, sending))
    } catch (error) {
      throw explainFailure(error, 'batch', sending.isSent)
    }
  }

  async positions(): Promise<ReadonlyMap<string, ReceivedPosition>> {
    const flat = await this.#ask('look at the positions', ({ connection, prefix }) =>
      connection.send<string[]>(['HGETALL', relayKey(prefix)]),
    )
    const positions = new Map<string, ReceivedPosition>()
    for (let index = 0; index + 1 < flat.length; index += 2) {
      const position = parsePosition(flat[index + 1] as string)
      if (position) positions.set(flat[index] as string, position)
    }
    return positions
  }

  async setPositions(positions: ReadonlyMap<string, ReceivedPosition | undefined>): Promise<void> {
    const values = [...positions].flatMap(([unit, position]) => [unit, position ? formatPosition(position) : ''])
    const args = [JSON.stringify({ n: positions.size }), ...values]
    await this.#ask('change of the positions', ({ connection, prefix }) =>
      connection.run(loadScripts().reposition, prefix, args),
    )
  }

  async publish(events: EmittedEvents): Promise<'published' | 'outdated'> {
    return (await this.#publish(events, undefined)) as 'published' | 'outdated'
  }

  /** Publishes an event that tells of a note (note-reader.ts), and forgets the note. `gone`: somebody else did. */
  publishNote(note: string, events: EmittedEvents): Promise<'published' | 'outdated' | 'gone'> {
    return this.#publish(events, note)
  }

  async #publish(
    { version, jobs, announcements }: EmittedEvents,
    note: string | undefined,
  ): Promise<'published' | 'outdated' | 'gone'> {
    const { maxWaiting, timeoutMs } = this.#deps
    const call = new ReceivedCall(jobs, announcements, maxWaiting)
    const sending = this.#begin()
    try {
      const [word, queue] = await this.#inTime(this.#accept('publish', { v: version, note }, call, sending), sending)
      if (word === 'full') throw new QueueFullError(String(queue), maxWaiting[String(queue)] ?? 0)
      return word as 'published' | 'outdated' | 'gone'
    } catch (error) {
      if (error === LATE) {
        const state = sending.isSent ? 'was sent and not answered' : 'could not be sent: Redis is not connected'
        const text = `The event ${state} within ${timeoutMs} ms.`
        throw new EnqueueError('enqueue_timeout', text, sending.isSent, this.#deps.link.lastError)
      }
      throw explainFailure(error, 'event', sending.isSent)
    }
  }

  async fire(leader: string | undefined, queue: string, fires: readonly Fire[]): Promise<FireAnswer> {
    const maxWaiting = this.#deps.maxWaiting[queue]
    const hasLarge = fires.some(({ payload }) => largeBytes(payload) !== undefined)
    const header = JSON.stringify({ q: queue, n: fires.length, max: maxWaiting, o: leader, l: hasLarge || undefined })
    const args = [header, ...fires.flatMap(fireValues)]
    const sending = this.#begin()
    const send = async (open: NamespaceConnection): Promise<FireAnswer> => {
      const [word, at, accepted, ...outcomes] = await open.connection.run<Reply>(loadScripts().fire, open.prefix, args)
      if (word === 'full') return { status: word, maxWaiting: maxWaiting ?? 0 }
      if (word !== 'fired') return { status: 'standby' }
      if (!this.#deps.counts.confirm(open, queue, Number(accepted), Number(at))) open.destroy()
      return { status: word, outcomes: outcomes as FireOutcome[] }
    }
    try {
      return await this.#onOpen(sending, send)
    } catch (error) {
      throw explainFailure(error, 'fires', sending.isSent)
    }
  }

  #begin(): Sending {
    return { deadlineMs: this.#deps.clock.monotonicMs() + this.#deps.timeoutMs, isSent: false, isGivenUp: false }
  }

  /** Runs a script that accepts jobs, and remembers what it has confirmed. */
  async #accept(script: ScriptName, header: object, call: ReceivedCall, sending: Sending): Promise<Reply> {
    const args = [JSON.stringify({ ...header, ...call.header }), ...call.values]
    return this.#onOpen(sending, async (open) => {
      const reply = await open.connection.run<Reply>(loadScripts()[script], open.prefix, args)
      const [word, at, ...accepted] = reply
      if (word !== 'applied' && word !== 'published') return reply
      const isKnown = call.queues.map((queue, index) =>
        this.#deps.counts.confirm(open, queue, Number(accepted[index]), Number(at)),
      )
      if (isKnown.includes(false)) open.destroy()
      return reply
    })
  }

  async #ask<T>(what: string, ask: (open: NamespaceConnection) => Promise<T>): Promise<T> {
    const sending = this.#begin()
    try {
      return await this.#onOpen(sending, ask)
    } catch (error) {
      throw explainFailure(error, what, sending.isSent)
    }
  }

  /** A server that did nothing because it must be opened anew is opened anew, and asked again. */
  async #onOpen<T>(sending: Sending, ask: (open: NamespaceConnection) => Promise<T>): Promise<T> {
    const { link, clock } = this.#deps
    for (;;) {
      const open = link.get() ?? (await link.ready(Math.max(1, sending.deadlineMs - clock.monotonicMs())))
      if (sending.isGivenUp) throw LATE
      sending.isSent = true
      try {
        return await ask(open)
      } catch (error) {
        if (!wasRefusedUnapplied(error)) throw error
        sending.isSent = false
        if (!mustReopen(error)) throw error
        open.destroy()
        await open.closed // by now the link has let go of it
      }
    }
  }

  async #inTime<T>(work: Promise<T>, sending: Sending): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const giveUp = () => {
        sending.isGivenUp = true
        reject(LATE)
      }
      timer = setTimeout(giveUp, sending.deadlineMs - this.#deps.clock.monotonicMs())
    })
    try {
      return await Promise.race([work, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

const LATE = new Error('late')

function readAnswer([word, about]: Reply): BatchAnswer {
  const found = parsePosition(String(about))
  switch (word) {
    case 'applied':
    case 'done':
      return { status: word }
    case 'full':
      return { status: word, queue: String(about) }
    case 'forgot':
      return { status: word, found }
    case 'stale':
    case 'ahead':
    case 'foreign':
      return { status: word, found: found as ReceivedPosition }
    default:
      throw new Error(`relay.lua answered ${word}`)
  }
}
