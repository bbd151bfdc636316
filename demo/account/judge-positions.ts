import type { LanePosition } from '../documents/read-postgres.ts'
import type { RawPosition } from '../raw-walk.ts'
import type { Problem } from './problem.ts'

/** How far each lane has come: PostgreSQL's word against that of Redis. */
export function judgePositions(
  inPostgres: readonly LanePosition[],
  inRedis: ReadonlyMap<string, RawPosition>,
): Problem[] {
  const problems: Problem[] = []
  const lanes = new Map(inPostgres.map((position) => [String(position.lane), position]))
  for (const [lane, { n, digest }] of lanes) {
    const other = inRedis.get(lane)
    if (other?.n === n && other.digest === digest) continue
    const found = other ? `batch ${other.n} (${other.digest}) in Redis` : 'nothing of this lane in Redis'
    problems.push({ kind: 'position', id: `lane ${lane}`, expected: `batch ${n} (${digest}), as in PostgreSQL`, found })
  }
  for (const [lane, { n }] of inRedis) {
    if (lanes.has(lane)) continue
    const expected = 'nothing of a lane of which PostgreSQL knows no batch'
    problems.push({ kind: 'position', id: `lane ${lane}`, expected, found: `batch ${n} in Redis` })
  }
  return problems
}
