import { execFile } from 'node:child_process'
import { cp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startRedis } from '../test/support/redis-server.ts'
import type { RedisServer } from '../test/support/redis-server.ts'
import { monotonicUs } from './monotonic.ts'
import type { Fault } from './options.ts'
import { openRaw } from './raw-redis.ts'
import { type RawWalk, walk } from './raw-walk.ts'
import { waitUntilStopped } from './demo-process.ts'

// Damage that Moca cannot prevent and that the account must find.

const PROGRAM = fileURLToPath(new URL('fault-process.ts', import.meta.url))
const INDEX_PROGRAM = fileURLToPath(new URL('index-fault-process.ts', import.meta.url))
const LOG_PROGRAM = fileURLToPath(new URL('log-fault-process.ts', import.meta.url))

export type LogFault = 'log-row-deleted' | 'events-swapped'

/** Has another process do the damage; resolves with what it did. */
export async function plantByProcess(
  fault: Fault,
  redisUrl: string,
  namespace: string,
  signal: AbortSignal,
): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, fault, redisUrl, namespace], { signal })
  return stdout.trim()
}

/** As `plantByProcess`, for damage to the log. */
export async function plantInLog(fault: LogFault, databaseUrl: string, signal: AbortSignal): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [LOG_PROGRAM, fault, databaseUrl], { signal })
  return stdout.trim()
}

/** As `plantByProcess`, for damage to the search index. */
export async function plantInIndex(databaseUrl: string, signal: AbortSignal): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [INDEX_PROGRAM, databaseUrl], { signal })
  return stdout.trim()
}

/** A copy of what Redis had on its disk at an instant at which it stood still. */
export interface OlderState {
  readonly dir: string
  readonly frozenAtUs: number
}

const APPEND_ONLY = 'appendonlydir'

export async function copyState(redis: RedisServer): Promise<OlderState> {
  const dir = `${redis.dir}-older`
  await redis.kill('SIGSTOP')
  try {
    await waitUntilStopped(redis.pid as number)
    const frozenAtUs = monotonicUs()
    await cp(join(redis.dir, APPEND_ONLY), join(dir, APPEND_ONLY), { recursive: true })
    return { dir, frozenAtUs }
  } finally {
    await redis.kill('SIGCONT')
  }
}

/** Puts the older state in the place of the files of a server that does not run. */
export async function restoreState(redis: RedisServer, { dir }: OlderState): Promise<void> {
  const current = join(redis.dir, APPEND_ONLY)
  await rename(current, `${current}-forgotten`)
  await cp(join(dir, APPEND_ONLY), current, { recursive: true })
}

/** What the older state holds, seen through a server of its own that Moca never meets. */
export async function walkState({ dir }: OlderState, namespace: string): Promise<RawWalk> {
  const aside = await startRedis({ dir, appendonly: true })
  try {
    const raw = await openRaw(aside.url)
    const found = await walk(raw, namespace)
    raw.close()
    return found
  } finally {
    await aside.stop()
    await rm(dir, { recursive: true, force: true })
  }
}
