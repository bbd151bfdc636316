import { systemClock } from '../../src/clock.ts'
import type { BatchAnswer, ReceivedBatch, ReceivedJob } from '../../src/job/job-receiver.ts'
import { givenPlace } from '../../src/job/job-id.ts'
import { silentLogger } from '../../src/logger.ts'
import { ConfirmedCounts } from '../../src/queue/confirmed-counts.ts'
import { LossDetector } from '../../src/queue/loss-detector.ts'
import { type NamespaceConnection, openNamespace } from '../../src/queue/namespace.ts'
import { Receiver, type ReceiverDeps } from '../../src/queue/receiver/receiver.ts'
import { Connection } from '../../src/redis/connection.ts'
import { Link } from '../../src/redis/link.ts'

/** The id of the log from which batches come unless a test says otherwise. */
export const LOG_ID = '0197c0de-0000-7000-8000-000000000001'

/** A receiver with a connection of its own, which replaces itself when it breaks. */
export class ReceiverScene implements AsyncDisposable {
  readonly link: Link<NamespaceConnection>
  readonly receiver: Receiver
  readonly losses = new LossDetector(silentLogger)

  constructor(url: string, namespace: string, deps: Partial<ReceiverDeps> = {}) {
    this.link = new Link(async () => {
      const connection = await Connection.open({ url, replyTimeoutMs: 2_000 }, 'receiver')
      const open = await openNamespace(connection, namespace, {
        queues: [],
        makeGroups: false,
        seenMs: this.losses.seenMs,
      })
      await this.losses.compare(open)
      return open
    }, silentLogger)
    const counts = new ConfirmedCounts(this.losses)
    const defaults = { link: this.link, counts, clock: systemClock, maxWaiting: {}, timeoutMs: 5_000 }
    this.receiver = new Receiver({ ...defaults, ...deps })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.link.close()
  }

  /** Sends batches of a unit, and asks what became of each. */
  async receive(...batches: readonly Partial<ReceivedBatch>[]): Promise<BatchAnswer[]> {
    const answers: BatchAnswer[] = []
    for (const some of batches) answers.push(await this.receiver.receive(batch(some)))
    return answers
  }
}

export function batch(some: Partial<ReceivedBatch> = {}): ReceivedBatch {
  const { n = 1, jobs = [] } = some
  const base = { unit: '7', logId: LOG_ID, n, epoch: 1, rows: jobs.length, digest: `d${n}`, jobs, announcements: [] }
  return { ...base, ...some }
}

export function receivedJob(some: Partial<ReceivedJob> = {}): ReceivedJob {
  const place = some.place ?? givenPlace(Date.now())
  const base = { queue: 'default', type: 'test.job', options: `{"i":"${place}"}`, payload: 'null' }
  return { ...base, place, key: undefined, dueMs: undefined, ...some }
}
