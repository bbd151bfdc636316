import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QueueScene } from '../../../test/support/queue-scene.ts'
import { proxiedRedis } from '../../../test/support/proxied-redis.ts'
import { waitFor } from '../../../test/support/wait-for.ts'
import { silentLogger } from '../../logger.ts'
import { Keeper } from './keeper.ts'
import { LeaseTable } from './lease-table.ts'
import { loadScripts } from '../scripts.ts'

// The keeper's thread against a real server, with a lease table that the test fills as a worker's main thread does. That
// thread's event loop counts as blocked unless the test lets it turn.

const LEASE_MS = 600
const MAX_BLOCKED_MS = 600
const HAND_BACK_MS = 20
const servers = proxiedRedis()

interface Pending {
  readonly consumer: string
  readonly idleMs: number
  readonly times: number
}

async function startKeeper(namespace: string) {
  const scene = await QueueScene.open(servers.redis.url, namespace)
  const table = LeaseTable.create(100)
  const keeper = new Keeper({
    data: {
      redis: { url: servers.proxy.url },
      namespace,
      queues: ['default'],
      workerId: 'w1',
      memory: table.memory,
      leaseMs: LEASE_MS,
      handBackMs: HAND_BACK_MS,
      maxBlockedMs: MAX_BLOCKED_MS,
    },
    log: silentLogger,
    onLost: () => {},
    onReturned: () => {},
  })
  keeper.setStreams([{ queue: 'default', letter: 'm' }])
  keeper.setConsumer('w1.1')
  await keeper.start(new AbortController().signal)
  let turning: NodeJS.Timeout | undefined
  return {
    scene,
    table,
    keeper,
    /** The event loop turns from now on, as far as the keeper knows. */
    turn: () => {
      turning = setInterval(() => table.beat(), 5)
    },
    block: () => clearInterval(turning),
    /** Enqueues a job and fetches it. */
    fetch: async (): Promise<string> => {
      await scene.enqueue('default', [{}])
      const [fetched] = await scene.fetch('default', 1)
      assert.ok(fetched)
      return fetched.entry
    },
    pending: async (entry: string): Promise<Pending | undefined> => {
      const [found] = await scene.command<[string, string, number, number][]>(
        'XPENDING',
        ':q:default',
        'w',
        entry,
        entry,
        '1',
      )
      return found && { consumer: found[1], idleMs: found[2], times: found[3] }
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(turning)
      servers.proxy.heal({ isLost: true })
      await keeper.stop()
      scene.close()
    },
  }
}

test('a process whose event loop is blocked for longer than maxBlocked loses the lease of a job without a timeout', async () => {
  await using kept = await startKeeper('blocked-untimed')
  const { table } = kept
  const entry = await kept.fetch()
  const slot = table.hold(0, entry, performance.now())
  assert.ok(table.start(slot, Number.POSITIVE_INFINITY))
  kept.turn()
  const startedAt = performance.now()
  const goesOn = async () => (await kept.pending(entry))?.times ?? 0
  await waitFor(() => performance.now() - startedAt > MAX_BLOCKED_MS + LEASE_MS, { describe: 'the time to pass' })
  const times = await goesOn()
  await waitFor(async () => (await goesOn()) > times, { describe: 'a renewal while the loop turns' })

  kept.block()
  await waitFor(async () => ((await kept.pending(entry))?.idleMs ?? 0) >= LEASE_MS, {
    timeoutMs: (MAX_BLOCKED_MS + LEASE_MS) * 4,
    describe: 'the lease to end',
  })
  table.beat()
  await waitFor(async () => ((await kept.pending(entry))?.idleMs ?? LEASE_MS) < LEASE_MS, {
    describe: 'a renewal after the loop has turned again',
  })
})

test('a process whose event loop is blocked keeps all its leases while a job runs within its timeout, and no longer', async () => {
  await using kept = await startKeeper('blocked-timed')
  const { table } = kept
  const [untimed, timed] = [await kept.fetch(), await kept.fetch()]
  const startedAt = performance.now()
  const until = startedAt + MAX_BLOCKED_MS + LEASE_MS * 3
  assert.ok(table.start(table.hold(0, untimed, startedAt), Number.POSITIVE_INFINITY))
  assert.ok(table.start(table.hold(0, timed, startedAt), until))
  const idle = async () => {
    const both = await Promise.all([kept.pending(untimed), kept.pending(timed)])
    return both.map((pending) => pending?.idleMs ?? Number.POSITIVE_INFINITY)
  }
  // The loop never turns.
  let longest = 0
  await waitFor(async () => {
    const now = performance.now()
    longest = Math.max(longest, ...(await idle()))
    return now > until - LEASE_MS / 3
  }, { describe: 'the timeout to come near' }) // biome-ignore format: one call
  assert.ok(longest < LEASE_MS, `the leases were renewed all the time; once ${longest} ms passed`)
  await waitFor(async () => (await idle()).every((ms) => ms >= LEASE_MS), {
    timeoutMs: LEASE_MS * 6,
    describe: 'both leases to end',
  })
})

for (const fate of ['is lost', 'arrives late']) {
  test(`what was taken from an earlier session is left alone in the next one, whose hand-back ${fate}`, async () => {
    await using kept = await startKeeper(`unreturned-${fate.replaceAll(' ', '-')}`)
    const { scene, table, keeper } = kept
    // What the keeper hands back lies in the network, from the first try on, until it is lost with its connection or arrives.
    servers.proxy.setFaults({
      kind: 'hole',
      direction: 'toServer',
      name: /:keeper$/,
      from: new RegExp(loadScripts().release.sha),
    })
    const entry = await kept.fetch()
    kept.turn()
    const slot = table.hold(0, entry, performance.now())
    await waitFor(() => !table.isHeld(slot), { describe: 'the keeper to take it' })
    await waitFor(() => servers.proxy.holding > 0, { describe: 'its word to lie in the network' })

    // The server comes back without the reading: the same entry is read again, in the next session, and runs.
    table.release(slot)
    await scene.command('XGROUP', 'SETID', ':q:default', 'w', '0')
    await scene.command('XACK', ':q:default', 'w', entry)
    const [again] = await scene.fetch('default', 1, 'm', 'w1.2')
    assert.equal(again?.entry, entry)
    keeper.setConsumer('w1.2')
    assert.ok(table.start(table.hold(0, entry, performance.now()), Number.POSITIVE_INFINITY))
    servers.proxy.heal({ isLost: fate === 'is lost' })

    await waitFor(async () => ((await kept.pending(entry))?.times ?? 0) >= 3, {
      describe: 'the lease of what runs to be renewed twice',
    })
    assert.equal((await kept.pending(entry))?.consumer, 'w1.2')
    assert.equal(await scene.command('XLEN', ':q:default:front'), 0, 'nothing was handed back')
  })
}

test('what a new session holds is handed back in its name, though the keeper has much to hear before', async () => {
  await using kept = await startKeeper('much-to-hear')
  const { scene, table, keeper } = kept
  const main = { queue: 'default', letter: 'm' } as const
  const many = Array.from({ length: 200_000 }, () => main)
  for (let session = 2; session <= 5; session++) {
    const consumer = `w1.${session}`
    await scene.enqueue('default', [{}])
    const [fetched] = await scene.fetch('default', 1, 'm', consumer)
    assert.ok(fetched)
    table.beat()
    // While it hears the first, the others come: more than it hears in one turn of its event loop, so that its timers come between.
    keeper.setStreams(many)
    for (let message = 0; message < 1_500; message++) keeper.setStreams([main])
    keeper.setConsumer(consumer)
    const slot = table.hold(0, fetched.entry, performance.now() - HAND_BACK_MS * 2)
    await waitFor(async () => (await scene.command('XLEN', ':q:default:front')) === session - 1, {
      describe: 'the hand-back',
    })
    table.release(slot)
  }
})
