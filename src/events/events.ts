import { ConfigError, OptionError } from '../errors.ts'
import { describeValue } from '../job/describe-value.ts'
import type { Announcement } from '../job/job-receiver.ts'
import type { Logger } from '../logger.ts'
import type { Emitter } from './emitter.ts'
import type { Envelope, EventInput } from './event.ts'
import type { EventBackend, Gap, Listening } from './event-backend.ts'
import type { EventHistory, HistoryFilter } from './event-history.ts'
import { SubscriptionSet } from './fan-out.ts'
import { type PublishHooks, publishThrough } from './publish-hook.ts'
import { Replayer, type ReplayerDeps, type ReplayOptions, type ReplayResult } from './replayer.ts'
import { doctypeTopic, TopicSet } from './topic.ts'
import type { SubscriptionMirror } from './subscription-mirror.ts'
import { requireSubscription, type Subscription } from './subscription.ts'
import type { RegisteredSubscription, Registration, SubscriptionRegistry } from './subscription-registry.ts'

export interface EventsDeps {
  readonly emitter: Emitter
  readonly backend: EventBackend
  readonly registry: SubscriptionRegistry
  /** Where those who emit go by a copy of the registry. */
  readonly mirror: SubscriptionMirror | undefined
  /** Undefined: nothing keeps events. */
  readonly history: EventHistory | undefined
  readonly replay: Pick<ReplayerDeps, 'receiver' | 'registry'>
  readonly hooks: PublishHooks
  readonly log: Logger
}

/** What a transient listener hears. */
export interface HeardEvent<Data = unknown> {
  readonly event: Envelope<Data>
  readonly topic: string
}

/** Recorded events that a subscription waits for. */
export interface Backlog {
  readonly events: number
  readonly oldestAt: Date
}

export interface ListenOptions {
  /** Called when the connection was lost and is back: events between the two instants may have been missed. */
  readonly onGap?: (gap: Gap) => void
}

/** Events as an application sees them: `moca.events`. */
export class Events {
  readonly #deps: EventsDeps

  constructor(deps: EventsDeps) {
    this.#deps = deps
  }

  /**
   * Publishes an event at once, to subscriptions and listeners. Settles within `enqueueTimeout`. Rejects with OptionError, PayloadError,
   * QueueFullError, or EmitError (whose `mayHaveBeenApplied` says whether it may have been published all the same). For an event that is
   * to be published if and only if a transaction commits, use `moca.outbox.record`.
   * @example await moca.events.emit('shop.orders', { type: 'order.paid', key: 'order:42', data: { total: 12 } })
   */
  emit<Data>(topic: string, event: EventInput<Data>): Promise<{ readonly id: string }> {
    const { emitter, hooks } = this.#deps
    if (hooks.length === 0) return emitter.emit(topic, event)
    const facts = { topic, events: [event], isRecorded: false }
    return publishThrough(hooks, facts, ([changed]) => emitter.emit(topic, changed as EventInput))
  }

  /**
   * Hears events of topics (`shop.orders`, `shop.*`, `*`) while they are published, until stopped: for caches and live pages. What is
   * published while nobody is connected is not heard; `onGap` tells that it may have happened. Resolves once it hears. Rejects with
   * ConnectionError, or OptionError for what is no topic.
   * @example const { stop } = await moca.events.listen('shop.*', ({ event }) => cache.delete(event.docname), { onGap: () => cache.clear() })
   */
  async listen(
    topics: string | readonly string[],
    fn: (heard: HeardEvent) => unknown,
    { onGap = () => {} }: ListenOptions = {},
  ): Promise<Listening> {
    if (typeof fn !== 'function') {
      throw new OptionError(`listen(topics, fn): fn must be a function; found ${describeValue(fn)}`, { option: 'fn' })
    }
    const list = typeof topics === 'string' ? [topics] : topics
    if (!Array.isArray(list)) {
      throw new OptionError(`listen takes a topic or a list of them; found ${describeValue(topics)}`, {
        option: 'topics',
        found: topics,
      })
    }
    return this.#deps.backend.listen(list, {
      onEvent: (announcement) => void this.#tell(fn, announcement),
      onGap,
    })
  }

  /**
   * Registers a subscription, or changes what it asks for: from now on its events become jobs. Workers and relays do so by themselves for
   * the apps of their configuration. Rejects with ConnectionError.
   */
  async subscribe(subscription: Subscription): Promise<Registration> {
    requireSubscription(subscription, 'subscribe')
    const registration = await this.#deps.registry.register(subscription)
    if (registration.status !== 'unchanged') await this.#tellEmitters()
    return registration
  }

  /** Ends a subscription: events from now on do not reach it; jobs that it has stay. False: there was none of that name. */
  async unsubscribe(name: string): Promise<boolean> {
    const wasThere = await this.#deps.registry.unregister(name)
    if (wasThere) await this.#tellEmitters()
    return wasThere
  }

  /** Who is subscribed. */
  async subscriptions(): Promise<readonly RegisteredSubscription[]> {
    return (await this.#deps.registry.list()).subscriptions
  }

  /**
   * How many recorded events each subscription asks for that are not published yet. Undefined without PostgreSQL: what is emitted is
   * published at once.
   */
  async backlog(): Promise<ReadonlyMap<string, Backlog> | undefined> {
    const { history } = this.#deps
    if (!history) return undefined
    const [{ version, subscriptions }, waiting] = await Promise.all([
      this.#deps.registry.list(),
      history.countWaiting(),
    ])
    const set = new SubscriptionSet(version, subscriptions)
    const backlog = new Map<string, Backlog>()
    for (const facts of waiting) {
      for (const { subscription } of set.matching(facts)) {
        const { events = 0, oldestAt = facts.oldestAt } = backlog.get(subscription.name) ?? {}
        const oldest = Math.min(oldestAt.getTime(), facts.oldestAt.getTime())
        backlog.set(subscription.name, { events: events + facts.events, oldestAt: new Date(oldest) })
      }
    }
    return backlog
  }

  /** Topics that Moca, subscriptions and listeners name, sorted. */
  listTopics(): Promise<readonly string[]> {
    return this.#deps.backend.listTopics()
  }

  /**
   * Recorded events of topics, in the order of recording, up to what is there: needs PostgreSQL, and reaches as far back as its log.
   * Emitted events are not kept. Rejects with ConfigError without PostgreSQL, or ConnectionError.
   * @example for await (const { event } of moca.events.history({ topics: ['shop.*'], since: new Date('2026-11-25') })) print(event)
   */
  async *history(filter: HistoryFilter): AsyncGenerator<HeardEvent, void> {
    const topics = new TopicSet(filter.topics)
    for await (const page of this.#requireHistory().read(filter)) {
      for (const row of page) {
        const topic = topics.has(row.topic) ? row.topic : (doctypeTopic(row) ?? row.topic)
        yield { topic, event: JSON.parse(row.payload) as Envelope }
      }
    }
  }

  /**
   * Sends recorded events again, as new jobs of those who ask for them now. Rejects with OptionError for an unknown subscription, ConfigError
   * without PostgreSQL, QueueFullError, or ConnectionError: what was sent before stays sent, as `onProgress` told last.
   */
  async replay(options: ReplayOptions, onProgress?: (result: ReplayResult) => void): Promise<ReplayResult> {
    const { replay } = this.#deps
    return new Replayer({ ...replay, history: this.#requireHistory() }, options).run(onProgress)
  }

  /** Lets those who emit know of a change at once. Should that fail, a relay will do it. */
  async #tellEmitters(): Promise<void> {
    const { mirror, log } = this.#deps
    await mirror?.runOnce().catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error)
      log.warn({ reason }, 'Emitted events do not go by the changed subscriptions yet')
    })
  }

  #requireHistory(): EventHistory {
    const { history } = this.#deps
    if (history) return history
    throw new ConfigError(
      'Past events need PostgreSQL, which keeps what was recorded: set postgres.url, or DATABASE_URL',
      {
        option: 'postgres.url',
      },
    )
  }

  async #tell(fn: (heard: HeardEvent) => unknown, { topic, text }: Announcement): Promise<void> {
    try {
      await fn({ event: JSON.parse(text) as Envelope, topic })
    } catch (error) {
      this.#deps.log.error({ topic, error: String(error) }, 'A listener threw')
    }
  }
}
