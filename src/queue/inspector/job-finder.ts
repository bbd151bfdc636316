import { formatJobId, type JobId } from '../../job/job-id.ts'
import { blocksKey } from '../entry.ts'
import { decodeHistory } from '../history.ts'
import { entryMs, isShown, type JobView, parseRecord, viewEnded, viewJob } from './job-view.ts'
import { parseWhere, type QueueReader, type Sighting } from './queue-reader.ts'

const PAGE = 250
const MOST_LOOKS = 20

/** Finds a job where it stands now, or its line in the history; undefined when there is neither. */
export async function findJob(reader: QueueReader, id: JobId): Promise<JobView | undefined> {
  return (await findLive(reader, id)) ?? (await findEnded(reader, id))
}

// A job may move between the look and the read of its entry; then the next look finds it where it went.
async function findLive(reader: QueueReader, { queue, place }: JobId): Promise<JobView | undefined> {
  for (let looks = 1; looks <= MOST_LOOKS; looks++) {
    const sighting = await reader.find(queue, place)
    const where = sighting.where ?? (sighting.isInMain ? `m:${place}` : undefined)
    const view = where === undefined ? undefined : await viewEntry(reader, queue, place, where)
    if (view) return view
    if (where === undefined)
      return sighting.record === undefined ? undefined : viewRecord(reader, queue, place, sighting.record, sighting)
  }
  return undefined // `where` points to nothing: `moca verify` names it
}

async function viewEntry(
  reader: QueueReader,
  queue: string,
  place: string,
  where: string,
): Promise<JobView | undefined> {
  const { letter, entry } = parseWhere(where)
  const [pending] = await reader.pending(queue, letter, entry, entry, 1)
  const [found] = await reader.entries(queue, letter, entry, entry, 1)
  if (!found) return undefined
  const job = { ...found, place, payload: await readPayload(reader, queue, place, found) }
  if (!pending) return viewJob(job, { status: 'waiting' })
  return viewJob(job, { status: 'active', heldBy: pending.consumer, renewedMsAgo: pending.idleMs })
}

async function viewRecord(
  reader: QueueReader,
  queue: string,
  place: string,
  text: string,
  { laterMs, deadMs }: Sighting,
): Promise<JobView> {
  const record = parseRecord(text)
  const job = { queue, place, ...record, payload: await readPayload(reader, queue, place, record) }
  const { k: key } = record.options
  if (deadMs !== undefined) {
    const { holder, waiting } = blocksKey(record.options) ? await reader.key(queue, key ?? '') : {}
    const keepsKey = holder === place
    return viewJob(job, { status: 'dead', keepsKey, waitingBehind: keepsKey ? waiting : undefined })
  }
  if (laterMs !== undefined) return viewJob(job, { status: 'delayed', dueAtMs: laterMs })
  const [holder] = key === undefined ? [] : await reader.fields(queue, 'slots', [key])
  if (holder === undefined) return viewJob(job, { status: 'gated' })
  const [diedMs] = await reader.scoresOf(queue, 'dead', [holder])
  return viewJob(job, { status: 'gated', waitsFor: formatJobId(queue, holder), isBlocked: diedMs !== undefined })
}

async function readPayload(
  reader: QueueReader,
  queue: string,
  place: string,
  job: { readonly options: { readonly p?: number }; readonly payload: string },
): Promise<string> {
  if (job.options.p === undefined || job.payload !== '') return job.payload
  return (await reader.largePayload(queue, place)) ?? ''
}

async function findEnded(reader: QueueReader, { queue, place }: JobId): Promise<JobView | undefined> {
  const acceptedMs = entryMs(place) ?? 0
  let before = '+'
  for (;;) {
    const entries = await reader.history(queue, before, PAGE)
    for (const { lines, stale } of entries) {
      const line = lines.includes(place) ? decodeHistory(lines, stale).find((item) => item.place === place) : undefined
      if (line) return isShown(line) ? viewEnded(queue, line) : undefined
    }
    const last = entries.at(-1)?.entry
    // No job ends before it was accepted.
    if (last === undefined || (entryMs(last) ?? 0) < acceptedMs) return undefined
    before = `(${last}`
  }
}
