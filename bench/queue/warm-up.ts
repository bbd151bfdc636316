import { monotonicMs } from '../clock.ts'
import { DeliveryCheck } from './delivery-check.ts'
import { makeBatches } from './payload.ts'
import type { Producer, QueueSystem } from './system.ts'

// V8 compiles what is hot only after many thousands of calls, and a web server or worker has mostly been up for a while
// when its jobs come. Each process therefore does what it will be measured for in another queue first, until this time
// or this many jobs are over.
const warmUpMs = 3_000
const warmUpJobs = 100_000
const jobsPerPass = 5_000
const jobsPerCall = 1_000

/** Enqueues by `enqueueAll`, and leaves the jobs where they are. Resolves with their number. */
export async function warmUpProducer(
  system: QueueSystem,
  port: number,
  enqueueAll: (producer: Producer, batches: ReturnType<typeof makeBatches>) => Promise<void>,
): Promise<number> {
  const producer = await system.openProducer({ port, queue: 'warm-up-producer' })
  const jobs = await repeat((from) => enqueueAll(producer, makeBatches(jobsPerPass, jobsPerCall, from)))
  await producer.close()
  return jobs
}

export async function warmUpConsumer(system: QueueSystem, port: number, concurrency: number): Promise<void> {
  const place = { port, queue: 'warm-up-consumer' }
  const producer = await system.openProducer(place)
  const check = new DeliveryCheck(warmUpJobs)
  let complete = Promise.withResolvers<void>()
  const consumer = await system.openConsumer(place, {
    concurrency,
    async handler(payload) {
      check.record(payload)
      if (check.isComplete) complete.resolve()
    },
  })
  await consumer.start()
  await repeat(async (from) => {
    complete = Promise.withResolvers()
    check.expect(from + jobsPerPass)
    for (const batch of makeBatches(jobsPerPass, jobsPerCall, from)) await producer.enqueueMany(batch)
    await complete.promise
  })
  await consumer.stop()
  await producer.close()
}

async function repeat(pass: (from: number) => Promise<void>): Promise<number> {
  const endsAtMs = monotonicMs() + warmUpMs
  let jobs = 0
  while (jobs < warmUpJobs && monotonicMs() < endsAtMs) {
    await pass(jobs)
    jobs += jobsPerPass
  }
  return jobs
}
