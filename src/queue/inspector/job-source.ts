import { blocksKey } from '../entry.ts'
import { decodeHistory } from '../history.ts'
import { isShown, type JobStatus, type JobView, parseRecord, type StoredJob, viewEnded, viewJob } from './job-view.ts'
import { lettersOf, type StreamLetter } from '../keys.ts'
import type { QueueLook, QueueReader, Scored } from './queue-reader.ts'

/** A job met on a walk, and the mark from which the walk goes on behind it. */
export interface Met {
  readonly job: JobView
  readonly mark: string
}

export interface SourcePage {
  readonly met: readonly Met[]
  /** How many entries were read. */
  readonly scanned: number
  /** Where the next page begins; undefined at the end. */
  readonly next: string | undefined
}

/** One place of a queue in which jobs stand, read page by page. Marks are texts of the source's own making. */
export interface JobSource {
  readonly name: string
  /** Set for a stream, whose marks are ids of its entries. */
  readonly letter?: StreamLetter
  page(after: string | undefined, limit: number): Promise<SourcePage>
}

export interface SourceFilter {
  readonly statuses: ReadonlySet<JobStatus>
  readonly type?: string | undefined
  /** Dead letters that died at this instant (ms) or before. */
  readonly diedUntilMs?: number | undefined
}

/** The places of a queue that can hold jobs of these statuses, in the order in which workers would come to them. */
export function jobSources(reader: QueueReader, queue: string, look: QueueLook, filter: SourceFilter): JobSource[] {
  const { statuses, type } = filter
  const sources: JobSource[] = []
  if (statuses.has('waiting') || statuses.has('active')) {
    const sides = look.sides.filter((side) => type === undefined || side === type).toSorted()
    for (const letter of lettersOf(sides)) {
      sources.push(streamSource(reader, queue, letter, look.streams[letter]?.delivered ?? '0-0', statuses))
    }
  }
  if (statuses.has('delayed')) sources.push(scoredSource(reader, queue, 'delayed'))
  if (statuses.has('gated')) sources.push(gatedSource(reader, queue))
  if (statuses.has('dead')) sources.push(scoredSource(reader, queue, 'dead', filter.diedUntilMs))
  if (statuses.has('completed') || statuses.has('cancelled') || statuses.has('expired'))
    sources.push(historySource(reader, queue))
  return sources
}

// Entries up to the group's last delivered one are active, those behind it wait.
function streamSource(
  reader: QueueReader,
  queue: string,
  letter: StreamLetter,
  delivered: string,
  statuses: ReadonlySet<JobStatus>,
): JobSource {
  const start = statuses.has('active') ? undefined : delivered
  const end = statuses.has('waiting') ? '+' : delivered
  const page = async (after: string | undefined, limit: number): Promise<SourcePage> => {
    const from = after ?? start
    const entries = await reader.entries(queue, letter, from === undefined ? '-' : `(${from}`, end, limit)
    const [first, last] = [entries[0], entries.at(-1)]
    if (!first || !last) return { met: [], scanned: 0, next: undefined }
    const pending = await reader.pending(queue, letter, first.entry, last.entry, limit)
    const holders = new Map(pending.map((item) => [item.entry, item]))
    const met = entries.map((entry): Met => {
      const holder = holders.get(entry.entry)
      if (holder) {
        const standing = { status: 'active', heldBy: holder.consumer, renewedMsAgo: holder.idleMs } as const
        return { job: viewJob(entry, standing), mark: entry.entry }
      }
      // Neither unread nor pending: it was settled between the two reads, or nobody will ever read it (`moca verify` names it).
      const status = isLater(entry.entry, delivered) ? 'waiting' : 'active'
      return { job: viewJob(entry, { status }), mark: entry.entry }
    })
    return { met, scanned: entries.length, next: entries.length < limit ? undefined : last.entry }
  }
  return { name: letter, letter, page }
}

/** Whether an id of a stream entry comes after another. */
export function isLater(entry: string, other: string): boolean {
  const [ms = '0', sequence = '0'] = entry.split('-')
  const [otherMs = '0', otherSequence = '0'] = other.split('-')
  return ms === otherMs ? BigInt(sequence) > BigInt(otherSequence) : BigInt(ms) > BigInt(otherMs)
}

// A mark is "<instant> <id>": ranks shift while jobs come and go, and many jobs may share an instant.
function scoredSource(reader: QueueReader, queue: string, status: 'delayed' | 'dead', untilMs?: number): JobSource {
  const part = status === 'dead' ? 'dead' : 'later'
  const page = async (after: string | undefined, limit: number): Promise<SourcePage> => {
    const found = await scoredAfter(reader, queue, part, after, untilMs, limit)
    const records = await reader.fields(
      queue,
      'recs',
      found.map(({ place }) => place),
    )
    const jobs = found.flatMap(({ place, score }, index) => {
      const record = records[index]
      if (record === undefined) return [] // promoted or retried between the two reads
      return [{ job: { queue, place, ...parseRecord(record) }, score }]
    })
    const keeping = status === 'dead' ? await keepingKeys(reader, queue, jobs) : new Set()
    const met = jobs.map(({ job, score }): Met => {
      const { place } = job
      const standing = status === 'delayed' ? { status, dueAtMs: score } : { status, keepsKey: keeping.has(place) }
      return { job: viewJob(job, standing), mark: `${score} ${place}` }
    })
    const last = found.at(-1)
    return {
      met,
      scanned: found.length,
      next: last && found.length >= limit ? `${last.score} ${last.place}` : undefined,
    }
  }
  return { name: status, page }
}

/** Which of these dead letters keep their keys. */
async function keepingKeys(
  reader: QueueReader,
  queue: string,
  dead: readonly { readonly job: StoredJob }[],
): Promise<Set<string>> {
  const blocking = dead.flatMap(({ job }) => (blocksKey(job.options) ? [job] : []))
  const holders = await reader.fields(
    queue,
    'slots',
    blocking.map(({ options }) => options.k ?? ''),
  )
  return new Set(blocking.flatMap(({ place }, index) => (holders[index] === place ? [place] : [])))
}

async function scoredAfter(
  reader: QueueReader,
  queue: string,
  part: 'later' | 'dead',
  mark: string | undefined,
  untilMs: number | undefined,
  limit: number,
): Promise<Scored[]> {
  const until = untilMs === undefined ? {} : { toMs: untilMs }
  if (mark === undefined) return reader.scored(queue, part, { ...until, offset: 0, limit })
  const space = mark.indexOf(' ')
  const fromMs = Number(mark.slice(0, space))
  const after = mark.slice(space + 1)
  // The set is ordered by instant, then by the bytes of the id: what is not behind the mark within its instant was seen.
  const isSeen = ({ place, score }: Scored) =>
    score === fromMs && Buffer.compare(Buffer.from(place), Buffer.from(after)) <= 0
  for (let offset = 0; ; offset += limit) {
    const found = await reader.scored(queue, part, { ...until, fromMs, offset, limit })
    const fresh = found.filter((item) => !isSeen(item))
    if (fresh.length === found.length || found.length < limit) return fresh
    if (fresh.length > 0) {
      const rest = await reader.scored(queue, part, {
        ...until,
        fromMs,
        offset: offset + found.length,
        limit: limit - fresh.length,
      })
      return [...fresh, ...rest]
    }
  }
}

// Gated jobs are the records that are neither delayed nor dead. A mark is "<cursor of HSCAN> <last id of its batch that was seen>".
function gatedSource(reader: QueueReader, queue: string): JobSource {
  const page = async (after: string | undefined, limit: number): Promise<SourcePage> => {
    const [cursor = '0', seen = ''] = (after ?? '0 ').split(' ')
    const [next, batch] = await reader.scan(queue, 'recs', cursor, limit)
    const records = batch.filter(([place]) => place > seen).toSorted(([a], [b]) => (a < b ? -1 : 1))
    const places = records.map(([place]) => place)
    const [later, dead] = await Promise.all([
      reader.scoresOf(queue, 'later', places),
      reader.scoresOf(queue, 'dead', places),
    ])
    const met = records.flatMap(([place, record], index): Met[] => {
      if (later[index] !== undefined || dead[index] !== undefined) return []
      const job = viewJob({ queue, place, ...parseRecord(record) }, { status: 'gated' })
      return [{ job, mark: `${cursor} ${place}` }]
    })
    return { met, scanned: Math.max(batch.length, 1), next: next === '0' ? undefined : `${next} ` }
  }
  return { name: 'gated', page }
}

// Newest first. A mark is "<entry> <lines of it that were seen>".
function historySource(reader: QueueReader, queue: string): JobSource {
  const page = async (after: string | undefined, limit: number): Promise<SourcePage> => {
    const [from = '+', seen = '0'] = (after ?? '+ 0').split(' ')
    const entries = await reader.history(queue, from, Math.max(1, Math.floor(limit / 10)))
    const met: Met[] = []
    let scanned = 0
    for (const { entry, lines, stale } of entries) {
      const skip = entry === from ? Number(seen) : 0
      const ended = decodeHistory(lines, stale)
      scanned += ended.length
      for (const [index, line] of ended.entries()) {
        if (index < skip || !isShown(line)) continue
        met.push({ job: viewEnded(queue, line), mark: `${entry} ${index + 1}` })
      }
    }
    const last = entries.at(-1)
    return {
      met,
      scanned: Math.max(scanned, 1),
      next: last && last.entry !== from ? `${last.entry} ${Number.MAX_SAFE_INTEGER}` : undefined,
    }
  }
  return { name: 'history', page }
}
