import { createClient } from '@redis/client'

/** Redis without Moca: plain commands, each reply as the server sends it. */
export interface RawRedis {
  send<T>(...args: (string | number)[]): Promise<T>
  close(): void
}

/** Connects, and again whenever the connection breaks: a command fails while the server is away. */
export async function openRaw(url: string): Promise<RawRedis> {
  const client = createClient({ url, RESP: 2, disableOfflineQueue: true, socket: { reconnectStrategy: 50 } })
  client.on('error', () => {}) // told by the commands
  await client.connect()
  return {
    send: <T>(...args: (string | number)[]) => client.sendCommand<T>(args.map(String)),
    close: () => client.destroy(),
  }
}
