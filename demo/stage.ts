import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { createMoca, type Moca } from '../src/index.ts'
import { type RedisServer, startRedis } from '../test/support/redis-server.ts'
import { waitFor } from '../test/support/wait-for.ts'
import { DemoProcess } from './demo-process.ts'
import type { ImportRow } from './cities.ts'
import { DocumentStage } from './documents/document-stage.ts'
import { type Journal, openJournal } from './journal.ts'
import { openRaw, type RawRedis } from './raw-redis.ts'
import { makeRunDirectory, type RunDirectory } from './run-directory.ts'
import type { RelaySettings } from './relay-process.ts'
import type { WorkerSettings } from './worker-process.ts'

export const NAMESPACE = 'demo'
const WORKERS = 4
const RELAYS = 2
const LATE_MS = 6_000
const WORKER = new URL('worker-process.ts', import.meta.url)
const RELAY = new URL('relay-process.ts', import.meta.url)

// Nothing that Redis confirmed may be missing after it was killed: fsync before every answer. No rewriting of the file in
// between: one copy of it is then one state.
const REDIS_ARGS = ['--auto-aof-rewrite-percentage', '0']

/** Everything that runs during the demo and must be ended after it. */
export class Stage {
  readonly directory: RunDirectory
  readonly redis: RedisServer
  readonly raw: RawRedis
  readonly workers: readonly DemoProcess[]
  readonly documents: DocumentStage
  readonly relays: readonly DemoProcess[]
  /** The importer's. */
  readonly moca: Moca
  readonly journal: Journal

  private constructor(
    parts: Pick<Stage, 'directory' | 'redis' | 'raw' | 'workers' | 'documents' | 'relays' | 'moca' | 'journal'>,
  ) {
    this.directory = parts.directory
    this.redis = parts.redis
    this.raw = parts.raw
    this.workers = parts.workers
    this.documents = parts.documents
    this.relays = parts.relays
    this.moca = parts.moca
    this.journal = parts.journal
  }

  /** Ends what it has begun when it fails or the signal aborts. */
  static async open(rows: readonly ImportRow[], signal: AbortSignal): Promise<Stage> {
    const directory = await makeRunDirectory()
    const redis = await startRedis({ dir: directory.redis, fsync: 'always', args: REDIS_ARGS })
    const workers: DemoProcess[] = []
    const relays: DemoProcess[] = []
    let documents: DocumentStage | undefined
    try {
      documents = await DocumentStage.open({ directory, namespace: NAMESPACE, rows, lateMs: LATE_MS })
      const postgresUrl = documents.postgres.url
      for (let n = 1; n <= WORKERS; n++) {
        const name = `worker-${n}`
        const settings: WorkerSettings = { name, namespace: NAMESPACE, redisUrl: redis.url, directory }
        workers.push(new DemoProcess(WORKER, settings))
      }
      for (let n = 1; n <= RELAYS; n++) {
        const name = `relay-${n}`
        const settings: RelaySettings = { name, namespace: NAMESPACE, redisUrl: redis.url, postgresUrl, directory }
        relays.push(new DemoProcess(RELAY, settings))
      }
      const raw = await openRaw(redis.url)
      const journal = await openJournal(directory.journals, 'importer')
      const moca = createMoca({ namespace: NAMESPACE, redis: { url: redis.url }, postgres: { url: postgresUrl } })
      const areThere = async () => (await raw.send<number>('HLEN', `{moca:${NAMESPACE}}:workers`)) === WORKERS
      await waitFor(async () => signal.aborted || (await areThere()), {
        timeoutMs: 30_000,
        describe: `${WORKERS} workers to register (their logs are in ${directory.logs})`,
      })
      await documents.relaysAreThere(RELAYS, signal)
      signal.throwIfAborted()
      return new Stage({ directory, redis, raw, workers, documents, relays, moca, journal })
    } catch (error) {
      for (const process of [...workers, ...relays]) await process.kill()
      await documents?.close()
      await redis.stop()
      if (signal.aborted) await rm(directory.path, { recursive: true, force: true })
      throw error
    }
  }

  /** Ends relays and workers as a deployment would; what did not end cleanly. */
  async stopProcesses(): Promise<string[]> {
    const running = [...this.relays, ...this.workers].filter(({ isRunning }) => isRunning)
    await Promise.all(running.map((process) => process.stop()))
    return running
      .filter(({ ending }) => ending !== 'exit code 0')
      .map(({ name, ending }) => `${name} ended with ${ending}`)
  }

  /** Ends everything. Files go too, unless they are to be looked at. */
  async close({ keepFiles }: { keepFiles: boolean }): Promise<void> {
    await Promise.all([...this.relays, ...this.workers].map((process) => process.stop(5_000)))
    await this.#closeOwn()
    await this.documents.close()
    await this.redis.stop()
    if (!keepFiles) await rm(this.directory.path, { recursive: true, force: true })
  }

  /**
   * Leaves workers and Redis behind; relays and PostgreSQL end. Redis was bound to the life of this process, so it is started once more, on its own: the
   * workers take that like any other restart. Returns the process ids.
   */
  async leaveRunning(): Promise<number[]> {
    await Promise.all(this.relays.map((relay) => relay.stop()))
    await this.#closeOwn()
    await this.documents.close()
    await this.redis.stop()
    const settings = [
      '--bind',
      '127.0.0.1',
      '--port',
      String(this.redis.port),
      '--dir',
      this.directory.redis,
      '--save',
      '',
    ]
    const durability = ['--appendonly', 'yes', '--appendfsync', 'always']
    const server = spawn('sh', ['-c', 'exec redis-server "$@"', 'redis', ...settings, ...durability], {
      stdio: 'ignore',
      detached: true,
    })
    server.unref()
    const raw = await waitFor(() => openRaw(this.redis.url), { describe: 'Redis to run on its own' })
    raw.close()
    const running = this.workers.filter((worker) => worker.isRunning)
    for (const worker of running) worker.release()
    return [server.pid as number, ...running.map(({ pid }) => pid)]
  }

  async #closeOwn(): Promise<void> {
    this.raw.close()
    await this.moca.close()
    await this.journal.close()
  }
}
