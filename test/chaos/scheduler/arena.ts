import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMoca, type Moca } from '../../../src/index.ts'
import { Project, type Running } from '../../support/command-line.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { waitFor } from '../../support/wait-for.ts'
import { readLedger } from '../ledger.ts'
import type { TickSettings } from './tick-process.ts'
import { judgeSchedules, type SchedulerVerdict, type Tick } from './verdict.ts'

const SCHEDULES = 10
const EVERY_MS = 1_000
/** What was missed is fired, however many instants: each must be there in the end. */
const CONFIG = `import { defineConfig, defineJob, defineSchedule } from 'SRC/index.ts'
const job = defineJob({ type: 'tick' })
const schedules = Array.from({ length: ${SCHEDULES} }, (_, n) =>
  defineSchedule({ name: 's' + n, job, payload: n, cron: '* * * * * *', missed: 'all' }))
export default defineConfig({ schedules })
`

export interface SchedulerProcess {
  readonly running: Running
  /** As the leader's owner begins. */
  readonly id: string
}

/**
 * Redis, schedulers as processes of the command line, schedules with an instant each second, and a worker whose handler writes down each
 * fire on the disk. Ends all of it when disposed of.
 */
export class SchedulerArena {
  readonly redis: RedisServer
  readonly schedulers: SchedulerProcess[] = []
  readonly #project: Project
  readonly #dir: string
  readonly #namespace = `chaos-${randomBytes(4).toString('hex')}`
  readonly #moca: Moca
  readonly #failures: string[] = []
  readonly #begun = new Map<string, number>()
  #worker: ChildProcess | undefined
  #isEnding = false

  private constructor(redis: RedisServer, project: Project, dir: string) {
    this.redis = redis
    this.#project = project
    this.#dir = dir
    this.#moca = createMoca({ namespace: this.#namespace, redis: { url: redis.url } })
  }

  /** With two schedulers, one of which leads. */
  static async open(env: Readonly<Record<string, string>> = {}): Promise<SchedulerArena> {
    const redis = await startRedis({ fsync: 'always' })
    const project = await Project.make({ REDIS_URL: redis.url }, { 'moca.config.ts': CONFIG })
    const arena = new SchedulerArena(redis, project, await mkdtemp(join(tmpdir(), 'moca-chaos-scheduler-')))
    await arena.#prepare(env)
    return arena
  }

  async #prepare(env: Readonly<Record<string, string>>): Promise<void> {
    const settings: TickSettings = { namespace: this.#namespace, redisUrl: this.redis.url, dir: this.#dir }
    this.#worker = fork(new URL('./tick-process.ts', import.meta.url), [JSON.stringify(settings)])
    this.#worker.once('exit', (code) => {
      if (!this.#isEnding) this.#failures.push(`The worker ended by itself, with ${code}`)
    })
    await once(this.#worker, 'message')
    const beforeMs = Date.now()
    await Promise.all([this.start(env), this.start(env)])
    await this.leader()
    // A schedule is there since its last instant, or since it was defined, whichever this is: what came before is no business of the run.
    const views = await this.#moca.scheduler.list()
    for (const { name, lastAt, runs } of views) {
      const first = runs.at(-1)?.scheduledFor.getTime()
      this.#begun.set(name, first === undefined ? lastAt.getTime() : Math.max(beforeMs, first - 1))
    }
    if (this.#begun.size !== SCHEDULES) throw new Error(`Of ${SCHEDULES} schedules ${this.#begun.size} are defined`)
  }

  /** Resolves when it schedules or stands by. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<SchedulerProcess> {
    const running = this.#project.start(['scheduler', 'start'], { MOCA_NAMESPACE: this.#namespace, ...env })
    await running.said(/Scheduling: fires while it leads/, 30_000)
    const id = /"scheduler":"([0-9a-f]+)"/.exec(running.output)?.[1]
    if (id === undefined) throw new Error(`A scheduler does not say its id: ${running.output}`)
    const scheduler = { running, id }
    this.schedulers.push(scheduler)
    return scheduler
  }

  /** The one that leads; waits until one does. `other`: but for this one. */
  async leader(other?: SchedulerProcess): Promise<SchedulerProcess> {
    const find = async () => {
      const owner = (await this.#moca.scheduler.leader().catch(() => undefined))?.owner
      return this.schedulers.find((each) => each !== other && owner?.startsWith(`${each.id}.`))
    }
    return waitFor(find, { timeoutMs: 30_000, intervalMs: 20, describe: 'a scheduler to lead' })
  }

  /** Ends one by a signal, and resolves when it is gone. */
  async end(scheduler: SchedulerProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    scheduler.running.kill(signal)
    const { code } = await scheduler.running.ended
    this.schedulers.splice(this.schedulers.indexOf(scheduler), 1)
    if (signal === 'SIGTERM' && code !== 0) this.#failures.push(`A scheduler that was asked to stop ended with ${code}`)
  }

  get ticks(): readonly Tick[] {
    return readLedger<Tick>(this.#dir)
  }

  /** What is due by now comes to its handler, or does not, and is compared with the calendar. */
  async verdict({ mayRepeat = false } = {}): Promise<SchedulerVerdict> {
    const untilMs = Math.floor(Date.now() / EVERY_MS) * EVERY_MS
    const isThere = () => {
      const last = new Set(this.ticks.filter(({ instantMs }) => instantMs >= untilMs).map(({ schedule }) => schedule))
      return last.size === SCHEDULES
    }
    await waitFor(isThere, { timeoutMs: 60_000, intervalMs: 200 }).catch(() => {
      // What is missing is named by the verdict.
    })
    for (const { running } of this.schedulers) {
      if (running.hasEnded) this.#failures.push(`A scheduler ended by itself: ${running.output.slice(-300)}`)
    }
    return judgeSchedules({
      begun: this.#begun,
      everyMs: EVERY_MS,
      untilMs,
      ticks: this.ticks,
      mayRepeat,
      failures: this.#failures,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    await this.#moca.close()
    if (this.#worker && this.#worker.exitCode === null) {
      const ended = once(this.#worker, 'exit')
      this.#worker.kill('SIGKILL')
      await ended
    }
    await this.#project.remove()
    await this.redis.stop()
    await rm(this.#dir, { recursive: true, force: true })
  }
}
