import type { Announcement, ReceivedJob } from '../../job/job-receiver.ts'
import { largeBytes } from '../entry.ts'

/** Most waiting jobs per queue; a queue that is not named has no limit. */
export type MaxWaiting = Readonly<Record<string, number | undefined>>

/** Jobs and announcements as lua/receive.lua is told of them. */
export class ReceivedCall {
  /** In the order of the values, and of the counts that are answered. */
  readonly queues: readonly string[]
  /** Part of the script's header. */
  readonly header: {
    readonly q: readonly (readonly [queue: string, jobs: number, max?: number])[]
    readonly big: readonly number[]
    readonly say: number
  }
  readonly values: readonly string[]

  constructor(jobs: readonly ReceivedJob[], announcements: readonly Announcement[], maxWaiting: MaxWaiting) {
    const byQueue = Map.groupBy(jobs, ({ queue }) => queue)
    this.queues = [...byQueue.keys()]
    const big: number[] = []
    const values: string[] = []
    /** Payload -> the number of the first job with it: an announced event mostly is some job's payload, and is not sent twice. */
    const numbers = new Map<string, number>()
    let number = 0
    for (const some of byQueue.values()) {
      for (const job of some) {
        number++
        const bytes = largeBytes(job.payload)
        if (bytes !== undefined) big.push(number)
        const due = job.dueMs === undefined ? '' : String(job.dueMs)
        values.push(job.type, optionsOf(job, bytes), job.payload, job.place, job.key ?? '', due)
        if (announcements.length > 0 && !numbers.has(job.payload)) numbers.set(job.payload, number)
      }
    }
    for (const { topic, text } of announcements) {
      const same = numbers.get(text)
      if (same === undefined) values.push(topic, '', text)
      else values.push(topic, String(same))
    }
    this.values = values
    this.header = {
      q: [...byQueue].map(([queue, some]) => {
        const max = maxWaiting[queue]
        return max === undefined ? [queue, some.length] : [queue, some.length, max]
      }),
      big,
      say: announcements.length,
    }
  }
}

/** What the entry must say of the job, whoever wrote its options: a key without it would never be let go, a payload never be found. */
function optionsOf({ options, key }: ReceivedJob, bytes: number | undefined): string {
  let text = options
  if (key !== undefined) {
    const said = `"k":${JSON.stringify(key)}`
    if (!text.includes(said)) text = `${text.slice(0, -1)},${said}}`
  }
  return bytes === undefined ? text : `${text.slice(0, -1)},"p":${bytes}}`
}
