import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRaw, type RawRedis } from '../../demo/raw-redis.ts'
import { walk } from '../../demo/raw-walk.ts'
import { createMoca, type Loss, type Moca, type WorkerInput } from '../../src/index.ts'
import { type Proxy, startProxy } from '../support/proxy.ts'
import { type RedisServer, type RedisServerOptions, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { Fleet, type Member } from './fleet.ts'
import { type LedgerLine, monotonicUs, readLedger } from './ledger.ts'
import { Load, type LoadOptions } from './load.ts'
import { Random } from './random.ts'
import { type Evidence, type Forgetting, judge, type RawEnd, type Verdict } from './verdict.ts'

const NAMESPACE = 'chaos'
const QUEUES = ['critical', 'default', 'long']

export interface ArenaOptions {
  readonly seed: number
  readonly leaseMs?: number
  readonly concurrency?: number
  readonly redis?: RedisServerOptions
  readonly load?: Partial<Pick<LoadOptions, 'outstanding' | 'longestMs' | 'longShare' | 'isPersistent'>>
  readonly worker?: WorkerInput
  /** Workers reach Redis through a proxy (`arena.proxy`); the load does not. */
  readonly hasProxy?: boolean
}

/** A Redis, a fleet of workers, a load, and the judge: what every scenario plays in. */
export class Arena {
  readonly redis: RedisServer
  readonly proxy: Proxy
  readonly moca: Moca
  readonly fleet: Fleet
  readonly load: Load
  readonly random: Random
  readonly leaseMs: number
  readonly losses: Loss[]
  readonly #forgettings: Forgetting[] = []
  readonly #standstills: string[] = []
  readonly #dir: string
  readonly #raw: RawRedis
  readonly #stopLoad = new AbortController()
  #loading: Promise<void> | undefined

  private constructor(parts: {
    options: ArenaOptions
    redis: RedisServer
    proxy: Proxy
    moca: Moca
    losses: Loss[]
    dir: string
    raw: RawRedis
  }) {
    const { options, redis, proxy, moca, losses, dir, raw } = parts
    this.redis = redis
    this.proxy = proxy
    this.moca = moca
    this.losses = losses
    this.#dir = dir
    this.#raw = raw
    this.random = new Random(options.seed)
    this.leaseMs = options.leaseMs ?? 2_000
    this.load = new Load({
      moca,
      random: new Random(options.seed + 1),
      leaseMs: this.leaseMs,
      outstanding: 150,
      longestMs: 120,
      longShare: 0.004,
      isPersistent: false,
      ...options.load,
    })
    this.fleet = new Fleet(
      {
        url: options.hasProxy ? proxy.url : redis.url,
        namespace: NAMESPACE,
        dir,
        worker: {
          lease: this.leaseMs,
          sweepInterval: this.leaseMs / 4,
          softTimeout: 300,
          stopTimeout: 3_000,
          ...options.worker,
        },
        concurrency: options.concurrency ?? 24,
        replyTimeoutMs: 1_500,
      },
      (line) => this.#ended(line),
    )
  }

  static async open(options: ArenaOptions): Promise<Arena> {
    const dir = await mkdtemp(join(tmpdir(), 'moca-chaos-'))
    const redis = await startRedis({ ...options.redis })
    const proxy = await startProxy({ targetPort: () => redis.port })
    const losses: Loss[] = []
    // A call that is repeated is to fail soon. Any other fails the run, and a busy machine may be slow to answer.
    const isPersistent = options.load?.isPersistent === true
    const moca = createMoca({
      namespace: NAMESPACE,
      redis: { url: redis.url, replyTimeout: isPersistent ? 1_500 : 20_000 },
      queue: { enqueueTimeout: isPersistent ? 2_000 : 20_000 },
      onLoss: (loss) => losses.push(loss),
    })
    await moca.connect()
    return new Arena({ options, redis, proxy, moca, losses, dir, raw: await openRaw(redis.url) })
  }

  get raw(): RawRedis {
    return this.#raw
  }

  get prefix(): string {
    return `{moca:${NAMESPACE}}:`
  }

  /** Where handlers and workers write. */
  get dir(): string {
    return this.#dir
  }

  startLoad(): void {
    this.#loading = this.load.run(this.#stopLoad.signal, () => this.fleet.look())
    this.#loading.catch(() => {}) // told by stopLoad
  }

  async stopLoad(): Promise<void> {
    this.#stopLoad.abort()
    await this.#loading
  }

  /** Resolves when Redis holds nothing but dead letters. */
  async drained(timeoutMs = 120_000): Promise<void> {
    let left: number | undefined
    try {
      await waitFor(async () => (left = await this.#left()) === 0, { timeoutMs, intervalMs: 50 })
    } catch (cause) {
      throw new Error(`${left} jobs are left after ${timeoutMs} ms: ${await this.#describe()}`, { cause })
    }
    // Handlers that ran in vain (their attempt was taken over) may still be writing.
    await waitFor(() => this.fleet.alive.every((member) => member.unfinished().length === 0), {
      timeoutMs: 30_000,
      describe: 'all handlers to end',
    })
  }

  /** Call when Redis is back without what it was told between these instants. */
  forgot(forgetting: Forgetting): void {
    this.#forgettings.push(forgetting)
    this.load.forget(forgetting.sinceUs)
  }

  /** Whether a worker begins new attempts within a while: it goes on by itself. */
  async works(member: Member, timeoutMs = 30_000): Promise<boolean> {
    const fromUs = monotonicUs()
    const hasBegun = () => member.unfinished().some(({ us }) => us > fromUs) || member.lastStartUs > fromUs
    return waitFor(hasBegun, { timeoutMs }).catch(() => false)
  }

  /** Waits until each of these begins new attempts: it goes on by itself. One that does not within a while is a broken promise. */
  async goOn(members: readonly Member[], timeoutMs = 30_000): Promise<void> {
    await Promise.all(
      members.map(async (member) => {
        if (!(await this.works(member, timeoutMs)))
          this.#standstills.push(`worker ${member.pid} began nothing for ${timeoutMs} ms: ${await this.#describe()}`)
      }),
    )
  }

  /** One of Moca's own counters, over all queues. */
  async counter(name: string): Promise<number> {
    const counts = await Promise.all(
      QUEUES.map((queue) => this.#raw.send<string | null>('HGET', `${this.prefix}q:${queue}:n`, name)),
    )
    return counts.reduce((sum, count) => sum + Number(count ?? 0), 0)
  }

  /** How many jobs Moca said that Redis forgot. */
  async reportedLost(): Promise<number> {
    return (await walk(this.#raw, NAMESPACE)).reportedLost
  }

  /** Stops the load, waits until all is done, and judges. */
  async finish(): Promise<Verdict> {
    await this.stopLoad()
    await this.drained()
    return judge(await this.#evidence())
  }

  async close(): Promise<void> {
    this.#stopLoad.abort()
    await this.fleet.close()
    await this.moca.close()
    this.#raw.close()
    await this.proxy.stop()
    await this.redis.stop()
    await rm(this.#dir, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  ledger(): LedgerLine[] {
    return readLedger(this.#dir)
  }

  /** When handlers of this job began, and where. */
  starts(name: string): LedgerLine[] {
    return this.ledger().filter((line) => line.kind === 'start' && line.name === name)
  }

  /** Attempts that Redis holds as delivered to this process. By the names of consumers: the registry of workers may lag behind. */
  async held(member: Member): Promise<number> {
    const isOfMember = new RegExp(`-${member.pid}-[0-9a-f]+\\.\\d+$`)
    let held = 0
    for (const stream of this.#streams()) {
      const consumers = await this.#raw.send<string[][]>('XINFO', 'CONSUMERS', stream, 'w').catch(() => [])
      for (const [, name = '', , pending] of consumers) if (isOfMember.test(name)) held += Number(pending)
    }
    return held
  }

  /** Resolves when the process waits in a blocking read, which will get the next job if nobody else waits. */
  async reads(member: Member): Promise<void> {
    const isReading = new RegExp(`name=moca:\\S+-${member.pid}-\\S+:read .* flags=\\w*b`)
    await waitFor(async () => isReading.test(await this.#raw.send<string>('CLIENT', 'LIST')), {
      timeoutMs: 20_000,
      intervalMs: 3,
      describe: `worker ${member.pid} to wait in a read`,
    })
  }

  async #evidence(): Promise<Evidence> {
    return {
      journal: this.load.journal,
      ledger: this.ledger(),
      fates: this.fleet.fates,
      forgettings: this.#forgettings,
      standstills: this.#standstills,
      raw: await this.#rawEnd(),
      leaseUs: this.leaseMs * 1_000,
    }
  }

  async #rawEnd(): Promise<RawEnd> {
    const { queues, jobs, findings, reportedLost } = await walk(this.#raw, NAMESPACE)
    const counters: Record<string, number> = {}
    for (const queue of queues) {
      for (const [name, count] of Object.entries(queue.counters)) counters[name] = (counters[name] ?? 0) + count
    }
    const dead = jobs.filter(({ place }) => place === 'dead')
    return {
      left: jobs.filter(({ place }) => place !== 'dead').map(({ id }) => id),
      dead: await Promise.all(dead.map(async ({ id, queue }) => ({ id, reason: await this.#reason(queue, id) }))),
      findings: findings.map(({ id, expected, found }) => `job ${id}: expected ${expected}, found ${found}`),
      counters,
      reportedLost,
    }
  }

  async #reason(queue: string, id: string): Promise<string> {
    const place = id.slice(queue.length + 3)
    const record = await this.#raw.send<string>('HGET', `${this.prefix}q:${queue}:recs`, place)
    return (JSON.parse(record.split('\n')[2] as string) as { rs: string }).rs
  }

  async #left(): Promise<number> {
    let sum = 0
    for (const stream of this.#streams()) sum += await this.#raw.send<number>('XLEN', stream)
    for (const queue of QUEUES) {
      const base = `${this.prefix}q:${queue}`
      sum += await this.#raw.send<number>('HLEN', `${base}:recs`)
      sum -= await this.#raw.send<number>('ZCARD', `${base}:dead`)
    }
    return sum
  }

  #streams(): string[] {
    return QUEUES.flatMap((queue) =>
      ['', ':front', ':suspect', ':alone'].map((end) => `${this.prefix}q:${queue}${end}`),
    )
  }

  /** For a run that hangs: what the workers say and wait for, where the jobs are, and what the load waits for. */
  async #describe(): Promise<string> {
    const list = (await this.#raw.send<string>('CLIENT', 'LIST')).split('\n')
    const workers = await Promise.all(
      this.fleet.alive.map(async (member) => {
        const read = list.find((line) => new RegExp(`name=moca:\\S*-${member.pid}-\\S*:read `).test(line))
        const state = read === undefined ? 'no connection' : /flags=\S*b/.test(read) ? 'waits in a read' : 'reads'
        return [member.pid, state, member.unfinished().length, await member.health()]
      }),
    )
    const { queues, jobs } = await walk(this.#raw, NAMESPACE)
    const where = Object.fromEntries(
      [...Map.groupBy(jobs, ({ where, place }) => `${place} ${where}`)].map(([name, { length }]) => [name, length]),
    )
    const ids = new Set(jobs.map(({ id }) => id))
    const waited = this.load.outstanding
    const load = {
      waitsFor: waited.length,
      ofTheseUnanswered: waited.filter(({ id }) => id === undefined).length,
      ofTheseInRedis: waited.filter(({ id }) => id !== undefined && ids.has(id)).length,
    }
    return JSON.stringify({ workers, where, load, counters: queues.map(({ name, counters }) => [name, counters]) })
  }

  #ended({ name, outcome }: LedgerLine): void {
    if (outcome === 'succeeded') this.load.ended(name)
  }
}
