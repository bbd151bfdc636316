import { rm } from 'node:fs/promises'
import { createMoca, type Moca } from '../src/index.ts'
import { type RedisServer, startRedis } from '../test/support/redis-server.ts'
import { waitFor } from '../test/support/wait-for.ts'
import type { ImportRow } from './cities.ts'
import { Crew } from './crew.ts'
import { DocumentStage } from './documents/document-stage.ts'
import { indexWriterOf } from './index-work.ts'
import { type Journal, openJournal } from './journal.ts'
import config from './moca.config.ts'
import { openRaw, type RawRedis } from './raw-redis.ts'
import { makeRunDirectory, type RunDirectory } from './run-directory.ts'
import { leaderOf, serverMsOf } from './schedule-work.ts'
import { CLOCK_QUEUE } from './scheduled.ts'

export const NAMESPACE = config.namespace ?? 'default'
/** Of each kind. */
const PROCESSES = 2
const LATE_MS = 6_000
const WORKER = new URL('worker-process.ts', import.meta.url)
const RELAY = new URL('relay-process.ts', import.meta.url)
const SCHEDULER = new URL('scheduler-process.ts', import.meta.url)

// Nothing that Redis confirmed may be missing after it was killed: fsync before every answer. No rewriting of the file in
// between: one copy of it is then one state.
const REDIS_ARGS = ['--auto-aof-rewrite-percentage', '0']

/** Everything that runs during the demo and must be ended after it. */
export class Stage {
  readonly directory: RunDirectory
  readonly redis: RedisServer
  readonly raw: RawRedis
  readonly workers: Crew
  readonly documents: DocumentStage
  readonly relays: Crew
  readonly schedulers: Crew
  /** Schedules fired at this instant already, by Redis's clock (ms since 1970). */
  readonly firesFromMs: number
  /** The importer's. */
  readonly moca: Moca
  readonly journal: Journal

  private constructor(
    parts: Pick<
      Stage,
      | 'directory'
      | 'redis'
      | 'raw'
      | 'workers'
      | 'documents'
      | 'relays'
      | 'schedulers'
      | 'firesFromMs'
      | 'moca'
      | 'journal'
    >,
  ) {
    this.directory = parts.directory
    this.redis = parts.redis
    this.raw = parts.raw
    this.workers = parts.workers
    this.documents = parts.documents
    this.relays = parts.relays
    this.schedulers = parts.schedulers
    this.firesFromMs = parts.firesFromMs
    this.moca = parts.moca
    this.journal = parts.journal
  }

  /** Ends what it has begun when it fails or the signal aborts. */
  static async open(rows: readonly ImportRow[], signal: AbortSignal): Promise<Stage> {
    const directory = await makeRunDirectory()
    const redis = await startRedis({ dir: directory.redis, fsync: 'always', args: REDIS_ARGS })
    const crews: Crew[] = []
    let documents: DocumentStage | undefined
    try {
      documents = await DocumentStage.open({ directory, namespace: NAMESPACE, rows, lateMs: LATE_MS })
      const { url: postgresUrl } = documents.postgres
      const start = (program: URL) => {
        const crew = new Crew(program, { redisUrl: redis.url, postgresUrl, directory })
        crews.push(crew)
        for (let n = 1; n <= PROCESSES; n++) crew.start()
        return crew
      }
      const parts = { workers: start(WORKER), relays: start(RELAY), schedulers: start(SCHEDULER) }
      const raw = await openRaw(redis.url)
      const journal = await openJournal(directory.journals, 'importer')
      const moca = createMoca({ ...config, redis: { url: redis.url }, postgres: { url: postgresUrl } })
      await everybodyIsThere(raw, documents, directory, signal)
      const firesFromMs = await serverMsOf(raw)
      signal.throwIfAborted()
      return new Stage({ directory, redis, raw, documents, ...parts, firesFromMs, moca, journal })
    } catch (error) {
      for (const crew of crews) await crew.kill()
      await documents?.close()
      await redis.stop()
      if (signal.aborted) await rm(directory.path, { recursive: true, force: true })
      throw error
    }
  }

  get crews(): readonly Crew[] {
    return [this.schedulers, this.relays, this.workers]
  }

  /** Ends all processes as a deployment would, those that make jobs first; which did not end cleanly. */
  async stopProcesses(): Promise<string[]> {
    const problems = await this.schedulers.stop()
    const isIdle = async () => {
      const { waiting = 0, active = 0, delayed = 0 } = (await this.moca.queue.counts())[CLOCK_QUEUE] ?? {}
      return waiting + active + delayed === 0
    }
    await waitFor(isIdle, { timeoutMs: 10_000, intervalMs: 20 }).catch(() => {}) // the account will name what is left
    for (const stopped of await Promise.all([this.relays.stop(), this.workers.stop()])) problems.push(...stopped)
    return problems
  }

  /** Ends everything. Files go too, unless they are to be looked at. */
  async close({ keepFiles }: { keepFiles: boolean }): Promise<void> {
    await Promise.all(this.crews.map((crew) => crew.stop(5_000)))
    await this.#closeOwn()
    await this.documents.close()
    await this.redis.stop()
    if (!keepFiles) await rm(this.directory.path, { recursive: true, force: true })
  }

  /** Leaves the servers behind, with as many processes of each kind as before. Returns the process ids, those of the servers last. */
  async leaveRunning(): Promise<number[]> {
    const { redis, documents } = this
    const processes = this.crews.flatMap((crew) => Array.from({ length: PROCESSES }, () => crew.start()))
    await everybodyIsThere(this.raw, documents, this.directory, AbortSignal.timeout(60_000))
    await this.#closeOwn()
    for (const process of processes) process.release()
    const servers = [redis.pid, documents.postgres.pid]
    redis.release()
    await documents.release()
    return [...processes, ...servers.map((pid) => ({ pid }))].flatMap(({ pid }) => pid ?? [])
  }

  async #closeOwn(): Promise<void> {
    this.raw.close()
    await this.moca.close()
    await this.journal.close()
  }
}

/** Workers have registered, relays share the lanes, one of them keeps the index, and one of the schedulers leads. */
async function everybodyIsThere(
  raw: RawRedis,
  documents: DocumentStage,
  { logs }: RunDirectory,
  signal: AbortSignal,
): Promise<void> {
  const workers = async () => raw.send<number>('HLEN', `{moca:${NAMESPACE}}:workers`)
  const until = (what: string, isSo: () => Promise<boolean>) =>
    waitFor(async () => signal.aborted || (await isSo()), {
      timeoutMs: 30_000,
      intervalMs: 50,
      describe: `${what} (their logs are in ${logs})`,
    })
  await until(`${PROCESSES} workers to register`, async () => (await workers()) >= PROCESSES)
  await documents.relaysAreThere(PROCESSES, signal)
  await until('a relay to keep the search index', async () => (await indexWriterOf(documents.sql)) !== undefined)
  await until('a scheduler to lead', async () => (await leaderOf(raw, NAMESPACE)) !== undefined)
}
