import { Connection, type RedisOptions } from '../../redis/connection.ts'
import { GROUP, lettersOf, queueKey, type StreamLetter } from '../keys.ts'
import type { LossDetector } from '../loss-detector.ts'
import { type NamespaceConnection, openNamespace } from '../namespace.ts'
import { loadScripts } from '../scripts.ts'

/**
 * A worker's connections in one go: one for blocking reads, one for everything else, and the name under which it holds entries. When
 * either breaks, both are given up and the next session begins under another name.
 */
export class WorkerSession {
  readonly read: Connection
  readonly work: NamespaceConnection
  readonly consumer: string
  /** Round trip to the server in ms, the best of three. */
  readonly rttMs: number
  readonly closed: Promise<Error>

  constructor(read: Connection, work: NamespaceConnection, consumer: string, rttMs: number) {
    this.read = read
    this.work = work
    this.consumer = consumer
    this.rttMs = rttMs
    this.closed = Promise.race([read.closed, work.closed])
    void this.closed.then(() => this.destroy())
  }

  get bootId(): string {
    return this.work.bootId
  }

  destroy(): void {
    this.read.destroy()
    this.work.destroy()
  }
}

export interface SessionRequest {
  readonly redis: RedisOptions
  readonly namespace: string
  readonly workerId: string
  readonly number: number
  readonly queues: readonly string[]
  readonly losses: LossDetector
  /** The session before this one, when there was one. */
  readonly before: { readonly readId: number; readonly workId: number; readonly bootId: string } | undefined
  /** Entries that really run, or are finished and not settled, of one stream. */
  readonly running: (queue: string, letter: StreamLetter) => readonly string[]
  /** Called in a new life of the server, before anything is read in it: what still runs may have been forgotten. */
  readonly onNewBoot: (work: NamespaceConnection, consumer: string) => Promise<void>
  /** Tells the keeper the new name before anything is held under it. */
  readonly onConsumer: (consumer: string) => void
}

/** Opens a session: ends what is left of the one before, and takes over what this worker really runs (attack 7). */
export async function openSession(request: SessionRequest): Promise<WorkerSession> {
  const { redis, namespace, workerId, number, queues } = request
  const control = await Connection.open(redis, `moca:${workerId}:work`)
  let read: Connection | undefined
  try {
    read = await Connection.open(redis, `moca:${workerId}:read`)
    const work = await openNamespace(control, namespace, {
      queues,
      makeGroups: true,
      seenMs: request.losses.seenMs,
    })
    await request.losses.compare(work)
    // A black-holed connection goes on reading for its consumer. Its id says something only in the same life of the server.
    if (request.before?.bootId === work.bootId) {
      for (const id of [request.before.readId, request.before.workId]) {
        await control.send(['CLIENT', 'KILL', 'ID', String(id)]).catch(() => 0)
      }
    }
    const consumer = `${workerId}.${number}`
    request.onConsumer(consumer)
    await adoptAll(request, work, consumer)
    if (request.before && request.before.bootId !== work.bootId) await request.onNewBoot(work, consumer)
    return new WorkerSession(read, work, consumer, await roundTrip(read))
  } catch (error) {
    read?.destroy()
    control.destroy()
    throw error
  }
}

async function adoptAll(request: SessionRequest, work: NamespaceConnection, consumer: string): Promise<void> {
  const { adopt } = loadScripts()
  for (const queue of request.queues) {
    const sides = await work.connection.send<string[]>(['SMEMBERS', queueKey(work.prefix, queue, 'sides')])
    for (const letter of lettersOf(sides)) {
      const header = JSON.stringify({
        w: request.workerId,
        n: request.number,
        c: consumer,
        q: queue,
        s: letter,
        limit: 500,
      })
      let state: string
      do {
        const reply = await work.connection.run<[number, string]>(adopt, work.prefix, [
          header,
          ...request.running(queue, letter),
        ])
        state = reply[1]
      } while (state === 'more')
    }
  }
}

async function roundTrip(connection: Connection): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 3; round++) {
    const from = performance.now()
    await connection.send(['PING'])
    best = Math.min(best, performance.now() - from)
  }
  return best
}

/** XREADGROUP for one or several streams; `blockMs` 0 = do not wait. */
export function readCommand(consumer: string, count: number, blockMs: number, keys: readonly string[]): string[] {
  const command = ['XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', String(count)]
  if (blockMs > 0) command.push('BLOCK', String(blockMs))
  command.push('STREAMS', ...keys)
  for (let index = 0; index < keys.length; index++) command.push('>')
  return command
}
