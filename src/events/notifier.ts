import { type Clock, systemClock } from '../clock.ts'
import { ConnectionError } from '../errors.ts'
import type { NoteSource, QueueNote } from '../job/queue-notes.ts'
import { type EncodedEvent, encodeEvent, type EventInput } from './event.ts'
import { SubscriptionSet } from './fan-out.ts'
import type { SubscriptionRegistry } from './subscription-registry.ts'
import { NOTIFICATIONS } from './topic.ts'

export interface NotifierDeps {
  readonly notes: NoteSource
  /** Whose version those who publish compare. */
  readonly registry: Pick<SubscriptionRegistry, 'list'>
  readonly clock?: Clock
}

const MOST_NOTES = 100
const MOST_TRIES = 5

/**
 * Makes events of topic moca.notifications of what the queue noted: dead letters and losses. Any number of processes may do so: a note
 * becomes an event and is forgotten in one step. One that cannot be told now is told later.
 */
export class Notifier {
  readonly #deps: NotifierDeps

  constructor(deps: NotifierDeps) {
    this.#deps = deps
  }

  /** Returns how many notes it told of. Rejects with the last error when some could not be told. */
  async runOnce(): Promise<number> {
    const { notes } = this.#deps
    const taken = await notes.take(MOST_NOTES)
    if (taken.length === 0) return 0
    let set = await this.#loadSet()
    let told = 0
    let lastError: Error | undefined
    for (const note of taken) {
      try {
        set = await this.#tell(note, set)
        told++
      } catch (error) {
        // E.g. no room in the queue of a subscription: that is no reason to keep the others waiting.
        lastError = error instanceof Error ? error : new Error(String(error))
        if (error instanceof ConnectionError) break
      }
    }
    if (lastError) throw lastError
    return told
  }

  /** Returns the set that it went by. */
  async #tell(note: QueueNote, known: SubscriptionSet): Promise<SubscriptionSet> {
    const { notes } = this.#deps
    // A notification whose handler dies would be told of, and die, for ever.
    if (note.kind === 'dead' && note.topic === NOTIFICATIONS) {
      await notes.leave(note)
      return known
    }
    const event = this.#eventOf(note)
    let set = known
    for (let tries = 1; tries <= MOST_TRIES; tries++) {
      const announcements = [{ topic: event.topic, text: event.payload }]
      const jobs = set.jobsFor(event, event.id)
      if ((await notes.tell(note, { version: set.version, jobs, announcements })) !== 'outdated') return set
      set = await this.#loadSet()
    }
    throw new ConnectionError('The set of subscriptions changes all the time')
  }

  #eventOf(note: QueueNote): EncodedEvent {
    const { clock = systemClock } = this.#deps
    const defaults = { nowMs: clock.wallMs(), source: 'moca', maxBytes: Number.MAX_SAFE_INTEGER }
    return encodeEvent(NOTIFICATIONS, inputOf(note), defaults)
  }

  async #loadSet(): Promise<SubscriptionSet> {
    const { version, subscriptions } = await this.#deps.registry.list()
    return new SubscriptionSet(version, subscriptions)
  }
}

function inputOf(note: QueueNote): EventInput {
  if (note.kind === 'dead') {
    const { queue, at, jobId, type, reason, topic = null } = note
    return { type: 'job.dead', data: { queue, jobId, type, reason, topic, at } }
  }
  const { queue, at, lost, from, to, boot } = note
  return { type: 'jobs.lost', data: { queue, lost, from, to, boot, at } }
}
