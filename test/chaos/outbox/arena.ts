import { fork, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { migrate } from '../../../src/outbox/migrations.ts'
import { PostgresConnection } from '../../../src/postgres/connection.ts'
import { type Ended, Project, type Running } from '../../support/command-line.ts'
import { addCounters, createCounters, writeUntil } from '../../support/key-writers.ts'
import { type PostgresServer, startPostgres, type TestDatabase } from '../../support/postgres-server.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { waitFor } from '../../support/wait-for.ts'
import { readLedger } from '../ledger.ts'
import type { Random } from '../random.ts'
import type { ReceiverSettings } from './receiver-process.ts'
import { type Delivery, judgeOutbox, type OutboxVerdict } from './verdict.ts'

/** Few keys, so that writers wait for each other's rows, and each key gets many events. */
const KEYS = 40
const WRITERS = 8
/** Short, so that a relay that was stopped is taken over from soon; the default is 10 s. */
export const RELAY_LEASE_MS = 2_000
const CONFIG = `import { defineConfig } from 'SRC/index.ts'
export default defineConfig({ outbox: { lease: ${RELAY_LEASE_MS} } })
`

export interface RelayProcess {
  readonly running: Running
  readonly pid: number
}

/**
 * Servers, relays as processes of the command line, writers with real row locks, and a worker whose handler writes down each event on the
 * disk. Ends all of it when disposed of.
 */
export class OutboxArena {
  readonly redis: RedisServer
  readonly postgres: PostgresServer
  readonly database: TestDatabase
  readonly relays: RelayProcess[] = []
  readonly #project: Project
  readonly #dir: string
  readonly #random: Random
  readonly #namespace = `chaos-${randomBytes(4).toString('hex')}`
  #stopWriting = new AbortController()
  readonly #failures: string[] = []
  #receiver: ChildProcess | undefined
  #admin: PostgresConnection | undefined
  #writing: Promise<number[]> | undefined
  #isEnding = false

  private constructor(
    parts: Pick<OutboxArena, 'redis' | 'postgres' | 'database'>,
    project: Project,
    dir: string,
    random: Random,
  ) {
    this.redis = parts.redis
    this.postgres = parts.postgres
    this.database = parts.database
    this.#project = project
    this.#dir = dir
    this.#random = random
  }

  static async open(random: Random): Promise<OutboxArena> {
    const [redis, postgres] = await Promise.all([
      startRedis({ fsync: 'always' }),
      startPostgres({ settings: { max_connections: '60' } }),
    ])
    const database = await postgres.createDatabase()
    const project = await Project.make(
      { REDIS_URL: redis.url, DATABASE_URL: database.url },
      { 'moca.config.ts': CONFIG },
    )
    const dir = await mkdtemp(join(tmpdir(), 'moca-chaos-outbox-'))
    const arena = new OutboxArena({ redis, postgres, database }, project, dir, random)
    await arena.#prepare()
    return arena
  }

  /** A connection beside all others. */
  get admin(): PostgresConnection {
    if (!this.#admin) throw new Error('The arena is not prepared')
    return this.#admin
  }

  async #prepare(): Promise<void> {
    const { url } = this.database
    await this.reconnect()
    await migrate(this.admin, { schema: 'moca', namespace: this.#namespace, maxBytes: 1_048_576 })
    await createCounters(this.admin, KEYS)
    const settings: ReceiverSettings = {
      namespace: this.#namespace,
      redisUrl: this.redis.url,
      postgresUrl: url,
      dir: this.#dir,
    }
    this.#receiver = fork(new URL('./receiver-process.ts', import.meta.url), [JSON.stringify(settings)])
    this.#receiver.once('exit', (code) => {
      if (!this.#isEnding) this.#failures.push(`The worker ended by itself, with ${code}`)
    })
    await once(this.#receiver, 'message')
  }

  /** After a restart of PostgreSQL: a connection beside all others. */
  async reconnect(): Promise<void> {
    this.#admin?.destroy()
    this.#admin = await PostgresConnection.open({ url: this.database.url }, 'moca:chaos')
  }

  /** Runs a command of Moca to its end. */
  command(args: readonly string[]): Promise<Ended> {
    return this.#project.run(args, { MOCA_NAMESPACE: this.#namespace })
  }

  /** Resolves when it relays. `env`: beside the arena's own. */
  async startRelay(env: Readonly<Record<string, string>> = {}): Promise<RelayProcess> {
    const running = this.spawnRelay(env)
    await running.said(/Relaying the outbox/, 30_000)
    const { pid } = running
    if (pid === undefined) throw new Error('A relay has no pid')
    const relay = { running, pid }
    this.relays.push(relay)
    return relay
  }

  /** Starts a relay that is not expected to live. */
  spawnRelay(env: Readonly<Record<string, string>>): Running {
    return this.#project.start(['outbox', 'start'], { MOCA_NAMESPACE: this.#namespace, ...env })
  }

  /** SIGKILL. True: it owned lanes, and something that was committed had not come to Redis for good. */
  async killRelay(relay: RelayProcess): Promise<boolean> {
    const wasBusy = await this.#isBusy(relay)
    relay.running.kill('SIGKILL')
    await relay.running.ended
    this.relays.splice(this.relays.indexOf(relay), 1)
    return wasBusy
  }

  async #isBusy({ pid }: RelayProcess): Promise<boolean> {
    const [row] = await this.admin.query<{ busy: boolean }>(
      `select exists (
         select from moca.lease l join moca.relay r on r.id = l.relay
         cross join lateral (select max(n) as n from moca.outbox_batch b where b.sink = l.sink and b.lane = l.lane) last
         where r.pid = $1 and last.n is not null
           and not exists (select from moca.outbox_ack a where a.sink = l.sink and a.lane = l.lane and a.n = last.n)) as busy`,
      [pid],
    )
    return row?.busy === true
  }

  /** Writers begin, and go on until they are ended. `prefix`: of keys that `addKeys` has made; default: those of the arena. */
  async startWriters(prefix = 'k'): Promise<void> {
    const { url } = this.database
    const { signal } = this.#stopWriting
    const connections = await Promise.all(
      Array.from({ length: WRITERS }, () => PostgresConnection.open({ url }, 'moca:writer')),
    )
    const random = () => this.#random.next()
    this.#writing = Promise.all(
      connections.map(async (connection) => {
        try {
          return await writeUntil(connection, signal, {
            keys: KEYS,
            prefix,
            random,
            // As fast as they go they would fill both cores, and the faults would come to nobody.
            pace: () => wait(random() * 20),
            linger: () => wait(random() * 300),
          })
        } finally {
          connection.destroy()
        }
      }),
    )
    this.#writing.catch(() => {}) // told by the verdict
  }

  async addKeys(prefix: string): Promise<void> {
    await addCounters(this.admin, KEYS, prefix)
  }

  /** Resolves when nobody writes any more. */
  async endWriters(): Promise<void> {
    this.#stopWriting.abort()
    await this.#writing
    this.#writing = undefined
    this.#stopWriting = new AbortController()
  }

  /** Waits until all that is committed was handled. False: it was not in time. */
  async isAllHandled(limitMs: number): Promise<boolean> {
    const wanted = [...(await this.#readCounters())].flatMap(([key, last]) =>
      Array.from({ length: last }, (_, index) => `${key} ${index + 1}`),
    )
    const isHandled = () => {
      const handled = new Set(readLedger<Delivery>(this.#dir).map(({ key, value }) => `${key} ${value}`))
      return wanted.every((each) => handled.has(each))
    }
    return waitFor(isHandled, { timeoutMs: limitMs, intervalMs: 300 }).then(
      () => true,
      () => false,
    )
  }

  /** Key -> number of its last committed event. */
  async #readCounters(): Promise<ReadonlyMap<string, number>> {
    const rows = await this.admin.query<{ key: string; value: number }>(
      'select key, value from counter where value > 0',
    )
    return new Map(rows.map(({ key, value }) => [key, value]))
  }

  async delivered(): Promise<number> {
    return readLedger<Delivery>(this.#dir).length
  }

  /**
   * Writers end, everything comes to its handler or does not, and what was committed is compared with what was handled. `forgotten`: keys of
   * which PostgreSQL itself forgot what it had committed.
   */
  async verdict({ limitMs = 120_000, forgotten = /^$/ } = {}): Promise<OutboxVerdict> {
    await this.endWriters()
    const committed = await this.#readCounters()
    await this.isAllHandled(limitMs) // what is missing is named by the verdict
    for (const { running, pid } of this.relays) {
      if (running.hasEnded) this.#failures.push(`Relay ${pid} ended by itself: ${running.output.slice(-300)}`)
    }
    const deliveries = readLedger<Delivery>(this.#dir).filter(({ key }) => !forgotten.test(key))
    return judgeOutbox({ committed, deliveries, failures: this.#failures })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    this.#stopWriting.abort()
    await this.#writing?.catch(() => {})
    this.#admin?.destroy()
    if (this.#receiver && this.#receiver.exitCode === null) {
      const ended = once(this.#receiver, 'exit')
      this.#receiver.kill('SIGKILL')
      await ended
    }
    await this.#project.remove()
    await Promise.all([this.redis.stop(), this.postgres.stop()])
    await rm(this.#dir, { recursive: true, force: true })
  }
}
