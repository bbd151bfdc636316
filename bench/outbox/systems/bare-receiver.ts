import { createClient, defineScript } from '@redis/client'
import type { BatchAnswer, JobReceiver, ReceivedBatch, ReceivedPosition } from '../../../src/job/job-receiver.ts'
import { arrivalsKey, streamArrivals } from '../arrivals.ts'
import type { EventData, OutboxSystem } from '../system.ts'
import { openMocaRelay, prepareMoca } from './moca-relay.ts'

/**
 * Moca's relay with a receiver that does the least: no queue, no keys, no gate, no announcements, only one XADD a job and the lane's
 * position. It tells what reading the log, writing intents and speaking to Redis leave, whatever the queue does with a job.
 */
export const bareReceiver: OutboxSystem = {
  name: 'bare-receiver',
  title: "Moca's relay, bare receiver",
  packages: ['mocajs', '@redis/client', 'pg'],
  settings: [
    'one subscription that gets every event',
    'the receiver is no queue: one script a batch, with one XADD a job, and the position of the lane',
  ],
  backlogDivisor: 1,
  prepare: prepareMoca,
  arrivals: streamArrivals((payload) => (JSON.parse(payload) as { data: EventData }).data),

  async openRelay({ databaseUrl, redisPort }) {
    const receiver = await BareReceiver.open(redisPort)
    const relay = openMocaRelay({ databaseUrl, receiver })
    return {
      ...relay,
      async close() {
        await relay.close()
        await receiver.close()
      },
    }
  },
}

// ARGV: unit, n, digest, epoch, position, then key and payload of each job. By the rules of docs/decisions/0032-batches-and-leases.md.
const SCRIPT = `
local found = redis.call('HGET', KEYS[1], ARGV[1])
local n, digest, epoch = 0, '', 0
if found then
  n, digest, epoch = string.match(found, '^%S+ (%d+) (%S+) (%d+)')
  n, epoch = tonumber(n), tonumber(epoch)
end
local next = tonumber(ARGV[2])
if epoch > tonumber(ARGV[4]) then return 'stale' end
if n == next and digest == ARGV[3] then return 'done' end
if n >= next then return 'ahead' end
if n < next - 1 then return 'forgot' end
for at = 6, #ARGV, 2 do redis.call('XADD', KEYS[2], '*', 'k', ARGV[at], 'd', ARGV[at + 1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[5])
return 'applied'`

const receive = defineScript({
  SCRIPT,
  NUMBER_OF_KEYS: 2,
  parseCommand: (parser, keys: string[], args: string[]) => {
    for (const key of keys) parser.pushKey(key)
    parser.push(...args)
  },
  transformReply: (reply: string) => reply,
})

const positionsKey = 'bench:positions'

class BareReceiver implements JobReceiver {
  readonly #redis: Awaited<ReturnType<typeof connect>>

  private constructor(redis: Awaited<ReturnType<typeof connect>>) {
    this.#redis = redis
  }

  static async open(port: number): Promise<BareReceiver> {
    return new BareReceiver(await connect(port))
  }

  async receive({ unit, jobs, ...position }: ReceivedBatch): Promise<BatchAnswer> {
    const { n, digest, epoch } = position
    const args = [unit, String(n), digest, String(epoch), formatPosition(position)]
    for (const { key, payload } of jobs) args.push(key ?? '', payload)
    const status = await this.#redis.receive([positionsKey, arrivalsKey], args)
    if (status === 'applied' || status === 'done') return { status }
    const found = (await this.positions()).get(unit)
    return { status, found } as BatchAnswer
  }

  async positions(): Promise<ReadonlyMap<string, ReceivedPosition>> {
    const found = await this.#redis.hGetAll(positionsKey)
    return new Map(Object.entries(found).map(([unit, text]) => [unit, parsePosition(text)]))
  }

  async setPositions(): Promise<void> {
    throw new Error('Nobody rebases a benchmark')
  }

  async publish(): Promise<never> {
    throw new Error('Nobody emits in this benchmark')
  }

  async close(): Promise<void> {
    await this.#redis.close()
  }
}

function connect(port: number) {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, scripts: { receive } })
  client.on('error', (error) => console.error('redis:', error))
  return client.connect()
}

function formatPosition({ logId, n, epoch, rows, digest }: ReceivedPosition): string {
  return `${logId} ${n} ${digest} ${epoch} ${rows}`
}

function parsePosition(text: string): ReceivedPosition {
  const [logId = '', n, digest = '', epoch, rows] = text.split(' ')
  return { logId, n: Number(n), epoch: Number(epoch), rows: Number(rows), digest }
}
