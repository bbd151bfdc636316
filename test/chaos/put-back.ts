import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { RedisServer } from '../support/redis-server.ts'

/** Kills Redis after `meanwhile`, and starts it with the files that it had before: what it accepted in between is forgotten. */
export async function putBack(redis: RedisServer, meanwhile: () => Promise<unknown>): Promise<void> {
  const files = join(redis.dir, 'appendonlydir')
  const copy = join(redis.dir, 'older')
  await cp(files, copy, { recursive: true })
  await meanwhile()
  await redis.kill('SIGKILL')
  await rm(files, { recursive: true })
  await cp(copy, files, { recursive: true })
  await rm(copy, { recursive: true })
  await redis.start()
}
