import { after, before } from 'node:test'
import { type Proxy, startProxy } from './proxy.ts'
import { type RedisServer, startRedis } from './redis-server.ts'

/** A server with a proxy in front of it, for all tests of a file: made before the first, gone after the last. */
export function proxiedRedis(): { readonly redis: RedisServer; readonly proxy: Proxy } {
  let redis: RedisServer | undefined
  let proxy: Proxy | undefined
  before(async () => {
    const server = await startRedis()
    redis = server
    proxy = await startProxy({ targetPort: () => server.port })
  })
  after(async () => {
    await proxy?.stop()
    await redis?.stop()
  })
  const made = <T>(one: T | undefined): T => {
    if (one === undefined) throw new Error('Not before the first test')
    return one
  }
  return {
    get redis() {
      return made(redis)
    },
    get proxy() {
      return made(proxy)
    },
  }
}
