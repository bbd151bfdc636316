import { type Clock, systemClock } from '../../../clock.ts'
import { OptionError } from '../../../errors.ts'
import { describeValue } from '../../../job/describe-value.ts'
import type { Logger } from '../../../logger.ts'
import { asAccessError } from '../../../redis/access.ts'
import { Connection, type RedisOptions } from '../../../redis/connection.ts'
import { Link } from '../../../redis/link.ts'
import type { Gap, Listening, TransientListener } from '../../event-backend.ts'
import { isTopicPattern, TopicSet } from '../../topic.ts'
import { topicChannel } from './redis-access.ts'

export interface RedisListenerDeps {
  readonly options: Required<RedisOptions>
  readonly prefix: string
  readonly name: string
  readonly log: Logger
  readonly clock?: Clock
}

/** Somebody who listens. */
interface Ear {
  readonly topics: TopicSet
  readonly listener: TransientListener
}

/** Nobody notices that a connection on which nothing is asked hangs. */
const PING_MS = 2_000

/**
 * Hears what is announced, for everybody in this process, on one connection of its own: a slow listener must not hold up anything else.
 * Topics by beginning are heard by one pattern over all topics, and sorted out here: a Redis user can be granted one pattern, not any.
 */
export class RedisListener {
  readonly #deps: RedisListenerDeps
  readonly #clock: Clock
  readonly #link: Link<Connection>
  readonly #ears = new Set<Ear>()
  /** What the present connection hears: channels and, as '*', the pattern. */
  #heard = new Map<string, Promise<void>>()
  /** When the connection gave its last sign of life (ms): it may have hung ever since. */
  #aliveAtMs = 0
  /** Since when nothing may have been heard. */
  #deafSinceMs: number | undefined

  constructor(deps: RedisListenerDeps) {
    this.#deps = deps
    this.#clock = deps.clock ?? systemClock
    this.#link = new Link(() => this.#open(), deps.log, this.#clock)
  }

  async listen(topics: readonly string[], listener: TransientListener): Promise<Listening> {
    const ear: Ear = { topics: new TopicSet(requirePatterns(topics)), listener }
    const connection = await this.#link.ready(this.#deps.options.connectTimeoutMs)
    this.#ears.add(ear)
    try {
      await Promise.all(channelsOf(ear).map((channel) => this.#hear(connection, channel)))
    } catch (error) {
      this.#ears.delete(ear)
      throw asAccessError(error)
    }
    return {
      stop: async () => {
        this.#ears.delete(ear)
        await this.#forgetUnneeded()
      },
    }
  }

  async close(): Promise<void> {
    this.#ears.clear()
    await this.#link.close()
  }

  async #open(): Promise<Connection> {
    const { options, name } = this.#deps
    const connection = await Connection.open(options, name)
    this.#heard = new Map()
    try {
      const needed = new Set([...this.#ears].flatMap(channelsOf))
      await Promise.all([...needed].map((channel) => this.#hear(connection, channel)))
    } catch (error) {
      connection.destroy()
      throw error
    }
    this.#tellGap()
    void this.#keep(connection)
    return connection
  }

  /** Until the connection breaks. */
  async #keep(connection: Connection): Promise<void> {
    const broken = new AbortController()
    void connection.closed.then(() => {
      this.#deafSinceMs ??= this.#aliveAtMs
      broken.abort()
    })
    while (!broken.signal.aborted) {
      await this.#clock.wait(PING_MS, broken.signal)
      await connection.send(['PING']).then(this.#isAlive, () => undefined)
    }
  }

  readonly #isAlive = (): void => {
    this.#aliveAtMs = this.#clock.wallMs()
  }

  #tellGap(): void {
    this.#isAlive()
    if (this.#deafSinceMs === undefined) return
    const gap: Gap = { from: new Date(this.#deafSinceMs), to: new Date(this.#aliveAtMs) }
    this.#deafSinceMs = undefined
    for (const { listener } of this.#ears) this.#guard(() => listener.onGap(gap))
  }

  #hear(connection: Connection, channel: string): Promise<void> {
    const known = this.#heard.get(channel)
    if (known) return known
    const { prefix } = this.#deps
    const start = topicChannel(prefix, '').length
    const hearing =
      channel === ALL
        ? connection.subscribePattern(topicChannel(prefix, '*'), (text, from) =>
            this.#onPattern(from.slice(start), text),
          )
        : connection.subscribe(topicChannel(prefix, channel), (text) => this.#onChannel(channel, text))
    const heard = this.#heard
    heard.set(channel, hearing)
    hearing.catch(() => heard.delete(channel)) // refused: the next one asks again
    return hearing
  }

  async #forgetUnneeded(): Promise<void> {
    const connection = this.#link.get()
    if (!connection) return
    const needed = new Set([...this.#ears].flatMap(channelsOf))
    const unneeded = [...this.#heard.keys()].filter((channel) => !needed.has(channel))
    for (const channel of unneeded) this.#heard.delete(channel)
    const { prefix } = this.#deps
    await Promise.all(
      unneeded.map((channel) =>
        channel === ALL
          ? connection.unsubscribePattern(topicChannel(prefix, '*'))
          : connection.unsubscribe(topicChannel(prefix, channel)),
      ),
    ).catch(() => undefined) // it broke: the next one hears what is needed
  }

  #onChannel(topic: string, text: string): void {
    this.#isAlive()
    for (const { topics, listener } of this.#ears) {
      if (topics.names.has(topic)) this.#guard(() => listener.onEvent({ topic, text }))
    }
  }

  #onPattern(topic: string, text: string): void {
    this.#isAlive()
    for (const { topics, listener } of this.#ears) {
      // By name it is heard on its channel.
      if (!topics.names.has(topic) && topics.has(topic)) this.#guard(() => listener.onEvent({ topic, text }))
    }
  }

  /** The fault of a listener is none of the others. */
  #guard(tell: () => void): void {
    try {
      tell()
    } catch (error) {
      this.#deps.log.error({ error: String(error) }, 'A listener threw')
    }
  }
}

/** Stands for the pattern over all topics. */
const ALL = '*'

function channelsOf({ topics }: Ear): string[] {
  return topics.beginnings.length > 0 ? [...topics.names, ALL] : [...topics.names]
}

function requirePatterns(topics: readonly string[]): readonly string[] {
  const isPattern = (topic: unknown) => topic === '*' || isTopicPattern(topic)
  const strange = topics.find((topic) => !isPattern(topic))
  if (topics.length > 0 && strange === undefined) return topics
  throw new OptionError(
    `listen takes topics like shop.orders, shop.* or *; found ${topics.length === 0 ? 'none' : describeValue(strange)}`,
    { option: 'topics', found: strange },
  )
}
