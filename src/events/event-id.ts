import { randomFillSync } from 'node:crypto'

const pool = Buffer.alloc(10 * 256)
let used = pool.length

/** A UUID of version 7 (RFC 9562): 48 bits of milliseconds, 74 of chance. In SQL: `moca.uuid_v7`. */
export function makeEventId(nowMs: number): string {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const chance = pool.subarray(used, used + 10)
  used += 10
  const id = Buffer.alloc(16)
  id.writeUIntBE(Math.floor(nowMs), 0, 6)
  chance.copy(id, 6)
  id[6] = 0x70 | (id.readUInt8(6) & 0x0f)
  id[8] = 0x80 | (id.readUInt8(8) & 0x3f)
  const hex = id.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
