import { systemClock } from '../clock.ts'
import { silentLogger } from '../logger.ts'
import { QueuePositions, type SinkPositions } from '../outbox/sinks/sink-positions.ts'
import { ConfirmedCounts } from '../queue/confirmed-counts.ts'
import { LossDetector } from '../queue/loss-detector.ts'
import { openNamespace } from '../queue/namespace.ts'
import { Receiver } from '../queue/receiver/receiver.ts'
import { Connection } from '../redis/connection.ts'
import { Link } from '../redis/link.ts'
import type { Context, QueueAccess } from './context.ts'

/** Connects to Redis, gives access to its queues and to what its lanes of the outbox say of themselves, and closes the connections afterwards. */
export async function withSinks<T>(
  context: Context,
  use: (sinks: readonly SinkPositions[], queues: QueueAccess) => Promise<T>,
): Promise<T> {
  const { namespace, redis } = await context.config()
  // It says what is the matter where there is no server, and waits for one as long as --timeout says.
  return context.withQueues(async (queues) => {
    const link = new Link(async () => {
      const connection = await Connection.open(redis, `moca:${namespace}:cli`)
      try {
        return await openNamespace(connection, namespace, { queues: [], makeGroups: false })
      } catch (error) {
        connection.destroy()
        throw error
      }
    }, silentLogger)
    const receiver = new Receiver({
      link,
      counts: new ConfirmedCounts(new LossDetector(silentLogger)),
      clock: systemClock,
      maxWaiting: {},
      timeoutMs: redis.connectTimeoutMs,
    })
    try {
      return await use([new QueuePositions(receiver)], queues)
    } finally {
      await link.close()
    }
  })
}
