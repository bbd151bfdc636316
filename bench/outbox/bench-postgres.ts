import { readdirSync, readFileSync } from 'node:fs'
import { type PostgresServer, startPostgres } from '../../test/support/postgres-server.ts'

/** What differs from the settings of a server as it is installed; printed with the result. */
export const postgresSettings = {
  shared_buffers: '512MB',
  max_wal_size: '4GB',
  max_connections: '100',
  // Needed by logical replication, and for all alike: it writes a little more for everybody.
  wal_level: 'logical',
} as const

/** A PostgreSQL of the distribution for one measurement, with an empty database. */
export class BenchPostgres {
  readonly #server: PostgresServer
  readonly databaseUrl: string

  private constructor(server: PostgresServer, databaseUrl: string) {
    this.#server = server
    this.databaseUrl = databaseUrl
  }

  static async start({ fsync }: { readonly fsync: boolean }): Promise<BenchPostgres> {
    const server = await startPostgres({ kind: 'distribution', fsync, settings: postgresSettings })
    const { url } = await server.createDatabase()
    return new BenchPostgres(server, url)
  }

  async version(): Promise<string> {
    const [row] = await this.#server.query<{ server_version: string }>('show server_version')
    return row?.server_version ?? 'unknown'
  }

  /** CPU of all its processes so far, those that have ended included. */
  cpuMs(): number {
    const { pid } = this.#server
    if (pid === undefined) throw new Error('PostgreSQL does not run')
    let ticks = 0
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue
      const process = readProcess(name)
      if (!process) continue
      if (name === String(pid)) ticks += process.ownTicks + process.endedTicks
      else if (process.parent === pid) ticks += process.ownTicks
    }
    return ticks * msPerTick
  }

  async stop(): Promise<void> {
    await this.#server.stop()
  }
}

/** CPU of one process of a server, such as the one behind a connection. */
export function processCpuMs(pid: number): number {
  const process = readProcess(String(pid))
  if (!process) throw new Error(`There is no process ${pid}`)
  return process.ownTicks * msPerTick
}

/** Linux counts CPU in hundredths of a second for programs, whatever the kernel does (USER_HZ). */
const msPerTick = 10

function readProcess(pid: string): { parent: number; ownTicks: number; endedTicks: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // `pid (name) state parent ...`; the name may hold anything. utime, stime, cutime and cstime are fields 14 to 17.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const at = (field: number) => Number(fields[field - 3])
    return { parent: at(4), ownTicks: at(14) + at(15), endedTicks: at(16) + at(17) }
  } catch {
    return undefined // it has ended meanwhile
  }
}
