import type { RawRedis } from './raw-redis.ts'

// Counts every job in every place of a namespace by looking at the keys themselves. Imports nothing of Moca, on purpose:
// it shares no mistake with it.

export type Place = 'waiting' | 'active' | 'delayed' | 'gated' | 'dead'

export interface FoundJob {
  readonly id: string
  readonly queue: string
  readonly type: string
  readonly key: string | undefined
  readonly place: Place
  /** Key of the stream, set or list it was found in. */
  readonly where: string
}

export interface Finding {
  readonly id: string
  readonly expected: string
  readonly found: string
}

export interface RawQueue {
  readonly name: string
  /** What Moca counted. */
  readonly counters: Readonly<Record<string, number>>
  /** What is there. */
  readonly places: Readonly<Record<Place, number>>
}

export interface RawWalk {
  readonly queues: readonly RawQueue[]
  readonly jobs: readonly FoundJob[]
  /** Everything that contradicts the layout: a job in two places, a name without a job, a payload without an owner. */
  readonly findings: readonly Finding[]
  /** Losses that processes of Moca reported, summed over queues and lives of the server. */
  readonly reportedLost: number
  /** How many lives of the server Moca noted. */
  readonly boots: number
  /** How far each lane of the outbox has come, by Redis's word. */
  readonly positions: ReadonlyMap<string, RawPosition>
}

/** The last batch of a lane that Redis took. */
export interface RawPosition {
  readonly logId: string
  readonly n: number
  readonly epoch: number
  readonly rows: number
  readonly digest: string
}

const PAGE = 1_000
const GROUP = 'w'

export async function walk(redis: RawRedis, namespace: string): Promise<RawWalk> {
  const prefix = `{moca:${namespace}}:`
  const names = (await redis.send<string[]>('SMEMBERS', `${prefix}queues`)).toSorted()
  const queues: RawQueue[] = []
  const jobs: FoundJob[] = []
  const findings: Finding[] = []
  for (const name of names) {
    const queue = await walkQueue(redis, prefix, name)
    queues.push(queue.summary)
    jobs.push(...queue.jobs)
    findings.push(...queue.findings)
  }
  const losses = pairs(await redis.send<string[]>('HGETALL', `${prefix}losses`))
  const reportedLost = [...losses.values()]
    .flatMap((text) => Object.values(JSON.parse(text) as Record<string, { lost: number }>))
    .reduce((sum, { lost }) => sum + lost, 0)
  const boots = await redis.send<number>('XLEN', `${prefix}boots`)
  const positions = readPositions(pairs(await redis.send<string[]>('HGETALL', `${prefix}relay`)))
  return { queues, jobs, findings, reportedLost, boots, positions }
}

function readPositions(relay: ReadonlyMap<string, string>): Map<string, RawPosition> {
  return new Map(
    [...relay].map(([lane, text]) => {
      const [logId = '', n, epoch, rows, digest = ''] = text.split(' ')
      return [lane, { logId, n: Number(n), epoch: Number(epoch), rows: Number(rows), digest }]
    }),
  )
}

async function walkQueue(redis: RawRedis, prefix: string, name: string) {
  const queue = new QueueWalk(redis, prefix, name)
  await queue.walkStreams()
  await queue.walkRecords()
  await queue.checkIndexes()
  const n = pairs(await redis.send<string[]>('HGETALL', `${prefix}q:${name}:n`))
  const counters = Object.fromEntries([...n].map(([field, value]) => [field, Number(value)]))
  const places: Record<Place, number> = { waiting: 0, active: 0, delayed: 0, gated: 0, dead: 0 }
  for (const job of queue.jobs) places[job.place]++
  return { summary: { name, counters, places } satisfies RawQueue, jobs: queue.jobs, findings: queue.findings }
}

interface Options {
  /** Id given to the job, when it is not its entry's id. */
  readonly i?: string
  readonly k?: string
  /** Bytes of a payload stored beside. */
  readonly p?: number
}

class QueueWalk {
  readonly jobs: FoundJob[] = []
  readonly findings: Finding[] = []
  readonly #redis: RawRedis
  readonly #prefix: string
  readonly #name: string
  readonly #base: string
  /** Last part of the id -> where it was found. */
  readonly #seen = new Map<string, string>()
  /** Jobs in a stream that `where` must name: last part of the id -> "<letter>:<entry>". */
  readonly #placed = new Map<string, string>()
  readonly #large = new Map<string, number>()
  readonly #keyOf = new Map<string, string>()

  constructor(redis: RawRedis, prefix: string, name: string) {
    this.#redis = redis
    this.#prefix = prefix
    this.#name = name
    this.#base = `${prefix}q:${name}`
  }

  async walkStreams(): Promise<void> {
    const sides = await this.#redis.send<string[]>('SMEMBERS', `${this.#base}:sides`)
    await this.#walkStream('m', this.#base)
    await this.#walkStream('f', `${this.#base}:front`)
    await this.#walkStream('s', `${this.#base}:suspect`)
    await this.#walkStream('a', `${this.#base}:alone`)
    for (const type of sides) await this.#walkStream(`t${type}`, `${this.#base}:t:${type}`)
  }

  async #walkStream(letter: string, key: string): Promise<void> {
    const pending = await this.#pendingOf(key)
    for await (const [entry, fields] of entries(this.#redis, key)) {
      const { t = '', o = '', d = '' } = Object.fromEntries(pairs(fields))
      const options = parseOptions(o)
      const place = options.i ?? entry
      this.#add(place, t, options, pending.delete(entry) ? 'active' : 'waiting', key, d)
      if (letter !== 'm' || place !== entry) this.#placed.set(place, `${letter}:${entry}`)
    }
    // Whose entry was deleted is not to be told from here; the account finds out by what is missing.
    for (const entry of pending)
      this.#find(entry, `an entry in ${key}`, 'only a pending reference: the entry was deleted')
  }

  async #pendingOf(key: string): Promise<Set<string>> {
    const pending = new Set<string>()
    let from = '-'
    for (;;) {
      const page = await this.#redis.send<[string][]>('XPENDING', key, GROUP, from, '+', PAGE).catch(noGroup)
      for (const [entry] of page) pending.add(entry)
      if (page.length < PAGE) return pending
      from = `(${page.at(-1)?.[0]}`
    }
  }

  /** Jobs outside the streams: a record each, and exactly one reference to it. */
  async walkRecords(): Promise<void> {
    const records = pairs(await this.#redis.send<string[]>('HGETALL', `${this.#base}:recs`))
    const unseen = new Set(records.keys())
    const visit = (id: string, place: Place, where: string) => {
      const text = records.get(id)
      if (text === undefined) return this.#find(id, 'a record', `only its name in ${where}`)
      const [, type = '', o = '', ...payload] = text.split('\n')
      this.#add(id, type, parseOptions(o), place, where, payload.join('\n'))
      unseen.delete(id)
    }
    for (const set of ['later', 'dead'] as const) {
      const where = `${this.#base}:${set}`
      const ids = await this.#redis.send<string[]>('ZRANGE', where, 0, -1)
      for (const id of ids) visit(id, set === 'later' ? 'delayed' : 'dead', where)
    }
    for (const gate of await this.#scan(`${this.#prefix}g:${this.#name}:*`)) {
      const ids = await this.#redis.send<string[]>('LRANGE', gate, 0, -1)
      for (const id of ids) visit(id, 'gated', gate)
    }
    for (const id of unseen) this.#find(id, 'a reference in later, dead or a gate', 'only a record')
  }

  /** What only points at jobs: `where`, the keys' slots, and payloads stored beside. */
  async checkIndexes(): Promise<void> {
    const where = pairs(await this.#redis.send<string[]>('HGETALL', `${this.#base}:where`))
    for (const [place, at] of this.#placed) {
      if (where.get(place) !== at) this.#find(place, `where = ${at}`, where.get(place) ?? 'no entry in where')
    }
    for (const [place, at] of where) {
      if (!this.#placed.has(place)) this.#find(place, `a job at ${at}`, 'only an entry in where')
    }
    const slots = pairs(await this.#redis.send<string[]>('HGETALL', `${this.#base}:slots`))
    for (const [key, holder] of slots) {
      if (this.#keyOf.get(holder) !== key) this.#find(holder, `a job that holds key ${key}`, 'no such job')
    }
    for (const stored of await this.#scan(`${this.#prefix}p:${this.#name}:*`)) {
      const place = stored.slice(`${this.#prefix}p:${this.#name}:`.length)
      const bytes = await this.#redis.send<number>('STRLEN', stored)
      if (this.#large.get(place) !== bytes) this.#find(place, `a job with a payload of ${bytes} bytes`, 'no such job')
      this.#large.delete(place)
    }
    for (const [place, bytes] of this.#large) this.#find(place, `a payload of ${bytes} bytes beside it`, 'none')
  }

  #add(place: string, type: string, options: Options, at: Place, where: string, payload: string): void {
    const elsewhere = this.#seen.get(place)
    if (elsewhere !== undefined) this.#find(place, 'one place', `${elsewhere} and ${where}`)
    this.#seen.set(place, where)
    if (options.p !== undefined) this.#large.set(place, options.p)
    else if (payload === '') this.#find(place, 'a payload', 'none')
    if (options.k !== undefined) this.#keyOf.set(place, options.k)
    this.jobs.push({ id: this.#id(place), queue: this.#name, type, key: options.k, place: at, where })
  }

  #find(place: string, expected: string, found: string): void {
    this.findings.push({ id: this.#id(place), expected, found })
  }

  #id(place: string): string {
    return `${this.#name}.0.${place}`
  }

  async #scan(pattern: string): Promise<string[]> {
    const literal = pattern.replaceAll(/[[\]?\\]/g, String.raw`\$&`)
    const found = new Set<string>()
    let cursor = '0'
    do {
      const [next, keys] = await this.#redis.send<[string, string[]]>('SCAN', cursor, 'MATCH', literal, 'COUNT', PAGE)
      for (const key of keys) found.add(key)
      cursor = next
    } while (cursor !== '0')
    return [...found]
  }
}

async function* entries(redis: RawRedis, key: string): AsyncGenerator<[string, string[]]> {
  let from = '-'
  for (;;) {
    const page = await redis.send<[string, string[]][]>('XRANGE', key, from, '+', 'COUNT', PAGE)
    yield* page
    if (page.length < PAGE) return
    from = `(${page.at(-1)?.[0]}`
  }
}

/** A stream without a group, or no stream: nothing was ever read from it. */
function noGroup(error: unknown): [string][] {
  if (error instanceof Error && error.message.startsWith('NOGROUP')) return []
  throw error
}

function parseOptions(text: string): Options {
  return text === '' ? {} : (JSON.parse(text) as Options)
}

function pairs(flat: readonly string[]): Map<string, string> {
  const map = new Map<string, string>()
  for (let i = 0; i < flat.length; i += 2) map.set(flat[i] as string, flat[i + 1] as string)
  return map
}

/** Jobs that the process `pid` has fetched and not settled, by the server's own list of pending entries. */
export async function heldBy(
  redis: RawRedis,
  namespace: string,
  pid: number,
  queues: readonly string[],
): Promise<number> {
  const prefix = `{moca:${namespace}}:`
  const workers = pairs(await redis.send<string[]>('HGETALL', `${prefix}workers`))
  const ids = [...workers].filter(([, about]) => (JSON.parse(about) as { pid: number }).pid === pid).map(([id]) => id)
  let held = 0
  for (const queue of queues) {
    for (const key of ['', ':front', ':suspect', ':alone'].map((part) => `${prefix}q:${queue}${part}`)) {
      const consumers = await redis.send<string[][]>('XINFO', 'CONSUMERS', key, GROUP).catch((): string[][] => [])
      for (const consumer of consumers) {
        const { name = '', pending = '0' } = Object.fromEntries(pairs(consumer))
        if (ids.some((id) => name.startsWith(`${id}.`))) held += Number(pending)
      }
    }
  }
  return held
}
