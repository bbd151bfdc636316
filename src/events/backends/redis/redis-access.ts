import type { StoredScript } from '../../../redis/connection.ts'

/** A namespace in Redis, as whoever has opened it lends it to events. Everything rejects with ConnectionError when Redis is away. */
export interface RedisAccess {
  /** `{moca:<namespace>}:` */
  readonly prefix: string
  /** The layout that the namespace was opened with. */
  readonly layout: string
  /** Resolves once there is a connection; rejects with the reason when that takes longer. */
  ready(limitMs: number): Promise<void>
  send<T>(command: readonly string[]): Promise<T>
  /** A server that forgot the namespace is opened again, and asked again. */
  run<T>(script: StoredScript, args: readonly string[]): Promise<T>
}

/** Where the subscriptions stand. The queue's script for emitted events compares the version in it. */
export function subscriptionsKey(prefix: string): string {
  return `${prefix}subscriptions`
}

/** On which channel events of a topic are announced. The queue's scripts publish to the same. */
export function topicChannel(prefix: string, topic: string): string {
  return `${prefix}events:${topic}`
}
