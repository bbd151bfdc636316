import type { Logger } from '../logger.ts'
import { Connection, type RedisOptions } from '../redis/connection.ts'
import { Link } from '../redis/link.ts'
import type { LossDetector } from './loss-detector.ts'
import { type NamespaceConnection, openNamespace } from './namespace.ts'

/** Keeps one connection to a namespace open, on which nothing is forgotten unnoticed. `role`: what the server lists it by. */
export function linkNamespace(options: {
  readonly redis: RedisOptions
  readonly namespace: string
  readonly role: string
  readonly losses: LossDetector
  readonly log: Logger
}): Link<NamespaceConnection> {
  const { redis, namespace, role, losses, log } = options
  return new Link(async () => {
    const connection = await Connection.open(redis, `moca:${namespace}:${role}`)
    try {
      const open = await openNamespace(connection, namespace, { queues: [], makeGroups: false, seenMs: losses.seenMs })
      await losses.compare(open)
      return open
    } catch (error) {
      connection.destroy()
      throw error
    }
  }, log)
}
