import type { Connection } from './connection.ts'

/** What a server says of how it keeps its data. */
export interface ServerFacts {
  readonly version: string
  readonly hasAppendOnlyFile: boolean
  /** Undefined: this user may not ask for it (CONFIG GET). */
  readonly fsync: string | undefined
  /** Whether its last write to the append-only file, and its last snapshot, went well. */
  readonly isWritingWell: boolean
  readonly usedBytes: number
  /** 0: no limit but the machine's. */
  readonly maxBytes: number
}

export async function readServerFacts(connection: Connection): Promise<ServerFacts> {
  const info = await connection.send<string>(['INFO'])
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  return {
    version: connection.server.version,
    hasAppendOnlyFile: field('aof_enabled') === '1',
    fsync: await readFsync(connection),
    isWritingWell: field('aof_last_write_status') !== 'err' && field('rdb_last_bgsave_status') !== 'err',
    usedBytes: Number(field('used_memory')),
    maxBytes: Number(field('maxmemory')),
  }
}

/** What Moca itself does not need, and its user may not be permitted. */
async function readFsync(connection: Connection): Promise<string | undefined> {
  try {
    const [, value] = await connection.send<string[]>(['CONFIG', 'GET', 'appendfsync'])
    return value
  } catch (error) {
    if (connection.isOpen) return undefined
    throw error
  }
}

/** How far the server's clock is ahead of this process's, ms. Exact to half the time that an answer takes. */
export async function readClockOffset(connection: Connection): Promise<number> {
  const askedAtMs = Date.now()
  const [seconds, micros] = await connection.send<[string, string]>(['TIME'])
  return Number(seconds) * 1000 + Number(micros) / 1000 - (askedAtMs + Date.now()) / 2
}
