import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClosedError, ConnectionError, LayoutError } from '../errors.ts'
import { type Logger, silentLogger } from '../logger.ts'
import type { Clock } from '../clock.ts'
import { type Breakable, Link } from './link.ts'

/** Time that passes only by being waited for. */
class JumpingClock implements Clock {
  readonly waits: number[] = []
  monotonicMs = () => this.waits.reduce((sum, ms) => sum + ms, 0)
  wallMs = () => 0
  wait = async (ms: number) => {
    this.waits.push(ms)
    await new Promise(setImmediate)
  }
}

class Door implements Breakable {
  readonly closed: Promise<Error>
  isDestroyed = false
  break: (reason: Error) => void = () => {}

  constructor() {
    this.closed = new Promise((resolve) => {
      this.break = resolve
    })
  }

  destroy(): void {
    this.isDestroyed = true
    this.break(new ConnectionError('closed'))
  }
}

function* forever(): Generator<Error> {
  for (;;) yield new ConnectionError('refused by the test')
}

/** A link whose first tries end with these errors. After them, every try gives a door. */
function linkWith(errors: Iterable<Error> = [], log: Logger = silentLogger) {
  const tries = Iterator.from(errors)
  const doors: Door[] = []
  const clock = new JumpingClock()
  let opened = 0
  const link = new Link(
    async () => {
      opened++
      const { value: error } = tries.next() as { value?: Error }
      if (error) throw error
      const door = new Door()
      doors.push(door)
      return door
    },
    log,
    clock,
  )
  return { link, doors, clock, opened: () => opened }
}

test('opens nothing before it is asked, and only one', async () => {
  const { link, doors, opened } = linkWith()
  await new Promise(setImmediate)
  assert.deepEqual([opened(), link.get()], [0, undefined])
  const [a, b] = await Promise.all([link.ready(1_000), link.ready(1_000)])
  link.start()
  assert.deepEqual([a, b, link.get(), opened()], [doors[0], doors[0], doors[0], 1])
  await link.close()
})

test('tells of an outage once, again when its reason is another one or after a minute, and of its end', async () => {
  const lines: string[] = []
  const line = (level: string) => (facts: object, message: string) => {
    lines.push(`${level} ${message}${'reason' in facts ? `: ${String(facts.reason)}` : ''}`)
  }
  const log = { ...silentLogger, info: line('info'), warn: line('warn') }
  const failures = [
    ...Array.from({ length: 50 }, () => new ConnectionError('refused')),
    ...Array.from({ length: 100 }, () => new ConnectionError('no answer')), // more than a minute
  ]
  const { link, doors } = linkWith(failures, log)
  await link.ready(10_000)
  doors[0]?.break(new ConnectionError('cut'))
  await doors[0]?.closed
  await Promise.resolve()
  await link.ready(10_000)
  assert.deepEqual(lines, [
    'warn Could not connect; trying again: refused',
    'warn Could not connect; trying again: no answer',
    'warn Could not connect; trying again: no answer',
    'info Connected',
    'warn The connection broke; opening another: cut',
    'info Connected',
  ])
  await link.close()
})

test('opens another when it breaks', async () => {
  const { link, doors } = linkWith()
  await link.ready(1_000)
  doors[0]?.break(new ConnectionError('cut'))
  await doors[0]?.closed
  await Promise.resolve()
  assert.equal(link.get(), undefined)
  assert.equal(await link.ready(1_000), doors[1])
  await link.close()
})

test('tries again with growing delays and jitter, and begins anew after a success', async () => {
  const failures = Array.from({ length: 10 }, () => new ConnectionError('refused'))
  const { link, doors, clock } = linkWith(failures)
  await link.ready(5_000)
  assert.equal(clock.waits.length, 10)
  for (const [index, ms] of clock.waits.entries()) {
    const longest = Math.min(1_000, 20 * 2 ** index)
    assert.ok(ms >= longest / 2 && ms <= longest, `wait ${index}: ${ms}`)
  }
  doors[0]?.break(new ConnectionError('cut'))
  await doors[0]?.closed
  await link.ready(5_000)
  assert.ok((clock.waits[10] ?? 99) <= 20)
  await link.close()
})

test('who waits is told why at the deadline', async () => {
  const { link } = linkWith(forever())
  await assert.rejects(link.ready(5), { message: 'refused by the test' })
  assert.match(link.lastError?.message ?? '', /refused by the test/)
  await link.close()
})

test('what went wrong before it was open is no reason afterwards: the last break is', async () => {
  const door = new Door()
  // The third try never ends: who waits then is told why the door is gone.
  const tries = [Promise.reject(new ConnectionError('refused by the test')), door, new Promise<Door>(() => {})]
  const link = new Link(async () => tries.shift() as Promise<Door>, silentLogger, new JumpingClock())
  await link.ready(1_000)
  assert.equal(link.lastError, undefined)
  door.break(new ConnectionError('cut'))
  await door.closed
  await new Promise(setImmediate)
  await assert.rejects(link.ready(5), { message: 'cut' })
  await link.close()
})

test('an error that no other try can mend is told at once, and trying goes on slowly', async () => {
  const { link, doors, clock } = linkWith([new LayoutError('2', '1')])
  await assert.rejects(link.ready(60_000), LayoutError)
  assert.equal(await link.ready(60_000), doors[0])
  assert.ok((clock.waits[0] ?? 0) >= 500)
  await link.close()
})

test('a closed link refuses, also whoever waits, and opens nothing more', async () => {
  const { link, opened } = linkWith(forever())
  const waiting = assert.rejects(link.ready(60_000), ClosedError)
  await new Promise(setImmediate)
  await link.close()
  await waiting
  const tries = opened()
  await assert.rejects(link.ready(60_000), ClosedError)
  await link.close()
  assert.equal(opened(), tries)
})

test('what opens while it is being closed is closed as well', async () => {
  const door = new Door()
  let open: (door: Door) => void = () => {}
  const link = new Link(() => new Promise<Door>((resolve) => (open = resolve)), silentLogger)
  link.start()
  const closed = link.close()
  open(door)
  await closed
  assert.deepEqual([door.isDestroyed, link.get()], [true, undefined])
})

test('closing destroys what is open', async () => {
  const { link, doors } = linkWith()
  await link.ready(1_000)
  await link.close()
  assert.deepEqual([doors[0]?.isDestroyed, link.get()], [true, undefined])
})
