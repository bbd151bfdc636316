import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { cancel, defineJob, fail, handle, type HandlerContext, type JobView, retry, snooze } from '../../src/index.ts'
import { storedBytes } from '../../src/job/stored-text.ts'
import { ENTRY_LIMIT_BYTES } from '../../src/queue/entry.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { gate, openBench } from '../support/workbench.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const job = defineJob({ type: 'flaky', retry: { attempts: 4, delay: 1, jitter: 0 } })

test('a failed attempt is retried until the job succeeds', async () => {
  await using bench = openBench(redis)
  const attempts: number[] = []
  const handler = handle(job, async ({ attempt }) => {
    attempts.push(attempt)
    if (attempt < 3) throw new Error(`failure ${attempt}`)
  })
  await bench.startWorker({ handlers: [handler] })
  const { id } = await bench.moca.queue.enqueue(job, 1)
  const events = await bench.settled(3)
  assert.deepEqual(attempts, [1, 2, 3])
  assert.deepEqual(
    events.map((event) => [event.id, event.attempt, event.outcome]),
    [
      [id, 1, 'delayed'],
      [id, 2, 'delayed'],
      [id, 3, 'completed'],
    ],
  )
  const { completed, retried, dead } = await bench.counts()
  assert.deepEqual({ completed, retried, dead }, { completed: 1, retried: 2, dead: 0 })
})

test('waits longer after each failure', async () => {
  await using bench = openBench(redis)
  const patient = defineJob({ type: 'patient', retry: { attempts: 4, delay: 40, jitter: 0 } })
  const starts: number[] = []
  const handler = handle(patient, () => {
    starts.push(Date.now())
    throw new Error('no')
  })
  await bench.startWorker({ handlers: [handler] })
  await bench.moca.queue.enqueue(patient, 1)
  await bench.settled(1, 'dead')
  const waits = starts.slice(1).map((at, index) => at - (starts[index] ?? 0))
  assert.equal(waits.length, 3)
  for (const [index, least] of [40, 80, 160].entries()) assert.ok((waits[index] ?? 0) >= least - 1, `${waits}`)
})

test('a job that used up its attempts is a dead letter with its history', async () => {
  await using bench = openBench(redis)
  class Refused extends Error {
    override name = 'Refused'
  }
  const handler = handle(job, ({ attempt }) => {
    throw new Refused(`failure ${attempt}`)
  })
  await bench.startWorker({ handlers: [handler] })
  const { id } = await bench.moca.queue.enqueue(job, { order: 42 }, { headers: { trace: 't' } })
  await bench.settled(1, 'dead')
  const view = await bench.moca.queue.inspect(id)
  assert.deepEqual(
    [view?.status, view?.reason, view?.attempt, view?.payload, view?.headers, view?.queue, view?.type],
    ['dead', 'attempts used up', 4, { order: 42 }, { trace: 't' }, 'default', 'flaky'],
  )
  assert.deepEqual(
    view?.errors.map(({ attempt, message }) => [attempt, message]),
    [1, 2, 3, 4].map((attempt) => [attempt, `Refused: failure ${attempt}`]),
  )
  for (const { at, stack } of view?.errors ?? []) {
    assert.ok(at >= (view?.enqueuedAt ?? new Date(0)) && at <= (view?.diedAt ?? new Date(0)))
    assert.match(stack ?? '', /failures\.test/)
  }
})

test('a dead letter can be started anew, with all attempts and its history', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  let isMended = false
  const attempts: number[] = []
  const handler = handle(job, ({ attempt }) => {
    attempts.push(attempt)
    if (!isMended) throw fail('broken', { retry: false })
  })
  await bench.startWorker({ handlers: [handler] })
  const { id } = await queue.enqueue(job, 1)
  await bench.settled(1, 'dead')
  assert.equal(await queue.cancel(id), 'not_found')
  isMended = true
  assert.equal(await queue.retry(id), 'retried')
  await bench.settled(1, 'completed')
  assert.deepEqual(attempts, [1, 1])
  assert.equal(await queue.retry(id), 'not_found')
  const { accepted, completed, dead, died, revived } = await bench.counts()
  assert.deepEqual(
    { accepted, completed, dead, died, revived },
    { accepted: 1, completed: 1, dead: 0, died: 1, revived: 1 },
  )
})

test('of many failures the first and the last seven are kept, each bounded', async () => {
  await using bench = openBench(redis)
  const stubborn = defineJob({ type: 'stubborn', retry: { attempts: 20, delay: 0 } })
  const handler = handle(stubborn, ({ attempt }) => {
    throw new Error(`${attempt} ${'😀'.repeat(3_000)}`)
  })
  await bench.startWorker({ handlers: [handler] })
  const { id } = await bench.moca.queue.enqueue(stubborn, 1)
  await bench.settled(1, 'dead', { timeoutMs: 20_000 })
  const errors = (await bench.moca.queue.inspect(id))?.errors ?? []
  assert.deepEqual(
    errors.map(({ attempt }) => attempt),
    [1, 14, 15, 16, 17, 18, 19, 20],
  )
  for (const { message, stack = '' } of errors) {
    assert.ok(storedBytes(message) <= 360)
    assert.ok(stack.startsWith(`${message}\n    at `))
  }
})

test('a job stays within its bound, whatever its texts and errors are made of', async () => {
  await using bench = openBench(redis)
  const type = 'x'.repeat(100)
  const costly = defineJob({ type, retry: { attempts: 1_000, delay: 0 } })
  const texts = ['\u0001', '\u007f', '/', '"', '\\', '😀', '\ud800', '\u2028', 'x']
  const handler = handle(costly, ({ payload, attempt }) => {
    const [first = ''] = String(payload)
    const said = first.repeat(10_000)
    // Each way in which a text gets in.
    if (attempt % 3 === 1) throw fail(said, { cause: new Error(said) })
    if (attempt % 3 === 2) throw Object.assign(new Error(said), { stack: said })
    throw new Error(said)
  })
  await bench.startWorker({ handlers: [handler] })
  for (const text of texts) {
    // The longest of each that is accepted: all in all 16 KiB of payload, 8 KiB of headers, a key of 200 characters.
    const most = (bytes: number, stored: (text: string) => number) =>
      text.repeat(Math.floor((bytes - stored('')) / (stored(text) - stored(''))))
    const payload = most(16_384, (value) => Buffer.byteLength(JSON.stringify(value)))
    const header = most(8_192, (value) => storedBytes(JSON.stringify({ h: value })))
    const { id } = await bench.moca.queue.enqueue(costly, payload, {
      key: text.isWellFormed() ? text.repeat(200 / text.length) : 'k',
      headers: { h: header },
      expiresIn: '36500d',
      timeout: '36500d',
      attempts: 20,
      retry: { backoff: 'exponential', delay: 0, maxDelay: '36500d', jitter: 1 / 3 },
      keep: { completed: '36500d' },
    })
    const [event] = (await bench.settled(texts.indexOf(text) + 1, 'dead', { timeoutMs: 20_000 })).slice(-1)
    assert.equal(event?.id, id)
    assert.equal((await bench.moca.queue.inspect(id))?.errors.length, 8)
    const bytes = await bench.command<number>('HSTRLEN', ':q:default:recs', id.replace('default.0.', ''))
    const what = `${bytes} bytes with ${JSON.stringify(text)}`
    assert.ok(bytes <= ENTRY_LIMIT_BYTES, what)
    assert.ok(bytes > ENTRY_LIMIT_BYTES * 0.85, `${what}: the test does not come near the bound`)
  }
})

test('a call may allow other attempts than the contract', async () => {
  await using bench = openBench(redis)
  const handler = handle(job, () => {
    throw new Error('no')
  })
  await bench.startWorker({ handlers: [handler] })
  const one = await bench.moca.queue.enqueue(job, 1, { attempts: 1 })
  const six = await bench.moca.queue.enqueue(job, 1, { attempts: 6 })
  await bench.settled(2, 'dead')
  assert.equal((await bench.moca.queue.inspect(one.id))?.attempt, 1)
  assert.equal((await bench.moca.queue.inspect(six.id))?.attempt, 6)
})

test('a call may have its job retried otherwise than the contract says', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const handler = handle(job, () => {
    throw new Error('no')
  })
  // The third has an override of a newer release, which says nothing to this one.
  const retry = { attempts: 3, backoff: 'fixed', delay: '1h', jitter: 0 } as const
  const { id } = await queue.enqueue(job, 1, { retry })
  const [many] = await queue.enqueueMany(job, [{ payload: 1, attempts: 2, retry: { delay: '2h', jitter: 0 } }])
  const newer = { n: 0.5, rt: { b: 'random', d: '5 s', q: 1 }, kc: -1 }
  await bench.command('XADD', ':q:default', '*', 't', job.type, 'o', JSON.stringify(newer), 'd', '1')
  bench.skipBalance() // that one was never accepted
  await bench.startWorker({ handlers: [handler] })
  await bench.settled(1, 'dead')
  const events = await bench.settled(3 + 2, 'delayed')
  assert.equal(events.length, 5, 'the newer one has the four attempts of its contract')

  const view = await queue.inspect(id)
  assert.deepEqual([view?.status, view?.attempt], ['delayed', 1])
  assert.deepEqual(view?.overrides, { attempts: 3, backoff: 'fixed', delayMs: 3_600_000, jitter: 0 })
  const waits = (one: JobView | undefined) => (one?.dueAt?.getTime() ?? 0) - (one?.errors[0]?.at.getTime() ?? 0)
  assert.equal(waits(view), 3_600_000)
  const other = await queue.inspect(many?.id ?? '')
  assert.equal(waits(other), 7_200_000)
  assert.deepEqual(other?.overrides, { attempts: 2, delayMs: 7_200_000, jitter: 0 })
})

test('a call may have its job shown longer, or not at all, once it completed', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const brief = defineJob({ type: 'brief', keep: { completed: 0 } })
  const shown = await queue.enqueue(brief, 1, { keep: { completed: '1h' } })
  const hidden = await queue.enqueue(job, 1, { keep: { completed: 0 } })
  await bench.startWorker({ handlers: [handle(brief, () => {}), handle(job, () => {})] })
  await bench.settled(2, 'completed')
  assert.equal((await queue.inspect(shown.id))?.status, 'completed')
  assert.equal(await queue.inspect(hidden.id), undefined)
})

test('whatever is thrown is a failure, and the worker lives on', async () => {
  await using bench = openBench(redis)
  const once = defineJob({ type: 'once', retry: { attempts: 1 } })
  const thrown: unknown[] = [
    undefined,
    null,
    0,
    'text',
    Symbol('s'),
    Object.create(null),
    Object.assign(new Error('x'), { stack: 5, message: Object.create(null) as string }),
  ]
  const handler = handle(once, ({ payload }) => {
    const { index, isAsync } = payload as { index: number; isAsync: boolean }
    const raise = () => {
      throw thrown[index]
    }
    return isAsync ? (async () => raise())() : raise()
  })
  await bench.startWorker({ handlers: [handler] })
  for (const isAsync of [true, false]) {
    for (const index of thrown.keys()) await bench.moca.queue.enqueue(once, { index, isAsync })
  }
  await bench.settled(thrown.length * 2, 'dead')
})

test('what a handler returns does not matter, promise or not', async () => {
  await using bench = openBench(redis)
  const results: unknown[] = [undefined, null, 0, false, new Error('returned'), Promise.resolve(1)]
  const handler = handle(job, ({ payload }) => results[payload as number])
  await bench.startWorker({ handlers: [handler] })
  for (const index of results.keys()) await bench.moca.queue.enqueue(job, index)
  await bench.settled(results.length, 'completed')
})

/** Runs one job whose first attempts throw what is given, and whose next completes; the views seen in between. */
async function runThrough(verdicts: readonly (() => unknown)[], attempts = 4) {
  await using bench = openBench(redis)
  const seen: number[] = []
  const handler = handle(job, ({ attempt }) => {
    const verdict = verdicts[seen.length]
    seen.push(attempt)
    if (verdict) throw verdict()
  })
  await bench.startWorker({ handlers: [handler] })
  const from = performance.now()
  const { id } = await bench.moca.queue.enqueue(job, 1, { attempts })
  await waitFor(() => bench.events.some(({ outcome }) => outcome !== 'delayed'))
  const view = await bench.moca.queue.inspect(id)
  const counts = await bench.counts()
  return { seen, tookMs: performance.now() - from, outcomes: bench.events.map(({ outcome }) => outcome), view, counts }
}

test('retry({ after }) waits as it says, and charges an attempt', async () => {
  const { seen, tookMs, outcomes } = await runThrough([() => retry({ after: 150 })])
  assert.deepEqual(
    [seen, outcomes],
    [
      [1, 2],
      ['delayed', 'completed'],
    ],
  )
  assert.ok(tookMs >= 149)
})

test('retry() beyond the attempts allowed is the end', async () => {
  const { seen, view } = await runThrough([() => retry({ after: 1, reason: 'busy' }), () => retry({ after: 1 })], 2)
  assert.deepEqual([seen, view?.status, view?.reason], [[1, 2], 'dead', 'attempts used up'])
  assert.deepEqual(
    view?.errors.map(({ message }) => message),
    ['busy', 'The handler asked for a retry'],
  )
})

test('snooze() charges nothing, however often', async () => {
  const { seen, outcomes, counts } = await runThrough(
    Array.from({ length: 6 }, () => () => snooze(1)),
    1,
  )
  assert.deepEqual(seen, [1, 1, 1, 1, 1, 1, 1])
  assert.equal(outcomes.at(-1), 'completed')
  assert.deepEqual([counts.snoozed, counts.retried], [6, 0])
})

test('fail() is retried, and with retry: false it is the end', async () => {
  const { seen, view } = await runThrough([() => fail('try again'), () => fail('no such customer', { retry: false })])
  assert.deepEqual([seen, view?.status, view?.reason], [[1, 2], 'dead', 'failed for good'])
  assert.deepEqual(
    view?.errors.map(({ message }) => message),
    ['try again', 'no such customer'],
  )
})

test('cancel() ends the job without a failure', async () => {
  const { view, counts } = await runThrough([() => cancel()])
  assert.equal(view?.status, 'cancelled')
  assert.deepEqual([counts.cancelled, counts.dead, counts.completed], [1, 0, 0])
})

const short = defineJob({ type: 'short', timeout: 50, retry: { attempts: 2, delay: 0 } })

/** Resolves when the signal aborts, with its reason. */
function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason), { once: true }))
}

test('the signal aborts at the timeout, and what the handler then throws is a timeout', async () => {
  await using bench = openBench(redis)
  const reasons: unknown[] = []
  const handler = handle(short, async ({ signal }) => {
    reasons.push(await aborted(signal))
    signal.throwIfAborted()
  })
  await bench.startWorker({ handlers: [handler] })
  const { id } = await bench.moca.queue.enqueue(short, 1)
  await bench.settled(1, 'dead')
  assert.equal(reasons.length, 2)
  assert.ok(reasons.every((reason) => reason instanceof Error && /timeout/.test(reason.message)))
  const view = await bench.moca.queue.inspect(id)
  for (const { message } of view?.errors ?? []) assert.match(message, /HandlerTimeoutError.*50 ms.*\[handler_timeout\]/)
})

test('a handler that ends well within the grace after its timeout has completed', async () => {
  await using bench = openBench(redis)
  const handler = handle(short, ({ signal }) => aborted(signal))
  await bench.startWorker({ handlers: [handler] })
  await bench.moca.queue.enqueue(short, 1)
  await bench.settled(1, 'completed')
})

test('a call may allow another time than the contract, also none', async () => {
  await using bench = openBench(redis)
  const seen: string[] = []
  const { opened, open } = gate()
  const handler = handle(short, async ({ signal, payload }) => {
    await Promise.race([opened, aborted(signal)])
    seen.push(`${payload} ${signal.aborted}`)
  })
  await bench.startWorker({ handlers: [handler] })
  await bench.moca.queue.enqueue(short, 'none', { timeout: 0 })
  await bench.moca.queue.enqueue(short, 'long', { timeout: '1h' })
  await bench.moca.queue.enqueue(short, 'short', { timeout: 20 })
  await bench.moca.queue.enqueue(short, 'contract')
  await waitFor(() => seen.length === 2)
  open()
  await bench.settled(4)
  assert.deepEqual(seen.slice(0, 2).toSorted(), ['contract true', 'short true'])
  assert.deepEqual(seen.slice(2).toSorted(), ['long false', 'none false'])
})

test('a handler that ignores its signal is retried elsewhere, keeps its slot, and its late result changes nothing', async () => {
  await using bench = openBench(redis)
  const hang = gate()
  const runs: number[] = []
  const ignoring = async ({ attempt }: HandlerContext) => {
    runs.push(attempt)
    if (attempt === 1) await hang.opened
  }
  const options = { handlers: [handle(short, ignoring)], concurrency: 1, grace: 50 }
  const first = await bench.startWorker(options)
  const { id } = await bench.moca.queue.enqueue(short, 1)
  await bench.settled(1, 'delayed')
  assert.equal(first.health().running, 1)
  // Its only slot is taken: nobody runs the second attempt before there is another worker.
  await waitFor(async () => (await bench.moca.queue.inspect(id))?.status === 'waiting')
  const second = await bench.startWorker(options)
  await bench.settled(1, 'completed')
  assert.equal(bench.events.at(-1)?.worker, second)
  assert.deepEqual(runs, [1, 2])
  hang.open()
  await waitFor(() => first.health().running === 0)
  const { completed, stale } = await bench.counts()
  assert.deepEqual([completed, stale, bench.events.length], [1, 0, 2])
  // Its slot is free again.
  await second.stop()
  await bench.moca.queue.enqueue(short, 2, { attempts: 1 })
  hang.open()
  await bench.settled(2, 'completed')
})

test('every attempt of a job has a higher fence than the one before', async () => {
  await using bench = openBench(redis)
  const busy = defineJob({ type: 'busy', retry: { attempts: 6, delay: 0 } })
  const fences = new Map<string, bigint[]>()
  const handler = handle(busy, ({ fence, job: { id }, payload }) => {
    const seen = fences.get(id) ?? []
    fences.set(id, [...seen, fence])
    if (seen.length < 3) throw Number(payload) % 2 === 0 ? snooze(0) : new Error('again')
  })
  await bench.startWorker({ handlers: [handler], concurrency: 5 })
  await bench.moca.queue.enqueueMany(
    busy,
    Array.from({ length: 40 }, (_, n) => ({ payload: n })),
  )
  await bench.settled(40, 'completed')
  assert.equal(fences.size, 40)
  const all = [...fences.values()].flat()
  assert.equal(all.length, 160)
  for (const list of fences.values()) {
    assert.deepEqual(
      list,
      list.toSorted((a, b) => (a < b ? -1 : 1)),
    )
    assert.equal(new Set(list).size, 4)
    for (const fence of list) assert.ok(fence < 2n ** 63n)
  }
})
