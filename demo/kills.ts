import { setTimeout as wait } from 'node:timers/promises'
import type { Client } from 'pg'
import type { Crew } from './crew.ts'
import type { RedisServer } from '../test/support/redis-server.ts'
import { waitFor } from '../test/support/wait-for.ts'
import type { Kill, Rewind } from './account/evidence.ts'
import { copyState, plantByProcess, plantInIndex, plantInLog, restoreState, walkState } from './faults.ts'
import { readDeliveryLedger } from './delivery-ledger.ts'
import { readLedger } from './ledger.ts'
import { monotonicUs } from './monotonic.ts'
import type { Fault } from './options.ts'
import { staleLines } from './account/order-of-keys.ts'
import type { RawRedis } from './raw-redis.ts'
import { heldBy } from './raw-walk.ts'
import { indexWriterOf, unsettledOf } from './index-work.ts'
import { leaderOf, serverMsOf, untilNextInstant } from './schedule-work.ts'
import { underWayOf } from './relay-work.ts'
import type { DemoProcess } from './demo-process.ts'

/** What is killed, stopped and damaged, and when: each while it holds unfinished work, never after a fixed time. */

export interface Scene {
  readonly namespace: string
  readonly redis: RedisServer
  readonly raw: RawRedis
  readonly workers: Crew
  readonly relays: Crew
  readonly schedulers: Crew
  /** Plain SQL, and where it goes. */
  readonly sql: Client
  readonly postgresUrl: string
  readonly ledgers: string
  readonly deliveries: string
  readonly documents: number
  readonly plant: Fault | undefined
  /** Rows imported so far. */
  readonly importedRows: () => number
  readonly elapsedSeconds: () => number
  readonly say: (text: string) => void
  readonly signal: AbortSignal
}

/** What was done; filled in as it happens, so that it is known also when the plan is cut short. */
export interface Deeds {
  readonly kills: Kill[]
  redisRestarts: number
  stoppedPid: number | undefined
  rewind: Rewind | undefined
  /** What could not be done. */
  readonly failures: string[]
}

const QUEUES = ['critical', 'default', 'long']
const PATIENCE_MS = 45_000
/** The leader is killed so long before an instant at most. */
const LEFT_MS = 500

/** Does all of it, or notes what could not be done: the account then does not add up. */
export async function carryOut(scene: Scene, deeds: Deeds): Promise<void> {
  try {
    await doAll(scene, deeds)
  } catch (error) {
    scene.say(`The plan was cut short: ${String(error)}`)
    deeds.failures.push(String(error))
  }
}

async function doAll(scene: Scene, deeds: Deeds): Promise<void> {
  const [sleeper, victim] = scene.workers.running
  if (!victim || !sleeper) throw new Error('The plan needs two workers or more')
  await waitFor(() => scene.importedRows() >= scene.documents * 0.1, {
    timeoutMs: PATIENCE_MS,
    describe: () => `a tenth of ${scene.documents} rows to be imported (${scene.importedRows()} so far)`,
  })
  // While most is written: what a relay has under way is there for a few milliseconds at a time.
  await killRelay(scene, deeds)
  await killIndexWriter(scene, deeds)
  const leader = await killLeader(scene, deeds)
  await killWorker(scene, deeds, victim)
  const planted = plantDuringWork(scene, deeds)
  await stopPastLease(scene, deeds, sleeper)
  await planted
  await waitUntilRescued(scene, [victim])
  await waitForAnotherLeader(scene, leader)
  if (scene.plant === 'redis-rewound') await rewindRedis(scene, deeds)
  else await killRedis(scene, deeds)
}

async function killWorker(scene: Scene, deeds: Deeds, worker: DemoProcess): Promise<void> {
  const held = await freezeAtWork(scene, worker, QUEUES)
  await worker.kill()
  note(scene, deeds, { process: worker.name, signal: 'SIGKILL' }, `with ${held} unfinished jobs`)
  scene.workers.start()
}

/** Others take over its lanes, and find batches that were to be sent. */
async function killRelay(scene: Scene, deeds: Deeds): Promise<void> {
  const { sql, raw, namespace, relays } = scene
  const [relay] = relays.running
  if (!relay) throw new Error('The plan needs a relay')
  const lanes = await freezeWhen(relay, () => underWayOf(sql, raw, namespace, relay.pid), 'have batches under way')
  await relay.kill()
  note(scene, deeds, { process: relay.name, signal: 'SIGKILL' }, `with batches of ${lanes} lanes under way`)
  relays.start()
}

/** Another one takes the index, and brings again what was under way. */
async function killIndexWriter(scene: Scene, deeds: Deeds): Promise<void> {
  const { sql, relays } = scene
  const writer = await waitFor(
    async () => {
      const pid = await indexWriterOf(sql)
      return relays.running.find((relay) => relay.pid === pid)
    },
    { timeoutMs: PATIENCE_MS, intervalMs: 20, describe: 'a relay to keep the index' },
  )
  const held = await freezeWhen(writer, () => unsettledOf(sql, writer.pid), 'have documents under way')
  await writer.kill()
  note(
    scene,
    deeds,
    { process: writer.name, signal: 'SIGKILL', as: 'indexing' },
    `which kept the search index, with ${held} documents under way`,
  )
  relays.start()
}

/** Shortly before an instant, which comes while nobody leads. Resolves with who led. */
async function killLeader(scene: Scene, deeds: Deeds): Promise<string> {
  const { raw, namespace, schedulers } = scene
  const { leader, id, leftMs } = await waitFor(
    async () => {
      const leftMs = untilNextInstant(await serverMsOf(raw))
      const id = leftMs < LEFT_MS ? await leaderOf(raw, namespace) : undefined
      if (id === undefined) return undefined
      for (const scheduler of schedulers.running)
        if (await scheduler.hasLogged(`"scheduler":"${id}"`)) return { leader: scheduler, id, leftMs }
      return undefined
    },
    { timeoutMs: PATIENCE_MS, intervalMs: 20, describe: 'a scheduler to lead shortly before an instant' },
  )
  await leader.kill()
  note(
    scene,
    deeds,
    { process: leader.name, signal: 'SIGKILL', as: 'leading' },
    `which led, ${leftMs} ms before an instant`,
  )
  schedulers.start()
  return id
}

async function waitForAnotherLeader({ raw, namespace }: Scene, leader: string): Promise<void> {
  const hasMoved = async () => {
    const now = await leaderOf(raw, namespace)
    return now !== undefined && now !== leader
  }
  await waitFor(hasMoved, { timeoutMs: PATIENCE_MS, intervalMs: 50, describe: 'another scheduler to lead' })
}

/** Stops a worker until others have taken over what it was doing, then lets it go on and hand in what nobody wants any more. */
async function stopPastLease(scene: Scene, deeds: Deeds, worker: DemoProcess): Promise<void> {
  const { ledgers, deliveries } = scene
  // A report takes a while, so it is most likely running, not merely fetched. Should it not be: again.
  for (let attempt = 1; attempt <= 3; attempt++) {
    const held = await freezeAtWork(scene, worker, ['long'])
    deeds.stoppedPid = worker.pid
    note(scene, deeds, { process: worker.name, signal: 'SIGSTOP' }, `with ${held} unfinished reports`)
    await waitUntilRescued(scene, [worker])
    const continuedAtUs = monotonicUs()
    worker.thaw()
    note(scene, deeds, { process: worker.name, signal: 'SIGCONT' }, 'after others had done its work')
    const handedIn = async () => {
      const lines = [...staleLines(await readLedger(ledgers)), ...staleLines(await readDeliveryLedger(deliveries))]
      return lines.filter((line) => line.pid === worker.pid && line.us > continuedAtUs).length
    }
    const refused = await waitFor(handedIn, { timeoutMs: 5_000, intervalMs: 200 }).catch(() => 0)
    if (refused > 0) {
      scene.say(`${worker.name} handed in ${refused} stale results; the account will show that they did not count`)
      return
    }
  }
}

/** Until others have taken over, and done, what these workers held. */
async function waitUntilRescued({ raw, namespace }: Scene, workers: readonly DemoProcess[]): Promise<void> {
  await waitFor(
    async () => {
      for (const { pid } of workers) if ((await heldBy(raw, namespace, pid, QUEUES)) > 0) return false
      for (const queue of QUEUES) {
        for (const stream of ['suspect', 'alone']) {
          if ((await raw.send<number>('XLEN', `{moca:${namespace}}:q:${queue}:${stream}`)) > 0) return false
        }
      }
      return true
    },
    {
      timeoutMs: PATIENCE_MS,
      intervalMs: 50,
      describe: `others to take over and do the work of ${workers.map(({ name }) => name).join(', ')}`,
    },
  )
}

async function killRedis(scene: Scene, deeds: Deeds): Promise<void> {
  await waitUntilBusy(scene)
  await scene.redis.kill('SIGKILL')
  note(scene, deeds, { process: 'redis', signal: 'SIGKILL' }, 'at work')
  await restartRedis(scene, deeds)
}

/** Redis comes back from files that are older than what it had confirmed. */
async function rewindRedis(scene: Scene, deeds: Deeds): Promise<void> {
  await waitUntilBusy(scene)
  const older = await copyState(scene.redis)
  // Of those that are enqueued directly: what came by the log is sent again, and not lost.
  const before = scene.importedRows()
  const wanted = Math.max(10, Math.round(scene.documents / 200))
  await waitFor(() => scene.importedRows() >= before + wanted, {
    timeoutMs: PATIENCE_MS,
    describe: `${wanted} more rows to be imported`,
  })
  await waitUntilBusy(scene)
  await scene.redis.kill('SIGKILL')
  note(scene, deeds, { process: 'redis', signal: 'SIGKILL' }, 'at work')
  await restoreState(scene.redis, older)
  const found = await walkState(older, scene.namespace)
  deeds.rewind = { frozenAtUs: older.frozenAtUs, restartedAtUs: monotonicUs(), walk: found }
  scene.say('Planted: the files of Redis were replaced by an older copy')
  await restartRedis(scene, deeds)
}

async function restartRedis(scene: Scene, deeds: Deeds): Promise<void> {
  await scene.redis.start()
  deeds.redisRestarts++
  scene.say('Redis runs again')
}

async function plantDuringWork(scene: Scene, deeds: Deeds): Promise<void> {
  const { plant, redis, namespace, postgresUrl, signal, say } = scene
  if (plant === undefined || plant === 'redis-rewound') return
  const damage = () => {
    if (plant === 'index-document-dropped') return plantInIndex(postgresUrl, signal)
    if (plant === 'log-row-deleted' || plant === 'events-swapped') return plantInLog(plant, postgresUrl, signal)
    return plantByProcess(plant, redis.url, namespace, signal)
  }
  try {
    say(`Planted: ${await damage()}`)
  } catch (error) {
    say(`${plant} could not be planted: ${String(error)}`)
    deeds.failures.push(`${plant} could not be planted: ${String(error)}`)
  }
}

/** Stops a worker at a moment at which it holds unfinished jobs of these queues; how many. */
function freezeAtWork({ raw, namespace }: Scene, worker: DemoProcess, queues: readonly string[]): Promise<number> {
  const what = `hold unfinished jobs of ${queues.join(', ')}`
  return freezeWhen(worker, () => heldBy(raw, namespace, worker.pid, queues), what)
}

/** Stops a process at a moment at which it has something to do; how much. */
function freezeWhen(process: DemoProcess, look: () => Promise<number>, what: string): Promise<number> {
  return waitFor(
    async () => {
      // Looked at while it stands still: one with little to do is at work for a few milliseconds at a time.
      await process.freeze()
      let held = await look()
      if (held > 0) {
        await wait(30) // what it had sent before it stood still arrives meanwhile
        held = await look()
      }
      if (held === 0) process.thaw()
      return held
    },
    { timeoutMs: PATIENCE_MS, intervalMs: 5, describe: `${process.name} to ${what}` },
  )
}

async function waitUntilBusy({ raw, namespace, workers }: Scene): Promise<void> {
  await waitFor(
    async () => {
      for (const { pid } of workers.running) if ((await heldBy(raw, namespace, pid, QUEUES)) > 0) return true
      return false
    },
    { timeoutMs: PATIENCE_MS, intervalMs: 2, describe: 'a worker to be at work' },
  )
}

function note(scene: Scene, deeds: Deeds, kill: Omit<Kill, 'atSeconds'>, circumstances: string): void {
  deeds.kills.push({ ...kill, atSeconds: Math.round(scene.elapsedSeconds() * 10) / 10 })
  scene.say(`${kill.signal} to ${kill.process} ${circumstances}`)
}
