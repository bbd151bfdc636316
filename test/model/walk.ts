import { checkAgreement } from './agreement.ts'
import { checkPicture } from './invariants.ts'
import { LONG_LEASE_MS, type NamespaceUnderTest, QUEUE } from './namespace-under-test.ts'
import type { Picture } from './picture.ts'
import { count, enqueue, expireMarker, move, promote, rescue } from './queue-steps.ts'
import { publish, relay, reposition, subscribe } from './receive-steps.ts'
import { type ModelJob, ServerModel } from './server-model.ts'
import { settle } from './settle-step.ts'
import type { Stage, StepOf } from './stage.ts'
import { LETTERS, type Situation, type Step, WORKERS } from './steps.ts'
import { must } from './violation.ts'
import { age, beat, lateAdoption, read, release, renew, session } from './worker-steps.ts'
import { type ModelWorker, World } from './world.ts'

/** Runs steps on a real server and on the model side by side, and looks at everything after each. */
export class Walk implements Stage {
  readonly namespace: NamespaceUnderTest
  /** Where a snapshot of the server is kept, for a server that forgets what came after it. */
  readonly #shelf: NamespaceUnderTest
  model = new ServerModel()
  world: World
  #saved: ServerModel | undefined
  #boot = ''
  #lives = 0
  /** Latest instant that was ever reached. */
  #latestMs: number
  #picture: Picture | undefined

  constructor(namespace: NamespaceUnderTest, shelf: NamespaceUnderTest, workers = WORKERS) {
    this.namespace = namespace
    this.#shelf = shelf
    this.world = new World(workers)
    this.#latestMs = namespace.nowMs
  }

  async start(): Promise<void> {
    await this.#openNewLife()
    this.#picture = await this.namespace.look()
  }

  /** A walk that goes on from here in another namespace, apart from this one. */
  async fork(namespace: NamespaceUnderTest, shelf: NamespaceUnderTest): Promise<Walk> {
    const fork = new Walk(namespace, shelf)
    await this.namespace.copyTo(namespace)
    if (this.#saved) await this.#shelf.copyTo(shelf)
    namespace.nowMs = this.namespace.nowMs
    fork.model = this.model.clone()
    fork.world = this.world.clone()
    fork.#saved = this.#saved?.clone()
    fork.#boot = this.#boot
    fork.#lives = this.#lives
    fork.#latestMs = this.#latestMs
    fork.#picture = this.#picture
    return fork
  }

  /** The latest look. */
  get picture(): Picture {
    if (!this.#picture) throw new Error('Nothing was looked at yet')
    return this.#picture
  }

  get boot(): string {
    return this.#boot
  }

  forgetSnapshot(): void {
    this.#saved = undefined
  }

  /** For the choice of the next step. */
  get situation(): Situation {
    const unread = new Set<string>()
    let dead = 0
    for (const { state, letter } of this.model.jobs.values()) {
      if (state === 'waiting') unread.add(letter)
      else if (state === 'dead') dead++
    }
    const holders = this.world.workers.flatMap(({ memory }, index) => (memory.length > 0 ? [index] : []))
    return { jobs: this.model.jobs.size, dead, unread: [...unread], holders }
  }

  async run(step: Step): Promise<void> {
    const dueBefore = this.model.nextDueMs
    await this.#do(step)
    const picture = await this.namespace.look()
    checkPicture(picture)
    checkAgreement(this.model, picture)
    if (WAKING.has(step.do)) checkWake(dueBefore, this.model.nextDueMs, picture)
    this.#picture = picture
  }

  /** Lets everybody die and new workers finish all that is left: nothing may stay behind. */
  async finish(): Promise<void> {
    for (let round = 0; this.#hasWork(); round++) {
      must('all work comes to an end', round < 60, () => describeJobs(this.model.jobs.values()))
      const { world } = this
      for (let index = 0; index < world.workers.length; index++) await this.run({ do: 'crash', by: index })
      await this.run({ do: 'age', whose: 'all', long: true })
      await this.run({ do: 'clock', by: 2 * LONG_LEASE_MS })
      await this.run({ do: 'rescue', by: 0, page: 3 })
      await this.run({ do: 'promote', limit: 100 })
      for (const letter of LETTERS) await this.run({ do: 'read', by: 0, letter, count: 100 })
      const picks = (world.workers[0] as ModelWorker).memory.map((_, pick) => ({ pick, outcome: 0 }))
      await this.run({ do: 'settle', by: 0, picks })
      await this.#retryKeeping()
    }
    await this.run({ do: 'move', to: 'purge', picks: [...this.model.jobs.keys()].map((_, index) => index) })
    must('all work comes to an end', this.model.jobs.size === 0, () => describeJobs(this.model.jobs.values()))
  }

  /** Behind dead letters that keep their keys others may wait. */
  async #retryKeeping(): Promise<void> {
    const { model } = this
    const dead = [...model.jobs.values()].filter(({ state }) => state === 'dead')
    const picks = dead.flatMap((job, index) => (model.keepsKey(job) ? [index] : []))
    if (picks.length > 0) await this.run({ do: 'move', to: 'retry', picks, among: 'dead' })
  }

  #hasWork(): boolean {
    for (const { state } of this.model.jobs.values()) if (state !== 'dead') return true
    return false
  }

  #do(step: Step): Promise<void> {
    switch (step.do) {
      case 'enqueue':
        return enqueue(this, step)
      case 'relay':
        return relay(this, step)
      case 'reposition':
        return reposition(this, step)
      case 'subscribe':
        return subscribe(this)
      case 'publish':
        return publish(this, step)
      case 'read':
        return read(this, step)
      case 'settle':
        return settle(this, step)
      case 'renew':
        return renew(this, step)
      case 'release':
        return release(this, step)
      case 'session':
        return session(this, this.world.workers[step.by] as ModelWorker, step.keep)
      case 'late adoption':
        return lateAdoption(this, step)
      case 'crash':
        this.world.crash(step.by)
        return Promise.resolve()
      case 'age':
        return age(this, step)
      case 'rescue':
        return rescue(this, step)
      case 'promote':
        return promote(this, step)
      case 'move':
        return move(this, step)
      case 'clock':
        this.namespace.nowMs = Math.max(1, this.namespace.nowMs + step.by)
        this.#latestMs = Math.max(this.#latestMs, this.namespace.nowMs)
        return Promise.resolve()
      case 'snapshot':
        this.#saved = this.model.clone()
        return this.namespace.copyTo(this.#shelf)
      case 'restart':
        return this.#restart(step)
      case 'expire marker':
        return expireMarker(this, step)
      case 'flush':
        return this.#flush()
      case 'beat':
        return beat(this, step)
      default:
        return count(this)
    }
  }

  get pair(): string {
    return `run${this.#lives}/repl${this.#lives}`
  }

  async #openNewLife(): Promise<void> {
    const { namespace, model } = this
    this.#lives++
    const before = this.#boot
    this.#boot = await namespace.open(this.pair, 'producer')
    model.bootMs = namespace.nowMs
    const msOf = (boot: string) => Number(boot.split('-')[0])
    must('boots grow', before === '' || msOf(this.#boot) > msOf(before), () => `${before}, ${this.#boot}`)
    for (const worker of this.world.workers) worker.isConnected = false
    await this.#checkBoot()
  }

  /** A boot notes what had been accepted before it: whoever has seen more knows what is missing. */
  async #checkBoot(): Promise<void> {
    const { namespace, model } = this
    const [last] = await namespace.command<[string, string[]][]>(
      'XREVRANGE',
      `${namespace.prefix}boots`,
      '+',
      '-',
      'COUNT',
      '1',
    )
    const [, , , noted = ''] = last?.[1] ?? []
    const [count, at] = (JSON.parse(noted) as Record<string, [number, number]>)[QUEUE] ?? [0, 0]
    must(
      'a boot notes what was accepted',
      count === (model.counters.get('accepted') ?? 0) && at === model.acceptedAtMs,
      () => {
        return `${count} at ${at}, it was ${model.counters.get('accepted')} at ${model.acceptedAtMs}`
      },
    )
  }

  async #restart({ forget }: StepOf<'restart'>): Promise<void> {
    if (forget && this.#saved) {
      await this.#shelf.copyTo(this.namespace)
      this.model = this.#saved.clone()
      this.#leap()
    }
    await this.#openNewLife()
  }

  /** A server that forgot and whose clock also went back cannot know which fences it gave: the clock goes on here. */
  #leap(): void {
    this.#latestMs += 1_000
    this.namespace.nowMs = this.#latestMs
  }

  async #flush(): Promise<void> {
    await this.namespace.flush()
    this.model = new ServerModel()
    this.#saved = undefined
    for (const script of ['settle', 'renew', 'enqueue', 'move'] as const) {
      const refusal = await this.namespace.run(script, { q: QUEUE, w: 'w', lists: [], m: 0, n: 0, to: 'cancel' }).then(
        () => 'nothing',
        (error: Error) => error.message,
      )
      must('a forgotten namespace is opened first', refusal.includes('MOCALAYOUT none'), () => `${script}: ${refusal}`)
    }
    this.#leap()
    await this.#openNewLife()
  }
}

/** Steps that may delay jobs. */
const WAKING: ReadonlySet<Step['do']> = new Set(['enqueue', 'relay', 'publish', 'settle'])

/** When a delayed job becomes the first to fall due, the workers' timers are told. */
function checkWake(before: number, after: number, { wake }: Picture): void {
  must('timers are told of a new first', after >= before || wake === `${QUEUE} ${after}`, () => {
    return `the next job is due at ${after} now, before it was ${before}; published: ${wake}`
  })
}

function describeJobs(jobs: Iterable<ModelJob>): string {
  return [...jobs].map(({ id, state, letter }) => `${id} ${state} ${letter}`).join(', ')
}
