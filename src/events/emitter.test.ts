import assert from 'node:assert/strict'
import { test } from 'node:test'
import { waitFor } from '../../test/support/wait-for.ts'
import { type Clock, systemClock } from '../clock.ts'
import { ClosedError, ConnectionError, EmitError, LayoutError, OptionError, QueueFullError } from '../errors.ts'
import { Emitter, type EmitterOptions } from './emitter.ts'
import type { EncodedEvent } from './event.ts'
import type { PublishOutcome } from './event-backend.ts'

/** A backend whose answers a test chooses. */
class Backend {
  readonly batches: string[][] = []
  isAway = false
  /** What becomes of an event, by its type. Default: published. */
  readonly outcomes = new Map<string, PublishOutcome>()
  #held: (() => void)[] = []
  isHolding = false

  get types(): string[] {
    return this.batches.flat()
  }

  async ready(): Promise<void> {
    if (this.isAway) throw new ConnectionError('nobody is there')
  }

  async publishBatch(events: readonly EncodedEvent[]): Promise<PublishOutcome[]> {
    this.batches.push(events.map(({ type }) => type))
    if (this.isHolding) await new Promise<void>((resolve) => void this.#held.push(resolve))
    return events.map(({ type }) => this.outcomes.get(type) ?? { status: 'published' })
  }

  letGo(): void {
    this.isHolding = false
    for (const resolve of this.#held) resolve()
    this.#held = []
  }
}

/** Waits no longer than a millisecond, so that no back-off outlasts a short time to emit in. */
const hastyClock = { ...systemClock, wait: () => systemClock.wait(1) }

function open(options: Partial<EmitterOptions> = {}, clock: Clock = systemClock) {
  const backend = new Backend()
  const defaults = { timeoutMs: 5_000, maxBytes: 1_000, source: undefined, maxPending: 100 }
  const emitter = new Emitter({ backend, clock, options: { ...defaults, ...options } })
  return { backend, emitter, emit: (type: string) => emitter.emit('t', { type }) }
}

const unavailable = (mayHaveBeenApplied: boolean, cause?: unknown): PublishOutcome => ({
  status: 'unavailable',
  reason: 'away',
  mayHaveBeenApplied,
  cause,
})

test('tells the id of what was published', async () => {
  const { emit } = open()
  const [a, b] = await Promise.all([emit('a'), emit('b')])
  assert.match(a.id, /^[0-9a-f-]{36}$/)
  assert.notEqual(a.id, b.id)
})

test('what comes in one turn, and while a batch is under way, goes together and in order', async () => {
  const { backend, emit } = open()
  backend.isHolding = true
  const first = [emit('a'), emit('b')]
  await waitFor(() => backend.batches.length === 1)
  const later = [emit('c'), emit('d')]
  await new Promise(setImmediate)
  const last = emit('e')
  backend.letGo()
  await Promise.all([...first, ...later, last])
  assert.deepEqual(backend.batches, [
    ['a', 'b'],
    ['c', 'd', 'e'],
  ])
})

test('refuses an event before anything is sent', async () => {
  const { backend, emitter } = open()
  await assert.rejects(emitter.emit('a b', { type: 't' }), { name: OptionError.name })
  await assert.rejects(emitter.emit('t', { type: 't', data: 'x'.repeat(2_000) }), { code: 'payload_too_large' })
  assert.deepEqual(backend.batches, [])
})

test("an event's own fault is told to its caller alone", async () => {
  const { backend, emit } = open()
  backend.outcomes.set('b', { status: 'refused', reason: 'too large for the broker' })
  const [a, b, c] = await Promise.allSettled([emit('a'), emit('b'), emit('c')])
  assert.deepEqual([a?.status, b?.status, c?.status], ['fulfilled', 'rejected', 'fulfilled'])
  const { reason } = b as PromiseRejectedResult
  assert.ok(reason instanceof EmitError)
  assert.deepEqual([reason.code, reason.retryable, reason.mayHaveBeenApplied], ['event_refused', false, false])
  assert.match(reason.message, /The event b cannot be emitted: too large for the broker/)
})

test('what was not sent is tried again, in order, until it is through', async () => {
  const { backend, emit } = open()
  backend.outcomes.set('b', unavailable(false))
  backend.outcomes.set('c', unavailable(false))
  const emits = [emit('a'), emit('b'), emit('c')]
  await waitFor(() => backend.batches.length >= 3)
  backend.outcomes.clear()
  emits.push(emit('d'))
  await Promise.all(emits)
  assert.deepEqual(backend.batches[0], ['a', 'b', 'c'])
  for (const batch of backend.batches.slice(1)) assert.deepEqual(batch.slice(0, 2), ['b', 'c'])
  assert.equal(backend.types.filter((type) => type === 'a').length, 1)
})

test('what may have been published is not sent again', async () => {
  const { backend, emit } = open()
  backend.outcomes.set('a', unavailable(true))
  await assert.rejects(emit('a'), { name: EmitError.name, code: 'connection_lost', mayHaveBeenApplied: true })
  await emit('b')
  assert.deepEqual(backend.types, ['a', 'b'])
})

test('is not sent while nobody is there, and rejects in time with the reason', async () => {
  const { backend, emit } = open({ timeoutMs: 250 }, hastyClock)
  backend.isAway = true
  const error = await emit('a').then(
    () => assert.fail('it was emitted'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof EmitError)
  assert.deepEqual([error.code, error.retryable, error.mayHaveBeenApplied], ['emit_timeout', true, false])
  assert.match(error.message, /could not be sent within 250 ms .*: nobody is there/)
  backend.isAway = false
  await emit('b')
  assert.deepEqual(backend.types, ['b'])
})

test('goes out when the backend is there again in time', async () => {
  const { backend, emit } = open()
  backend.isAway = true
  const emits = [emit('a'), emit('b')]
  await new Promise(setImmediate)
  backend.isAway = false
  await Promise.all(emits)
  assert.deepEqual(backend.types, ['a', 'b'])
})

test('says of an answer that does not come that it may have been applied', async () => {
  const { backend, emit } = open({ timeoutMs: 250 })
  backend.isHolding = true
  await assert.rejects(emit('a'), {
    code: 'emit_timeout',
    mayHaveBeenApplied: true,
    message: /was sent and not answered/,
  })
  const behind = emit('b')
  await assert.rejects(behind, { code: 'emit_timeout', mayHaveBeenApplied: false })
  backend.letGo()
  await emit('c')
  assert.deepEqual(backend.types, ['a', 'c'])
})

test('does not try again what no other try can mend, nor a full queue', async () => {
  const { backend, emit } = open()
  for (const cause of [new LayoutError('9', '1'), new QueueFullError('default', 5)]) {
    backend.outcomes.set('a', unavailable(false, cause))
    await assert.rejects(emit('a'), cause)
  }
  assert.deepEqual(backend.types, ['a', 'a'])
})

test('does not gather events without end while nobody takes them', async () => {
  // Longer than its longest back-off.
  const { backend, emit } = open({ maxPending: 3, timeoutMs: 1_000 })
  backend.isAway = true
  const waiting = [emit('a'), emit('b'), emit('c')]
  await assert.rejects(emit('d'), { name: EmitError.name, mayHaveBeenApplied: false, message: /3 events wait already/ })
  for (const each of await Promise.allSettled(waiting)) assert.equal(each.status, 'rejected')
  backend.isAway = false
  await emit('e')
})

test('a backend that breaks its promises leaves nobody waiting', async () => {
  const { backend, emit } = open()
  backend.publishBatch = async () => {
    throw new Error('a bug')
  }
  await assert.rejects(emit('a'), { code: 'connection_lost', mayHaveBeenApplied: true })
  backend.publishBatch = async () => []
  await assert.rejects(emit('a'), { code: 'connection_lost', mayHaveBeenApplied: true })
})

test('a closed one refuses, and what was under way settles before', async () => {
  const { backend, emitter, emit } = open()
  backend.isHolding = true
  const under = emit('a')
  await waitFor(() => backend.batches.length === 1)
  let isClosed = false
  const closing = emitter.close().then(() => {
    isClosed = true
  })
  await assert.rejects(emit('b'), { name: ClosedError.name })
  assert.equal(isClosed, false)
  backend.letGo()
  await under
  await closing
  await emitter.close()
})
