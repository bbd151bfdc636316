import { AuditReader } from '../queue/inspector/audit-reader.ts'
import { Inspector } from '../queue/inspector/inspector.ts'
import { blocksKey } from '../queue/entry.ts'
import { parseRecord } from '../queue/inspector/job-view.ts'
import { gateKey, queueKey } from '../queue/keys.ts'
import type { QueueLook, QueueReader } from '../queue/inspector/queue-reader.ts'
import type { Finding } from './finding.ts'
import { command, examine } from './job-standing.ts'
import { type KeysOfQueue, type Readers, type Suspects, walkQueue } from './queue-walk.ts'

/** Of one queue. With so many something is wrong as a whole, and the first thousand tell what. */
const MOST_FINDINGS = 1_000

export interface QueueAccount {
  readonly queue: string
  readonly accepted: number
  /** waiting + active + delayed + gated + dead + completed + cancelled + expired + purged, at the same instant. */
  readonly accounted: number
  /** Jobs met on the walk, which takes its time: not the number at any instant. */
  readonly walked: number
}

export interface AccountReport {
  readonly queues: QueueAccount[]
  readonly findings: Finding[]
}

export interface AccountOptions {
  /** Default: all queues. */
  readonly queues?: readonly string[] | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Checks that every accepted job is accounted for (one atomic look), and that each stands in exactly one place (a walk in pages
 * while jobs move; what looks wrong is looked at again, all its places at one instant, before it is reported).
 */
export async function accountQueues(
  reader: QueueReader,
  { queues, signal }: AccountOptions = {},
): Promise<AccountReport> {
  const readers = { queues: reader, audit: new AuditReader(reader) }
  const listed = await reader.queues()
  const names = queues ?? listed
  const keys = await scanKeys(readers, signal)
  const { queues: looks } = await reader.look(names)
  const findings = [...(await findLosses(reader, names)), ...(queues ? [] : findUnlisted(reader.prefix, listed, keys))]
  const accounts: QueueAccount[] = []
  for (const [queue, look] of Object.entries(looks)) {
    const suspects = await walkQueue(readers, queue, look, keys.get(queue) ?? { gates: [], payloads: [] }, signal)
    accounts.push({ queue, accepted: look.accepted, accounted: sumOf(look), walked: suspects.seen })
    findings.push(...checkSum(queue, look), ...(await confirm(readers, queue, suspects, signal)))
  }
  return { queues: accounts, findings }
}

function sumOf(look: QueueLook): number {
  const standing = look.waiting + look.active + look.delayed + look.gated + look.dead
  return standing + look.completed + look.cancelled + look.expired + look.purged
}

function checkSum(queue: string, look: QueueLook): Finding[] {
  const sum = sumOf(look)
  if (sum === look.accepted) return []
  const parts = [
    'waiting',
    'active',
    'delayed',
    'gated',
    'dead',
    'completed',
    'cancelled',
    'expired',
    'purged',
  ] as const
  const terms = parts.map((part) => `${part} ${look[part]}`).join(' + ')
  const difference = look.accepted - sum
  return [
    {
      kind: 'count_differs',
      queue,
      expected: `accepted ${look.accepted} = ${terms}`,
      found: `a sum of ${sum}: ${Math.abs(difference)} ${difference > 0 ? 'missing' : 'too many'}`,
      fix: 'The other findings name the jobs, where a trace of them is left. Was the namespace changed by something other than Moca?',
    },
  ]
}

async function findLosses(reader: QueueReader, queues: readonly string[]): Promise<Finding[]> {
  const losses = await new Inspector(reader).losses()
  return losses
    .filter(({ queue, acknowledgedAt }) => queues.includes(queue) && acknowledgedAt === undefined)
    .map(({ queue, lost, from, to, noticedAt }) => ({
      kind: 'redis_forgot',
      queue,
      expected: 'every accepted job still known to Redis',
      found: `at least ${lost} forgotten, accepted after ${from.toISOString()} and not later than ${to.toISOString()} (noticed at ${noticedAt.toISOString()})`,
      fix: `Enqueue the work of that time again (with idempotency keys); then moca queue acknowledge-losses --queue ${queue} ends this finding`,
    }))
}

/** One pass over the keys of the namespace: what a queue has besides the keys whose names are known. */
async function scanKeys({ audit }: Readers, signal: AbortSignal | undefined): Promise<Map<string, KeysOfQueue>> {
  const found = new Map<string, { gates: Set<string>; payloads: Set<string> }>()
  const of = (queue: string) => {
    const keys = found.get(queue) ?? { gates: new Set(), payloads: new Set() }
    found.set(queue, keys)
    return keys
  }
  let cursor = '0'
  do {
    signal?.throwIfAborted()
    const [next, keys] = await audit.scanKeys(cursor)
    for (const key of keys) {
      const [, kind, queue = '', rest = ''] = /^(g|p|q):([^:]*):?(.*)$/s.exec(key) ?? []
      if (kind === 'g') of(queue).gates.add(rest)
      if (kind === 'p') of(queue).payloads.add(rest)
      if (kind === 'q' && rest === 'n') of(queue)
    }
    cursor = next
  } while (cursor !== '0')
  return new Map(
    [...found].map(([queue, { gates, payloads }]) => [queue, { gates: [...gates], payloads: [...payloads] }]),
  )
}

function findUnlisted(prefix: string, listed: readonly string[], keys: ReadonlyMap<string, KeysOfQueue>): Finding[] {
  return [...keys.keys()]
    .filter((queue) => !listed.includes(queue))
    .map((queue) => ({
      kind: 'queue_not_listed',
      queue,
      expected: 'its name in the list of queues',
      found: 'keys of it, and no name: nobody counts its jobs',
      fix: command('SADD', `${prefix}queues`, queue),
    }))
}

async function confirm(
  readers: Readers,
  queue: string,
  { jobs, keys }: Suspects,
  signal: AbortSignal | undefined,
): Promise<Finding[]> {
  const findings: Finding[] = []
  const looks = [
    ...[...jobs.values()].map((suspect) => () => examine(readers.audit, readers.queues.prefix, queue, suspect)),
    ...[...keys].map((key) => () => examineKey(readers, queue, key)),
  ]
  for (const [index, look] of looks.entries()) {
    signal?.throwIfAborted()
    findings.push(...(await look()))
    if (findings.length >= MOST_FINDINGS && index + 1 < looks.length) {
      const found = `${looks.length - index - 1} more jobs and keys that were not looked at again; some may only have moved meanwhile`
      findings.push({
        kind: 'too_many_suspects',
        queue,
        expected: `fewer than ${MOST_FINDINGS} findings`,
        found,
        fix: 'Mend what is named, and verify again.',
      })
      break
    }
  }
  return findings
}

async function examineKey({ queues, audit }: Readers, queue: string, key: string): Promise<Finding[]> {
  const { holder, waiting, first } = await queues.key(queue, key)
  const gate = gateKey(queues.prefix, queue, key)
  if (holder === undefined) {
    if (waiting === 0 || first === undefined) return []
    const fix = `${command('ZADD', queueKey(queues.prefix, queue, 'later'), '0', first)} && ${command('LPOP', gate)} (lets the first one run)`
    return [
      {
        kind: 'gate_without_holder',
        queue,
        id: `${queue}.0.${first}`,
        expected: `a job that holds key ${key}`,
        found: `none, and ${waiting} wait for it`,
        fix,
      },
    ]
  }
  const held = await audit.situation(queue, holder, [], key)
  // Another one holds it by now: keys do move.
  if (held.slotHolder !== holder || held.where !== undefined || held.laterMs !== undefined) return []
  // A dead letter that keeps its key, until somebody retries, cancels or purges it.
  const options = held.record === undefined ? {} : parseRecord(held.record).options
  if (held.deadMs !== undefined && blocksKey(options) && options.k === key) return []
  const found =
    held.deadMs !== undefined ? 'it is dead' : held.record !== undefined ? 'it is not on its way' : 'it stands nowhere'
  const fix = `${command('HDEL', queueKey(queues.prefix, queue, 'slots'), key)}, then verify again${waiting > 0 ? `: ${waiting} wait for the key` : ''}`
  return [
    {
      kind: 'slot_without_job',
      queue,
      id: `${queue}.0.${holder}`,
      expected: `key ${key} held by a job on its way`,
      found,
      fix,
    },
  ]
}
