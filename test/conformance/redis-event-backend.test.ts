import { test } from 'node:test'
import { proxiedRedis } from '../support/proxied-redis.ts'
import { openRedisBackend } from '../support/redis-backend.ts'
import { BACKEND_CHECKS } from './event-backend.ts'

const servers = proxiedRedis()

for (const check of BACKEND_CHECKS) {
  test(`Redis: ${check.name}`, async () => {
    await using harness = await openRedisBackend(servers.redis, servers.proxy, 15_000)
    await check.run(harness)
  })
}
