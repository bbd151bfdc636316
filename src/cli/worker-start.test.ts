import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Project, type Running } from '../../test/support/command-line.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { defineJob } from '../job/job.ts'
import { createMoca, type Moca } from '../moca.ts'

const FILES = {
  'jobs.ts': `
    import { defineJob } from 'SRC/index.ts'
    export const greet = defineJob({ type: 'greet' })
    export const wait = defineJob({ type: 'wait', queue: 'long', retry: { attempts: 1 } })`,
  'handlers.ts': `
    import { handle } from 'SRC/index.ts'
    import { greet, wait } from './jobs.ts'
    export default [handle(greet, ({ payload, log }) => log.info({ name: payload, token: 'hunter2' }, 'greeted'))]
    // Deaf to its signal.
    export const waitHandler = handle(wait, ({ log }) => { log.info({}, 'waiting'); return new Promise(() => {}) })
    setInterval(() => {}, 1e9) // something that keeps a process alive, as a database pool does`,
  'moca.config.ts': `
    import { defineApp, defineConfig } from 'SRC/index.ts'
    import { greet, wait } from './jobs.ts'
    const app = defineApp({ name: 'shop', jobs: [greet, wait], handlers: () => import('./handlers.ts') })
    const stopTimeout = Number(process.env.STOP_TIMEOUT_MS ?? 200)
    export default defineConfig({ apps: [app], worker: { softTimeout: 100, stopTimeout, lease: '2s' } })`,
}

const greet = defineJob({ type: 'greet' })
const wait = defineJob({ type: 'wait', queue: 'long' })
const stranger = defineJob({ type: 'stranger' })

let redis: RedisServer
let project: Project
before(async () => {
  redis = await startRedis()
  project = await Project.make({ REDIS_URL: redis.url }, FILES)
})
after(async () => {
  await project.remove()
  await redis.stop()
})

async function openMoca(namespace: string): Promise<Moca> {
  return createMoca({ namespace, redis: { url: redis.url } }).connect()
}

const worker = (namespace: string, ...args: string[]) =>
  project.start(['worker', 'start', '--namespace', namespace, ...args])

async function portOf(running: Running): Promise<string> {
  const [, port = ''] = await running.said(/"port":(\d+)/)
  return `http://127.0.0.1:${port}`
}

test('--burst runs what there is, leaves what it has no handler for, and ends with 0', async () => {
  await using moca = await openMoca('burst')
  await moca.queue.enqueueMany(
    greet,
    Array.from({ length: 300 }, (_, n) => ({ payload: `n${n}` })),
  )
  await moca.queue.enqueueMany(stranger, [{ payload: 1 }])
  const { code, stdout } = await worker('burst', '--burst').ended
  assert.equal(code, 0, stdout)
  const { completed, waiting, aside } = (await moca.queue.counts()).default ?? {}
  assert.deepEqual({ completed, waiting, aside }, { completed: 300, waiting: 1, aside: { stranger: 1 } })
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.equal(lines.filter(({ msg, token }) => msg === 'greeted' && token === '***').length, 300)
  assert.ok(lines.every(({ level, time }) => level && time))
})

test('works until SIGTERM, then ends with 0; what still runs goes back uncharged', async () => {
  await using moca = await openMoca('term')
  const running = worker('term')
  const { id } = await moca.queue.enqueue(wait, null)
  await running.said(/"waiting"/)
  running.kill('SIGTERM')
  const { code, stdout } = await running.ended
  assert.equal(code, 0, stdout)
  const view = await moca.queue.inspect(id)
  assert.deepEqual([view?.status, view?.attempt, view?.releases], ['waiting', 0, 1])
  assert.deepEqual(await moca.queue.workers(), [])
})

for (const [first, second] of [
  ['SIGINT', 'SIGINT'],
  ['SIGTERM', 'SIGTERM'],
  ['SIGTERM', 'SIGINT'],
] as const) {
  test(`${second} after ${first} ends it at once with 130, and its job is left to the others`, async () => {
    const namespace = `twice-${first}-${second}`.toLowerCase()
    await using moca = await openMoca(namespace)
    // = moca worker start. By itself the stop would take ten minutes: the job is deaf.
    const env = { STOP_TIMEOUT_MS: '600000' }
    const running = project.start(['--namespace', namespace], env, 'cli/moca-worker.ts')
    const { id } = await moca.queue.enqueue(wait, null)
    await running.said(/"waiting"/)
    running.kill(first)
    await running.said(/Asked to stop/)
    running.kill(second)
    assert.equal((await running.ended).code, 130)
    assert.equal((await moca.queue.inspect(id))?.status, 'active') // until its lease has ended
  })
}

test('waits for a server that is not there yet, and says so', async () => {
  const own = await startRedis()
  try {
    await own.kill('SIGTERM')
    const running = project.start(['worker', 'start', '--burst'], { REDIS_URL: own.url })
    await running.said(/Waiting for Redis/)
    await own.start()
    assert.equal((await running.ended).code, 0)
    const stopped = project.start(['worker', 'start'], { REDIS_URL: 'redis://127.0.0.1:1' })
    await stopped.said(/Waiting for Redis/)
    stopped.kill('SIGTERM')
    assert.equal((await stopped.ended).code, 0)
  } finally {
    await own.stop()
  }
})

test('answers probes: ready while it works, not ready without Redis, and counts what it did', async () => {
  const own = await startRedis({ appendonly: true })
  try {
    await using moca = await createMoca({ redis: { url: own.url } }).connect()
    const running = project.start(['worker', 'start', '--health-port', '0', '--health-host', '127.0.0.1'], {
      REDIS_URL: own.url,
    })
    const base = await portOf(running)
    const ready = async () => (await fetch(`${base}/readyz`)).status
    assert.equal((await fetch(`${base}/healthz`)).status, 200)
    await waitFor(async () => (await ready()) === 200, { timeoutMs: 15_000, describe: 'the worker to be ready' })
    await moca.queue.enqueue(greet, 'Ada')
    await running.said(/greeted/)
    const metrics = async () => (await fetch(`${base}/metrics`)).text()
    const completed = /^moca_jobs_completed_total\{queue="default",type="greet"\} 1$/m
    const text = await waitFor(async () => ((await metrics()).match(completed) ? metrics() : undefined))
    assert.match(text, /^moca_queue_jobs\{queue="default",state="waiting"\} 0$/m)
    assert.match(text, /^moca_job_duration_seconds_count\{queue="default",type="greet"\} 1$/m)
    assert.match(text, /^process_cpu_seconds_total/m)
    assert.equal((await fetch(`${base}/`)).status, 404)

    await own.kill('SIGTERM')
    await waitFor(async () => (await ready()) === 503, { timeoutMs: 15_000, describe: 'the worker to be not ready' })
    assert.match(await (await fetch(`${base}/readyz`)).text(), /"not ready","reasons":\["it is not connected to Redis"/)
    assert.match(await metrics(), /^moca_worker_connected 0$/m)
    await own.start()
    await waitFor(async () => (await ready()) === 200, { timeoutMs: 15_000, describe: 'the worker to be ready again' })
    running.kill('SIGTERM')
    assert.equal((await running.ended).code, 0)
  } finally {
    await own.stop()
  }
})

test('serves only the queues that were named', async () => {
  await using moca = await openMoca('some')
  await moca.queue.enqueue(wait, null)
  await moca.queue.enqueue(greet, 'Ada')
  const running = await worker('some', '--burst', '--queues', 'critical,default', '--concurrency', '3').ended
  assert.equal(running.code, 0)
  assert.match(running.stdout, /"queues":\["critical:3","default:3"\]/)
  const counts = await moca.queue.counts()
  assert.deepEqual([counts.default?.completed, counts.long?.waiting], [1, 1])
})

test('warns of handlers for a queue that the configuration does not know', async () => {
  const stray = await Project.make(
    { REDIS_URL: redis.url },
    {
      ...FILES,
      'handlers.ts': `
    import { defineJob, handle } from 'SRC/index.ts'
    import { greet, wait } from './jobs.ts'
    export default [greet, wait, defineJob({ type: 'fax', queue: 'mail' })].map((job) => handle(job, () => {}))`,
    },
  )
  try {
    const { stdout } = await stray.run(['worker', 'start', '--burst', '--namespace', 'stray', '--queues', 'default'])
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ types }) => types !== undefined)
    assert.deepEqual(
      lines.map(({ level, types, queues }) => [level, types, queues]),
      [
        ['info', ['wait'], ['long']],
        ['warn', ['fax'], ['mail']],
      ],
    )
  } finally {
    await stray.remove()
  }
})

test('ends when Redis does not let it in at the start; when it does not any more later, it goes on trying', async () => {
  const locked = await startRedis()
  try {
    await locked.cli(['CONFIG', 'SET', 'requirepass', 'hunter2'])
    const { host } = new URL(locked.url)
    const start = (secret: string) =>
      project.start(['worker', 'start', '--namespace', 'locked'], { REDIS_URL: `redis://:${secret}@${host}` })
    const wrong = await start('hunter3').ended
    assert.equal(wrong.code, 3, wrong.stderr)
    assert.match(wrong.stderr, /lets nobody in with this user and password: WRONGPASS[^]*Fix:/)
    assert.doesNotMatch(wrong.stderr + wrong.stdout, /hunter/)

    const right = start('hunter2')
    await right.said(/The worker works/)
    await locked.cli(['-a', 'hunter2', 'CONFIG', 'SET', 'requirepass', 'another'])
    await locked.cli(['-a', 'another', 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])
    await right.said(/Could not connect; trying again/)
    await right.said(/lets nobody in with this user and password: WRONGPASS/)
    await locked.cli(['-a', 'another', 'CONFIG', 'SET', 'requirepass', 'hunter2'])
    await right.said(/"msg":"Connected"|Connected/)
    right.kill('SIGTERM')
    const { code, stdout, stderr } = await right.ended
    assert.equal(code, 0, stdout + stderr)
    assert.doesNotMatch(stdout + stderr, /hunter/)
  } finally {
    await locked.stop()
  }
})

test('refuses what cannot work, before any work', async () => {
  const empty = await Project.make({ REDIS_URL: redis.url }, { 'moca.config.mjs': `export default {}` })
  const broken = await Project.make(
    { REDIS_URL: redis.url },
    {
      ...FILES,
      'handlers.ts': `throw new Error('out of beans')`,
    },
  )
  const refused = async (running: Running, code: number, message: RegExp) => {
    const ended = await running.ended
    assert.equal(ended.code, code, ended.stderr)
    assert.match(ended.stderr, message)
  }
  try {
    await refused(empty.start(['worker', 'start']), 2, /The configuration has no apps[^]*Fix:/)
    await refused(broken.start(['worker', 'start']), 2, /The handlers of app shop do not load: out of beans/)
    await refused(
      worker('refuse', '--queues', 'mail'),
      2,
      /There is no queue mail in the configuration; known are critical, default, long/,
    )
    await refused(worker('refuse', '--queues', 'defualt'), 2, /There is no queue defualt .*; did you mean default\?/)
    await refused(worker('refuse', '--concurrency', 'many'), 2, /--concurrency must be a whole number/)
    await redis.cli(['SET', '{moca:newer}:layout', '9'])
    await refused(worker('newer'), 1, /layout 9; this release of Moca knows layout 1/)
    const port = new URL(redis.url).port
    await refused(
      worker('refuse', '--health-port', port, '--health-host', '127.0.0.1'),
      2,
      /Cannot answer probes on port \d+/,
    )
  } finally {
    await empty.remove()
    await broken.remove()
  }
})
