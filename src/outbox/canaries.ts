import { CANARY, CANARY_EXPIRES_MS } from '../events/canary.ts'
import { recordedOrigin } from '../events/fan-out.ts'
import type { Database } from '../postgres/database.ts'
import { quoteIdentifier } from '../postgres/identifier.ts'
import { encodeEventRequest, encodeJobRequest } from './record.ts'
import { loadStatements } from './statements.ts'

/** Rows that are there to be followed through the system, as one transaction recorded them. */
export interface Canaries {
  /** One in each lane. `origin`: by which ids of its jobs are made. */
  readonly events: readonly { readonly lane: number; readonly key: string; readonly origin: string }[]
  /** One for each queue. */
  readonly jobs: readonly { readonly lane: number; readonly queue: string; readonly id: string }[]
  readonly firstSeq: number
  readonly lastSeq: number
}

const NAMES = ['load-deployment', 'pick-canary-keys', 'find-canaries'] as const

/** Records an event in each lane, and a job for each of these queues, and commits. No hook of the application sees them. */
export async function recordCanaries(
  database: Database,
  schema: string,
  { id, queues }: { readonly id: string; readonly queues: readonly string[] },
): Promise<Canaries> {
  const sql = loadStatements(NAMES, schema)
  return database.transaction(async (tx) => {
    const [{ log_id: logId } = { log_id: '' }] = await tx.query<{ log_id: string }>(sql['load-deployment'])
    const keys = await tx.query<{ lane: number; key: string }>(sql['pick-canary-keys'], [`canary:${id}:`])
    const settings = { source: undefined, maxBytes: Number.POSITIVE_INFINITY, lock: false }
    const requests = [
      ...keys.map(({ key }) => encodeEventRequest(CANARY, { type: CANARY, key, data: { canary: id } }, settings)),
      ...queues.map((queue) => {
        const chosen = { x: CANARY_EXPIRES_MS }
        const options = { chosen, delayMs: undefined, runAtMs: undefined, idempotencyKey: undefined }
        return encodeJobRequest({ type: CANARY, queue, payload: JSON.stringify({ canary: id }), options, lock: false })
      }),
    ]
    const inSchema = quoteIdentifier(schema)
    const [{ drawn } = { drawn: 0 }] = await tx.query<{ drawn: number }>(`select ${inSchema}.last_drawn() as drawn`)
    const [recorded] = await tx.query<{ ids: string }>(`select ${inSchema}.record($1) as ids`, [
      `[${requests.join(',')}]`,
    ])
    const ids = JSON.parse(recorded?.ids ?? '[]') as string[]
    const rows = await tx.query<{ seq: number; lane: number; id: string }>(sql['find-canaries'], [drawn, ids])
    const byId = new Map(rows.map((row) => [row.id, row]))
    const rowOf = (index: number) => {
      const row = byId.get(ids[index] ?? '')
      if (!row) throw new Error(`Canary ${index} of ${id} is not in the log`)
      return row
    }
    const seqs = rows.map(({ seq }) => seq)
    return {
      events: keys.map(({ key }, index) => {
        const { lane, seq } = rowOf(index)
        return { lane, key, origin: recordedOrigin(logId, seq) }
      }),
      jobs: queues.map((queue, index) => {
        const { lane, id: jobId } = rowOf(keys.length + index)
        return { lane, queue, id: jobId }
      }),
      firstSeq: Math.min(...seqs),
      lastSeq: Math.max(...seqs),
    }
  })
}
