import { formatJobId } from '../job/job-id.ts'
import type { AuditReader, Situation } from '../queue/inspector/audit-reader.ts'
import { isLater } from '../queue/inspector/job-source.ts'
import { parseRecord } from '../queue/inspector/job-view.ts'
import { gateKey, GROUP, largePayloadKey, queueKey, streamKey } from '../queue/keys.ts'
import { type EntryRef, parseWhere, type StreamJob } from '../queue/inspector/queue-reader.ts'
import type { Finding, FindingKind } from './finding.ts'

/** A job that looked wrong on the walk, with the places to look at again. */
export interface Suspect {
  readonly place: string
  /** Entries that were seen with its id, or that it is said to have. */
  readonly refs: EntryRef[]
  /** Its key, or one whose gate names it. */
  key?: string | undefined
  /** The last entry of its stream that was given to a worker, when an entry seemed to be nobody's. */
  delivered?: string | undefined
}

const MOST_LOOKS = 10

/**
 * Looks at a suspect again, all its places at one instant: scripts are atomic, so what is wrong in one such look is wrong.
 * The first look may tell of another place to look at; then there is a second one.
 */
export async function examine(
  reader: AuditReader,
  prefix: string,
  queue: string,
  suspect: Suspect,
): Promise<Finding[]> {
  const refs = [...suspect.refs]
  if (/^\d+-\d+$/.test(suspect.place)) addRef(refs, { letter: 'm', entry: suspect.place })
  let key = suspect.key
  for (let looks = 1; ; looks++) {
    const situation = await reader.situation(queue, suspect.place, refs, key)
    const isNewRef = situation.where !== undefined && addRef(refs, parseWhere(situation.where))
    const ownKey = keyOf(situation) ?? key
    if ((!isNewRef && ownKey === key) || looks === MOST_LOOKS) {
      return judge({ prefix, queue, place: suspect.place, key, delivered: suspect.delivered }, situation)
    }
    key = ownKey
  }
}

function addRef(refs: EntryRef[], ref: EntryRef): boolean {
  if (refs.some(({ letter, entry }) => letter === ref.letter && entry === ref.entry)) return false
  refs.push(ref)
  return true
}

function keyOf({ record }: Situation): string | undefined {
  return record === undefined ? undefined : parseRecord(record).options.k
}

interface Subject {
  readonly prefix: string
  readonly queue: string
  readonly place: string
  readonly key: string | undefined
  readonly delivered: string | undefined
}

/** Everything that is wrong with a job, by one look at it. */
function judge(subject: Subject, situation: Situation): Finding[] {
  const { prefix, queue, place, key } = subject
  const { where, record, laterMs, deadMs, inGate } = situation
  const entries = situation.entries.filter(({ job }) => job?.place === place)
  const findings: Finding[] = []
  const report = (kind: FindingKind, expected: string, found: string, fix: string) =>
    findings.push({ kind, queue, id: formatJobId(queue, place), expected, found, fix })

  const names = [
    ...(laterMs === undefined ? [] : ['delayed']),
    ...(deadMs === undefined ? [] : ['dead']),
    ...Array.from({ length: inGate }, () => 'waiting for its key'),
  ]
  const places = [...entries.map(({ ref }) => `stream ${describeRef(ref)}`), ...(record === undefined ? [] : names)]
  if (places.length > 1) {
    report(
      'job_in_two_places',
      'one place',
      places.join(' and '),
      'It may run twice, no more: let it run, or purge it.',
    )
  }

  for (const { ref, isPending } of entries) {
    const expectedWhere = `${ref.letter}:${ref.entry}`
    const needsNone = ref.letter === 'm' && ref.entry === place
    if (where === undefined && !needsNone) {
      const fix = command('HSET', queueKey(prefix, queue, 'where'), place, expectedWhere)
      report(
        'entry_without_where',
        `a note that it stands in ${describeRef(ref)}`,
        'none: it cannot be found by its id',
        fix,
      )
    }
    if (subject.delivered !== undefined && !isPending && !isLater(ref.entry, subject.delivered)) {
      const stream = streamKey(prefix, queue, ref.letter)
      const fix = command('XCLAIM', stream, GROUP, 'verify.0', '0', ref.entry, 'FORCE', 'JUSTID')
      report(
        'entry_in_limbo',
        'waiting or with a worker',
        `delivered, and with nobody, in ${describeRef(ref)}`,
        `${fix} (workers rescue it when a lease has passed)`,
      )
    }
  }
  for (const { ref, job, isPending } of situation.entries) {
    if (job || !isPending) continue
    findings.push(deletedBehindItsWorker(subject, ref))
  }
  if (where !== undefined && !entries.some(({ ref }) => `${ref.letter}:${ref.entry}` === where)) {
    const found =
      places.length === 0 ? 'nothing there, nor anywhere else: the job is lost' : `${places.join(' and ')} instead`
    report(
      'where_points_nowhere',
      `the job in ${describeRef(parseWhere(where))}`,
      found,
      command('HDEL', queueKey(prefix, queue, 'where'), place),
    )
  }
  if (record !== undefined && names.length === 0) {
    // Due at once: whatever it was, workers decide what becomes of it.
    const fix =
      entries.length > 0
        ? command('HDEL', queueKey(prefix, queue, 'recs'), place)
        : command('ZADD', queueKey(prefix, queue, 'later'), '0', place)
    report(
      'record_nowhere',
      'delayed, dead, or waiting for its key',
      'a record that nothing refers to',
      `${fix}${entries.length > 0 ? '' : ' (makes it due at once)'}`,
    )
  }
  if (record === undefined) {
    const found = entries.length > 0 ? 'none: it stands in a stream' : 'none: the job is lost'
    const name = (what: string, fix: string) =>
      report('name_without_record', `a record of a job that is ${what}`, found, fix)
    if (laterMs !== undefined) name('delayed', command('ZREM', queueKey(prefix, queue, 'later'), place))
    if (deadMs !== undefined) name('dead', command('ZREM', queueKey(prefix, queue, 'dead'), place))
    if (inGate > 0) name(`waiting for key ${key}`, command('LREM', gateKey(prefix, queue, key ?? ''), '0', place))
  }
  findings.push(
    ...judgePayload(
      subject,
      situation,
      entries.flatMap(({ job }) => (job ? [job] : [])),
    ),
  )
  return findings
}

// The entry held the job's id; in the main stream it was the id, unless the job had been given one.
function deletedBehindItsWorker({ prefix, queue }: Subject, ref: EntryRef): Finding {
  return {
    kind: 'pending_without_entry',
    queue,
    ...(ref.letter === 'm' ? { id: formatJobId(queue, ref.entry) } : {}),
    expected: 'the entry that a worker has',
    found: `none in stream ${describeRef(ref)}: the job was deleted behind its worker's back`,
    fix: command('XACK', streamKey(prefix, queue, ref.letter), GROUP, ref.entry),
  }
}

function judgePayload(
  { prefix, queue, place }: Subject,
  { record, hasLargePayload }: Situation,
  entries: readonly StreamJob[],
): Finding[] {
  const bytes = [
    ...entries.map(({ options }) => options.p),
    record === undefined ? undefined : parseRecord(record).options.p,
  ].find((size) => size !== undefined)
  const id = formatJobId(queue, place)
  if (bytes !== undefined && !hasLargePayload) {
    const found = 'nothing: a worker will count it as unreadable'
    return [
      {
        kind: 'payload_missing',
        queue,
        id,
        expected: `its payload of ${bytes} bytes beside the stream`,
        found,
        fix: 'Cancel it, and enqueue it again.',
      },
    ]
  }
  if (hasLargePayload && bytes === undefined && entries.length === 0 && record === undefined) {
    const fix = command('UNLINK', largePayloadKey(prefix, queue, place))
    return [
      {
        kind: 'payload_without_job',
        queue,
        id,
        expected: 'a job that it belongs to',
        found: 'none: it takes memory for nothing',
        fix,
      },
    ]
  }
  return []
}

function describeRef({ letter, entry }: EntryRef): string {
  const names: Record<string, string> = { m: 'main', f: 'front', s: 'suspect', a: 'alone' }
  return `${names[letter] ?? `of type ${letter.slice(1)}`}, entry ${entry}`
}

/** A command as redis-cli takes it. */
export function command(...parts: string[]): string {
  const quoted = parts.map((part) => (/^[\w:.{}-]+$/.test(part) ? part : `'${part.replaceAll("'", String.raw`'\''`)}'`))
  return `redis-cli ${quoted.map((part) => (/[{}]/.test(part) && !part.startsWith("'") ? `'${part}'` : part)).join(' ')}`
}
