import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { waitFor } from '../../test/support/wait-for.ts'
import { sleep } from '../clock.ts'
import { describeEnvironment } from '../environment.ts'
import { type BenchRedis, startBenchRedis } from '../queue/bench-redis.ts'
import { percentile } from '../statistics.ts'
import { SchedulerUnderTest } from './scheduler-under-test.ts'

export interface SchedulerMeasureOptions {
  readonly rounds: number
  readonly isQuick: boolean
  /** Undefined: bench/results/scheduler.json, unless it is a quick run. */
  readonly summaryFile: string | undefined
}

/** So many schedules, all at one instant, and how late 99 % of them may be enqueued, ms. */
const CROWDS = [
  { schedules: 1_000, targetMs: 50 },
  { schedules: 10_000, targetMs: 250 },
] as const
const IDLE = { schedules: 10_000, targetPercent: 1 } as const
const EVERY_MS = 5_000

/** Measures one leader: how late a crowd of fires is enqueued (until Redis has answered), and what it costs while nothing is due. */
export async function measureScheduler({ rounds, isQuick, summaryFile }: SchedulerMeasureOptions): Promise<void> {
  const redis = await startBenchRedis()
  try {
    const crowds = []
    for (const { schedules, targetMs } of CROWDS) {
      const p99s = await measureCrowd(redis, schedules, rounds)
      crowds.push({ schedules, targetMs, p99s })
      console.log(
        `${schedules} fires at one instant: p99 late ${p99s.map((ms) => ms.toFixed(0)).join(', ')} ms (target ${targetMs})`,
      )
    }
    const percent = await measureIdle(redis, isQuick ? 5_000 : 30_000)
    console.log(
      `idle with ${IDLE.schedules} schedules: ${percent.toFixed(2)} % of a core (target ${IDLE.targetPercent})`,
    )
    const summary = { environment: describeEnvironment(), crowds, idle: { ...IDLE, percent } }
    const file =
      summaryFile ?? (isQuick ? undefined : fileURLToPath(new URL('../results/scheduler.json', import.meta.url)))
    if (file !== undefined) writeFileSync(file, `${JSON.stringify(summary, null, 2)}\n`)
  } finally {
    await redis.stop()
  }
}

/** One p99 for each instant, the first left out: it falls into the start. */
async function measureCrowd(redis: BenchRedis, schedules: number, rounds: number): Promise<number[]> {
  await redis.reset()
  const scheduler = await open(redis, schedules, `*/${EVERY_MS / 1_000} * * * * *`)
  try {
    const wanted = schedules * (rounds + 1)
    await waitFor(() => scheduler.fired() >= wanted, { timeoutMs: EVERY_MS * (rounds + 4) })
    const late = scheduler.answered.flatMap(({ count, lateMs }) => Array.from({ length: count }, () => lateMs))
    return Array.from({ length: rounds }, (_, round) =>
      percentile(late.slice(schedules * (round + 1), schedules * (round + 2)), 0.99),
    )
  } finally {
    await scheduler.stop()
  }
}

/** The scheduler's share of a core; this process does nothing else. */
async function measureIdle(redis: BenchRedis, watchMs: number): Promise<number> {
  await redis.reset()
  const scheduler = await open(redis, IDLE.schedules, '@yearly')
  try {
    await sleep(3_000) // what the start costs is over by then
    const before = process.cpuUsage()
    await sleep(watchMs)
    const { user, system } = process.cpuUsage(before)
    return ((user + system) / 1_000 / watchMs) * 100
  } finally {
    await scheduler.stop()
  }
}

async function open(redis: BenchRedis, schedules: number, cron: string): Promise<SchedulerUnderTest> {
  const scheduler = await SchedulerUnderTest.start(`redis://127.0.0.1:${redis.port}`, 'bench', schedules, cron)
  await waitFor(() => scheduler.isReady(), { timeoutMs: 10_000 })
  return scheduler
}
