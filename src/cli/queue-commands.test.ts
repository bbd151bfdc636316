import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Project } from '../../test/support/command-line.ts'
import { QueueScene } from '../../test/support/queue-scene.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import type { JobPage } from '../queue/inspector/job-list.ts'
import type { JobView } from '../queue/inspector/job-view.ts'

let redis: RedisServer
let project: Project
before(async () => {
  redis = await startRedis()
  project = await Project.make({ REDIS_URL: redis.url })
})
after(async () => {
  await project.remove()
  await redis.stop()
})

let scenes = 0
async function openScene() {
  const scene = await QueueScene.open(redis.url, `cli${++scenes}`)
  const moca = (...args: string[]) => project.run([...args, '--namespace', scene.namespace])
  return { scene, moca, [Symbol.dispose]: () => scene.close() }
}

const id = (place: string | undefined) => `default.0.${place}`

/** Dead, waiting, delayed: `count` of each. */
async function fill(scene: QueueScene, count: number) {
  const dead = await scene.enqueue(
    'default',
    Array.from({ length: count }, (_, n) => ({ type: 'mail.send', payload: { n } })),
  )
  await scene.bury('default', await scene.fetch('default', count))
  const waiting = await scene.enqueue(
    'default',
    Array.from({ length: count }, () => ({ type: 'import' })),
  )
  const delayed = await scene.enqueue(
    'default',
    Array.from({ length: count }, () => ({ type: 'import', in: 60_000 })),
  )
  return { dead, waiting, delayed }
}

test('status shows what stands where, as a table and as JSON', async () => {
  using it = await openScene()
  await fill(it.scene, 2)
  await it.scene.run('lose', { boot: '7-0', q: 'default', lost: 3, from: 0, to: 2_000 })
  const table = await it.moca('queue', 'status')
  assert.equal(table.code, 0)
  assert.match(table.stdout, /^QUEUE +WAITING +ACTIVE +DELAYED +GATED +DEAD +COMPLETED +ACCEPTED +OLDEST WAITING\n/)
  assert.match(table.stdout, /^default +2 +0 +2 +0 +2 +0 +6 +[\d.]+ m?s$/m)
  assert.match(table.stdout, /Redis forgot at least 3, accepted after 1970-01-01T00:00:00\.000Z/)

  const json = await it.moca('queue', 'status', '--json')
  const { namespace, queues, workers, losses } = JSON.parse(json.stdout)
  assert.equal(namespace, it.scene.namespace)
  const { queue, waiting, dead, accepted } = queues[0]
  assert.deepEqual({ queue, waiting, dead, accepted }, { queue: 'default', waiting: 2, dead: 2, accepted: 6 })
  assert.deepEqual([workers, losses.length], [[], 1])
})

test('status --watch goes on, waits for a server that is away, and ends with 0 on the first signal', async () => {
  const own = await startRedis({ appendonly: true })
  try {
    const watching = project.start(['queue', 'status', '--watch', '--json'], { REDIS_URL: own.url })
    await watching.said(/"queues".*\n.*"queues"/)
    await own.kill('SIGTERM')
    await watching.said(/Waiting for Redis: /)
    await own.start()
    const lines = watching.output.split('\n').length
    await watching.said(new RegExp(`(.*\\n){${lines + 1}}`))
    watching.kill('SIGINT')
    const { code, stdout } = await watching.ended
    assert.equal(code, 0)
    for (const line of stdout.trim().split('\n')) JSON.parse(line)
  } finally {
    await own.stop()
  }
})

test('list shows a page, says how to get the next one, and filters', async () => {
  using it = await openScene()
  const { dead } = await fill(it.scene, 3)
  const table = await it.moca('queue', 'list', '--limit', '2')
  assert.match(table.stdout, /^ID +STATUS +TYPE +KEY +ATTEMPT +SINCE\ndefault\.0\.\S+ +waiting +import/)
  const [, cursor = ''] = /--cursor (\S+)/.exec(table.stderr) ?? []
  const next = await it.moca('queue', 'list', '--limit', '1000', '--cursor', cursor, '--json')
  assert.equal((JSON.parse(next.stdout) as JobPage).jobs.length, 7)

  const filtered = await it.moca(
    'queue',
    'list',
    '--queue',
    'default',
    '--status',
    'dead',
    '--type',
    'mail.send',
    '--json',
  )
  assert.deepEqual(
    (JSON.parse(filtered.stdout) as JobPage).jobs.map((job) => job.id),
    dead.map(id),
  )
  assert.equal((await it.moca('queue', 'list', '--type', 'nothing')).stdout, 'No such jobs.\n')
})

test('inspect tells what a job does otherwise than its contract', async () => {
  using it = await openScene()
  const options = { n: 3, tm: 0, rt: { b: 'fixed', d: 3_600_000 } }
  const [place] = await it.scene.enqueue('default', [{ options }, {}])
  const text = await it.moca('queue', 'inspect', id(place))
  assert.match(text.stdout, /^Overrides +attempts 3, backoff fixed, delay 1h, timeout 0 ms$/m)
  const json = await it.moca('queue', 'inspect', id(place), '--json')
  const { overrides } = JSON.parse(json.stdout) as JobView
  assert.deepEqual(overrides, { attempts: 3, backoff: 'fixed', delayMs: 3_600_000, timeoutMs: 0 })
})

test('inspect tells everything of a job, and ends with 1 for one that is not there', async () => {
  using it = await openScene()
  const { dead } = await fill(it.scene, 1)
  const text = await it.moca('queue', 'inspect', id(dead[0]))
  assert.match(text.stdout, /^Job +default\.0\.\S+\nStatus +dead\nType +mail\.send\n/)
  assert.match(text.stdout, /Reason +attempts used up\n[^]*"n": 0[^]*Attempt 1 failed at .*Z\nError: boom\n {4}at x/)
  const json = await it.moca('queue', 'inspect', id(dead[0]), '--json')
  const view = JSON.parse(json.stdout) as JobView
  assert.deepEqual([view.id, view.payload, view.errors[0]?.message], [id(dead[0]), { n: 0 }, 'Error: boom'])

  const unknown = await it.moca('queue', 'inspect', id('1-1'), '--json')
  assert.deepEqual([unknown.code, unknown.stdout], [1, ''])
  const { error, code } = JSON.parse(unknown.stderr)
  assert.deepEqual([error, code], ['There is no job default.0.1-1.', 'not_found'])
  assert.match((await it.moca('queue', 'inspect', id('1-1'), '--quiet')).stderr, /^Error: {3}There is no job/)
  assert.equal((await it.moca('queue', 'inspect', 'nonsense')).code, 2)
})

test('retry starts one dead letter anew, or all that fit', async () => {
  using it = await openScene()
  const { dead, waiting } = await fill(it.scene, 3)
  const one = await it.moca('queue', 'retry', id(dead[0]), '--json')
  assert.deepEqual([one.code, JSON.parse(one.stdout)], [0, { id: id(dead[0]), result: 'retried' }])
  const notDead = await it.moca('queue', 'retry', id(waiting[0]))
  assert.deepEqual(
    [notDead.code, notDead.stdout],
    [1, `Job ${id(waiting[0])} is not dead: only dead letters are retried.\n`],
  )

  const dryRun = await it.moca('queue', 'retry', '--all-failed', '--dry-run', '--json')
  assert.deepEqual(JSON.parse(dryRun.stdout), { retried: 2, skipped: 0, keptKeys: 0, dryRun: true })
  assert.equal((await it.moca('queue', 'retry', '--all-failed', '--older-than', '1h')).stdout, 'Retried 0 jobs.\n')
  assert.equal(
    (await it.moca('queue', 'retry', '--all-failed', '--queue', 'default', '--type', 'mail.send')).stdout,
    'Retried 2 jobs.\n',
  )

  for (const wrong of [
    [],
    [id(dead[0]), '--all-failed'],
    [id(dead[0]), '--type', 'x'],
    ['--all-failed', '--older-than', 'soon'],
  ]) {
    assert.equal((await it.moca('queue', 'retry', ...wrong)).code, 2, wrong.join(' '))
  }
})

test('purge needs --force without a terminal, can be tried dry, and deletes what was chosen', async () => {
  using it = await openScene()
  await fill(it.scene, 3)
  const refused = await it.moca('queue', 'purge', '--queue', 'default')
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /there is no terminal to ask[^]*--force/)
  const dryRun = await it.moca('queue', 'purge', '--all', '--dry-run', '--json')
  assert.deepEqual(JSON.parse(dryRun.stdout), { purged: 9, skipped: 0, keptKeys: 0, dryRun: true })
  const dead = await it.moca('queue', 'purge', '--queue', 'default', '--status', 'dead', '--force', '--json')
  assert.deepEqual([dead.code, JSON.parse(dead.stdout)], [0, { purged: 3, skipped: 0, keptKeys: 0, dryRun: false }])
  assert.equal((await it.moca('queue', 'purge', '--all', '--type', 'import', '--force')).stdout, 'Purged 6 jobs.\n')
  assert.equal((await it.moca('queue', 'purge', '--all')).stdout, 'Purged 0 jobs.\n')
  for (const wrong of [[], ['--all', '--queue', 'default'], ['--all', '--status', 'active', '--force']]) {
    assert.equal((await it.moca('queue', 'purge', ...wrong)).code, 2, wrong.join(' '))
  }
})

test('a queue that nobody knows ends with 1 and the names of those that there are', async () => {
  using it = await openScene()
  await it.scene.enqueue('mail', [{}])
  for (const command of [
    ['queue', 'status'],
    ['queue', 'status', '--watch'],
    ['queue', 'list'],
    ['queue', 'retry', '--all-failed'],
    ['queue', 'purge', '--force'],
    ['verify'],
  ]) {
    const { code, stdout, stderr } = await it.moca(...command, '--queue', 'mali')
    assert.deepEqual([code, stdout], [1, ''], command.join(' '))
    const named = `There is no queue mali in namespace ${it.scene.namespace}; known are critical, default, long, mail.`
    assert.match(stderr, new RegExp(`^Error: {3}${named}\n[^]*Fix: {5}Did you mean mail\\?`), command.join(' '))
    // One that only the configuration knows is empty, and one that only Redis knows is there.
    for (const queue of ['long', 'mail'].filter(() => !command.includes('--watch')))
      assert.equal((await it.moca(...command, '--queue', queue)).code, 0, `${command.join(' ')} ${queue}`)
  }
})

test('status --queue shows one queue and its losses', async () => {
  using it = await openScene()
  await it.scene.enqueue('mail', [{}])
  await it.scene.run('lose', { boot: '7-0', q: 'default', lost: 3, from: 0, to: 2_000 })
  const { queues, losses } = JSON.parse((await it.moca('queue', 'status', '--queue', 'mail', '--json')).stdout)
  assert.deepEqual([queues.length, queues[0].queue, queues[0].waiting, losses], [1, 'mail', 1, []])
})

test('acknowledge-losses ends the finding, and is in the JSON', async () => {
  using it = await openScene()
  await it.scene.run('lose', { boot: '7-0', q: 'default', lost: 3, from: 0, to: 2_000 })
  assert.equal((await it.moca('verify')).code, 1)
  const done = await it.moca('queue', 'acknowledge-losses')
  assert.deepEqual([done.code, done.stderr], [0, ''])
  assert.match(done.stdout, /^Acknowledged 1 report of what Redis forgot/)
  assert.deepEqual(JSON.parse((await it.moca('queue', 'acknowledge-losses', '--json')).stdout), { acknowledged: 0 })
  assert.equal((await it.moca('verify')).code, 0)
  assert.doesNotMatch((await it.moca('queue', 'status')).stdout, /forgot/)
  const { losses } = JSON.parse((await it.moca('queue', 'status', '--json')).stdout)
  assert.match(losses[0].acknowledgedBy, /@/)
})

test('cancel takes back what has not started', async () => {
  using it = await openScene()
  const { waiting, dead } = await fill(it.scene, 1)
  assert.equal((await it.moca('queue', 'cancel', id(waiting[0]))).code, 0)
  const again = await it.moca('queue', 'cancel', id(dead[0]), '--json')
  assert.deepEqual([again.code, JSON.parse(again.stdout)], [1, { id: id(dead[0]), result: 'not_found' }])
})

test('dead letters that keep their keys are shown by list, inspect, retry and purge, and cancelled', async () => {
  using it = await openScene()
  const pair = (key: string) => [{ key, options: { b: 1 } }, { key }]
  const [first, behind, second, next] = await it.scene.enqueue('default', [...pair('a'), ...pair('b')])
  await it.scene.bury('default', await it.scene.fetch('default', 9))
  assert.match((await it.moca('queue', 'list')).stdout, new RegExp(`^${id(first)} +dead, keeps key +test.job +a `, 'm'))
  const inspected = await it.moca('queue', 'inspect', id(first))
  assert.match(inspected.stdout, /^Keeps key +1 job behind it waits until it is retried, cancelled or purged$/m)
  const waiting = (await it.moca('queue', 'inspect', id(behind))).stdout
  assert.match(waiting, new RegExp(`^Waits for +${id(first)}, a dead letter that keeps the key$`, 'm'))
  const retry = await it.moca('queue', 'retry', '--all-failed', '--dry-run')
  assert.equal(retry.stdout, 'Would retry 2 jobs, 2 of which kept their keys.\n')
  assert.equal((await it.moca('verify')).code, 0)
  assert.deepEqual((await it.moca('queue', 'cancel', id(first))).stdout, `Job ${id(first)} was cancelled.\n`)
  const purge = await it.moca('queue', 'purge', '--all', '--status', 'dead', '--dry-run')
  assert.equal(purge.stdout, 'Would purge 1 job. 1 of them keeps a key, whose next job runs then.\n')
  const purged = await it.moca('queue', 'purge', '--all', '--status', 'dead', '--force', '--json')
  assert.deepEqual(JSON.parse(purged.stdout), { purged: 1, skipped: 0, keptKeys: 1, dryRun: false })
  const front = (await it.scene.fetch('default', 9, 'f')).map(({ place }) => place)
  assert.deepEqual(front, [behind, next])
  assert.equal((await it.moca('queue', 'inspect', id(second))).code, 1)
})

test('verify ends with 1 and names what is wrong', async () => {
  using it = await openScene()
  const { delayed } = await fill(it.scene, 2)
  const good = await it.moca('verify')
  assert.equal(good.code, 0)
  assert.match(good.stdout, /^default +ok +6 +6 +6$/m)
  await it.scene.command('ZREM', ':q:default:later', delayed[0] ?? '')
  const bad = await it.moca('verify')
  assert.equal(bad.code, 1)
  assert.match(
    bad.stdout,
    new RegExp(`record_nowhere {2}${id(delayed[0])}\n {2}expected .*\n {2}found .*\n {2}fix +redis-cli ZADD`),
  )
  const json = await it.moca('verify', '--queue', 'default', '--json')
  const { ok, findings } = JSON.parse(json.stdout)
  assert.deepEqual([json.code, ok, findings.length, findings[0].kind], [1, false, 1, 'record_nowhere'])
})
