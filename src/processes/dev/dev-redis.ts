import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../../errors.ts'
import { Connection } from '../../redis/connection.ts'
import type { DevFolder } from './dev-folder.ts'
import { type DevServer, end, startOnPort } from './dev-server.ts'
import { startWatched } from './watched-server.ts'

/** Starts a Redis with its data in the folder. Rejects with ConfigError, which says how to install it, where there is none. */
export async function startDevRedis(folder: DevFolder): Promise<DevServer> {
  if (spawnSync('redis-server', ['--version']).error) {
    const how = process.platform === 'darwin' ? 'brew install redis' : 'sudo apt-get install -y redis-server'
    throw new ConfigError(
      `There is no redis-server on the PATH. Install it with: ${how}\nOr set REDIS_URL to one that runs.`,
    )
  }
  const data = join(folder.path, 'redis')
  await mkdir(data, { recursive: true })
  const logFile = join(data, 'redis.log')
  const durability = ['--appendonly', 'yes', '--appendfsync', 'everysec', '--save', '']
  const { child, port } = await startOnPort({
    name: 'redis-server',
    spawn: (onPort) => {
      const place = ['--bind', '127.0.0.1', '--port', String(onPort), '--dir', data]
      return startWatched({ command: ['redis-server', ...place, ...durability], ending: 'KILL', logFile })
    },
    isReady: (onPort, { pid }) => answersAs(onPort, pid),
    logFile,
    port: await folder.port('redis'),
  })
  await folder.keepPort('redis', port)
  const ended = once(child, 'exit').then(() => {})
  return { url: `redis://127.0.0.1:${port}`, data, ended, stop: () => end(child, 'SIGTERM') }
}

/** Whether the server on this port is our child, and has loaded its data. */
async function answersAs(port: number, pid: number | undefined): Promise<boolean> {
  const connection = await Connection.open({ url: `redis://127.0.0.1:${port}` }, 'moca:dev')
  try {
    const info = await connection.send<string>(['INFO', 'server'])
    return info.includes(`process_id:${pid}\r\n`)
  } finally {
    connection.destroy()
  }
}
