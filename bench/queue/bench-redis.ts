import { createClient } from '@redis/client'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { sleep } from '../clock.ts'

/** The Redis that all systems are measured on, one after another, each on an empty one. */
export class BenchRedis {
  readonly #server: RedisServer
  readonly #admin: Admin

  constructor(server: RedisServer, admin: Admin) {
    this.#server = server
    this.#admin = admin
  }

  get port(): number {
    return this.#server.port
  }

  /** Empties the server and its append-only file, and waits until that is done. */
  async reset(): Promise<void> {
    await this.#admin.sendCommand(['FLUSHALL', 'SYNC'])
    await this.#admin.sendCommand(['BGREWRITEAOF'])
    for (;;) {
      const info = await this.#info('persistence')
      if (info.get('aof_rewrite_in_progress') === '0' && info.get('aof_rewrite_scheduled') === '0') break
      await sleep(20)
    }
    await this.#admin.sendCommand(['CONFIG', 'RESETSTAT'])
  }

  async usage(): Promise<RedisUsage> {
    const [cpu, stats] = await Promise.all([this.#info('cpu'), this.#info('commandstats')])
    let commands = 0
    for (const value of stats.values()) commands += Number(/calls=(\d+)/.exec(value)?.[1] ?? 0)
    return { cpuMs: (number(cpu, 'used_cpu_user') + number(cpu, 'used_cpu_sys')) * 1000, commands }
  }

  /** Bytes that the data takes, without the buffers of connections and of the append-only file. */
  async dataBytes(): Promise<number> {
    const memory = await this.#info('memory')
    return number(memory, 'used_memory') - number(memory, 'mem_clients_normal') - number(memory, 'mem_aof_buffer')
  }

  async version(): Promise<string> {
    return (await this.#info('server')).get('redis_version') ?? 'unknown'
  }

  async setting(name: string): Promise<string> {
    return (await this.#admin.configGet(name))[name] ?? 'unknown'
  }

  async stop(): Promise<void> {
    await this.#admin.close()
    await this.#server.stop()
  }

  async #info(section: string): Promise<Map<string, string>> {
    const text = await this.#admin.info(section)
    const lines = text.split('\r\n').filter((line) => line.includes(':'))
    return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]))
  }
}

export interface RedisUsage {
  readonly cpuMs: number
  readonly commands: number
}

type Admin = Awaited<ReturnType<typeof connectAdmin>>

/** Append-only file with fsync every second; its rewriting is left to `reset`, so that no fork falls into a measurement. */
export async function startBenchRedis(): Promise<BenchRedis> {
  const server = await startRedis({ fsync: 'everysec', args: ['--auto-aof-rewrite-percentage', '0'] })
  return new BenchRedis(server, await connectAdmin(server.url))
}

function connectAdmin(url: string) {
  const client = createClient({ url })
  client.on('error', (error) => console.error('redis:', error))
  return client.connect()
}

function number(info: Map<string, string>, name: string): number {
  const value = Number(info.get(name))
  if (Number.isNaN(value)) throw new Error(`INFO has no number ${name}`)
  return value
}
