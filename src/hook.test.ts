import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HookError } from './errors.ts'
import { type Hook, surroundList } from './hook.ts'

type NumbersHook = Hook<{ readonly numbers: readonly number[] }, readonly number[]>

/** What two hooks around a sum make of it; `core` may fail. */
async function sum(
  hooks: readonly NumbersHook[],
  { items = [1, 2], core }: { items?: readonly number[]; core?: (items: readonly number[]) => Promise<number> } = {},
): Promise<number> {
  return surroundList({
    kind: 'sum',
    hooks: hooks.map((run, index) => ({ owner: `app ${index}`, run })),
    items,
    tell: (numbers) => ({ numbers }),
    core: core ?? (async (numbers) => numbers.reduce((total, number) => total + number, 0)),
  })
}

test('the first hook is outermost, and each sees what the one before it made', async () => {
  const seen: string[] = []
  const adding =
    (name: string, add: number): NumbersHook =>
    async ({ numbers }, next) => {
      seen.push(`${name} ${numbers.join()}`)
      const within = await next(numbers.map((number) => number + add))
      seen.push(`${name} got ${String(within)}`)
    }
  assert.equal(await sum([adding('outer', 10), adding('inner', 100)]), 223)
  assert.deepEqual(seen, ['outer 1,2', 'inner 11,12', 'inner got 223', 'outer got 223'])
})

test('next() without anything does what was asked for, and what a hook returns changes nothing', async () => {
  assert.equal(await sum([(_call, next) => next(), async (_call, next) => void (await next())]), 3)
  assert.equal(await sum([async (_call, next) => void next()]), 3, 'it did not wait for next()')
})

test('a hook refuses by throwing: nothing within it happens, and the caller gets its error', async () => {
  const refusal = new Error('Not on a Sunday')
  const core = () => assert.fail('it was done')
  await assert.rejects(
    sum(
      [
        (_call, next) => next(),
        () => {
          throw refusal
        },
      ],
      { core },
    ),
    (error) => error === refusal,
  )
})

test('a hook that leaves out what it surrounds without a word is at fault', async () => {
  let late: (() => Promise<unknown>) | undefined
  const core = async () => assert.fail('it was done')
  const silent: NumbersHook = (_call, next) => {
    late = next
  }
  await assert.rejects(sum([silent], { core }), (error) => {
    assert.ok(error instanceof HookError)
    assert.match(error.message, /^The sum hook of app 0 returned without calling next\(\)/)
    assert.equal(error.mayHaveBeenApplied, false)
    return true
  })
  assert.ok(late)
  await assert.rejects(late(), /after it had returned/)
})

test('nothing is done twice', async () => {
  let times = 0
  const core = async () => ++times
  const greedy: NumbersHook = async (_call, next) => {
    await next()
    await next()
  }
  await assert.rejects(sum([greedy], { core }), (error) => {
    assert.ok(error instanceof HookError)
    assert.match(error.message, /threw after what it surrounds had been accepted/)
    assert.match(String(error.cause), /next\(\) twice/)
    assert.equal(error.mayHaveBeenApplied, true)
    return true
  })
  assert.equal(times, 1)
})

test('a failure within stays one, whatever a hook does with it', async () => {
  const failure = new Error('Redis is away')
  const core = async () => {
    throw failure
  }
  const swallowing: NumbersHook = async (_call, next) => {
    await next().catch(() => undefined)
  }
  await assert.rejects(sum([swallowing], { core }), (error) => error === failure)
  const translating: NumbersHook = async (_call, next) => {
    await next().catch((cause: unknown) => {
      throw new Error('Try again later', { cause })
    })
  }
  await assert.rejects(sum([translating], { core }), { message: 'Try again later', cause: failure })
})

test('the items stay as many as they were', async () => {
  const core = async () => assert.fail('it was done')
  await assert.rejects(sum([({ numbers }, next) => next([...numbers, 3])], { core }), {
    name: 'TypeError',
    message: /takes a list of 2, as many as were given; found a list of 3/,
  })
  await assert.rejects(sum([(_call, next) => next(1 as never)], { core }), /found 1/)
})
