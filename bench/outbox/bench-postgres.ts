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
    let sum = endedCpuMs(pid)
    for (const name of readdirSync('/proc')) {
      if (name === String(pid) || (/^\d+$/.test(name) && parentOf(name) === pid)) sum += ownCpuMs(name)
    }
    return sum
  }

  /** CPU of the process behind a connection, so far. */
  connectionCpuMs(pid: number): number {
    return ownCpuMs(String(pid))
  }

  async stop(): Promise<void> {
    await this.#server.stop()
  }
}

// Linux counts the CPU of a running process in nanoseconds, and that of children that have ended in hundredths of a second (USER_HZ).
const msPerTick = 10

function ownCpuMs(pid: string): number {
  return Number(read(pid, 'schedstat').split(' ')[0] ?? 0) / 1e6
}

function endedCpuMs(pid: number): number {
  const fields = statOf(String(pid))
  return (Number(fields[13]) + Number(fields[14])) * msPerTick // cutime and cstime
}

function parentOf(pid: string): number {
  return Number(statOf(pid)[1])
}

/** The fields from the state on: `pid (name) state parent ...`, where the name may hold anything. */
function statOf(pid: string): string[] {
  const stat = read(pid, 'stat')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function read(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return '' // it has ended meanwhile
  }
}
