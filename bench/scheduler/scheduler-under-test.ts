import { systemClock } from '../../src/clock.ts'
import { defineJob, defineSchedule } from '../../src/index.ts'
import { silentLogger } from '../../src/logger.ts'
import { ConfirmedCounts } from '../../src/queue/confirmed-counts.ts'
import { linkNamespace } from '../../src/queue/link-namespace.ts'
import { LossDetector } from '../../src/queue/loss-detector.ts'
import { NamespaceAccess } from '../../src/queue/namespace-access.ts'
import { Receiver } from '../../src/queue/receiver/receiver.ts'
import { ScheduleStore } from '../../src/scheduler/schedule-store.ts'
import { Scheduler } from '../../src/scheduler/scheduler.ts'

/** Fires whose enqueue was answered together. */
export interface Answered {
  readonly count: number
  /** From their instant to the answer, by the server's clock, ms. */
  readonly lateMs: number
}

const job = defineJob({ type: 'bench.tick' })

/** One leader with so many schedules of one expression, as `moca scheduler start` runs it. */
export class SchedulerUnderTest {
  readonly answered: Answered[] = []
  readonly #scheduler: Scheduler
  readonly #close: () => Promise<void>

  private constructor(make: (answered: Answered[]) => { scheduler: Scheduler; close: () => Promise<void> }) {
    const { scheduler, close } = make(this.answered)
    this.#scheduler = scheduler
    this.#close = close
  }

  static async start(url: string, namespace: string, schedules: number, cron: string): Promise<SchedulerUnderTest> {
    const losses = new LossDetector(silentLogger)
    const link = linkNamespace({ redis: { url }, namespace, role: 'scheduler', losses, log: silentLogger })
    const counts = new ConfirmedCounts(losses)
    const receiver = new Receiver({ link, counts, clock: systemClock, maxWaiting: {}, timeoutMs: 5_000 })
    const store = new ScheduleStore(new NamespaceAccess(link, namespace, 5_000))
    const payload = { text: 'x'.repeat(190) }
    const all = Array.from({ length: schedules }, (_, n) => defineSchedule({ name: `s${n}`, job, payload, cron }))
    const define = () => store.define('config', all, 1_000_000)
    await define()
    const made = new SchedulerUnderTest((answered) => ({
      scheduler: new Scheduler({
        store,
        receiver,
        clock: systemClock,
        log: silentLogger,
        define,
        onFires: (fires) => answered.push(fires),
      }),
      close: () => link.close(),
    }))
    made.#scheduler.start()
    return made
  }

  /** Whether it leads and has read its schedules. */
  isReady(): boolean {
    const { isLeading, schedules } = this.#scheduler.health()
    return isLeading && schedules > 0
  }

  fired(): number {
    return this.answered.reduce((sum, { count }) => sum + count, 0)
  }

  async stop(): Promise<void> {
    await this.#scheduler.stop()
    await this.#close()
  }
}
