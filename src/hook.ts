import { HookError } from './errors.ts'
import { describeValue } from './job/describe-value.ts'

/** Code of an application around something that Moca does. `next` does it, or runs the next hook, with what it is given instead, if anything. */
export type Hook<Call, Input> = (call: Call, next: (input?: Input) => Promise<unknown>) => unknown

/** A hook, and who brought it: `the configuration`, or `app billing`. */
export interface OwnedHook<H> {
  readonly owner: string
  readonly run: H
}

export interface Surrounding<Call, Input, Result> {
  /** What is surrounded, for messages: `enqueue`. */
  readonly kind: string
  /** The first one is outermost. */
  readonly hooks: readonly OwnedHook<Hook<Call, Input>>[]
  readonly input: Input
  /** What a hook is told. */
  readonly tell: (input: Input) => Call
  /** Throws for what a hook must not hand on. */
  readonly require?: (changed: Input, given: Input) => void
  readonly core: (input: Input) => Promise<Result>
  /** What to throw when a hook threw after all within it had succeeded. */
  readonly failedAfter: (error: unknown, owner: string) => unknown
}

/**
 * Runs hooks around `core`, each within the one before it. A hook can refuse (by throwing before it calls `next`), change the input,
 * wait, and replace an error by another; it cannot leave out what it surrounds without a word, do it twice, or make a success of a failure.
 */
export function surround<Call, Input, Result>(surrounding: Surrounding<Call, Input, Result>): Promise<Result> {
  return run(surrounding, 0, surrounding.input)
}

export interface ListSurrounding<Call, Item, Result> {
  readonly kind: string
  readonly hooks: readonly OwnedHook<Hook<Call, readonly Item[]>>[]
  readonly items: readonly Item[]
  readonly tell: (items: readonly Item[]) => Call
  readonly core: (items: readonly Item[]) => Promise<Result>
}

/** Runs hooks around what hands a list of items over for good. They may change each item, not how many there are. */
export function surroundList<Call, Item, Result>({
  kind,
  hooks,
  items,
  tell,
  core,
}: ListSurrounding<Call, Item, Result>): Promise<Result> {
  return surround({
    kind,
    hooks,
    input: items,
    tell,
    core,
    require: (changed, given) => {
      if (Array.isArray(changed) && changed.length === given.length) return
      const found = Array.isArray(changed) ? `a list of ${changed.length}` : describeValue(changed)
      throw new TypeError(
        `next() in hooks of ${kind} takes a list of ${given.length}, as many as were given; found ${found}`,
      )
    },
    failedAfter: (cause, owner) =>
      new HookError(kind, owner, 'threw after what it surrounds had been accepted', {
        mayHaveBeenApplied: true,
        cause,
      }),
  })
}

async function run<Call, Input, Result>(
  surrounding: Surrounding<Call, Input, Result>,
  index: number,
  input: Input,
): Promise<Result> {
  const { hooks, core, tell, kind, failedAfter } = surrounding
  const hook = hooks[index]
  if (!hook) return core(input)
  const { owner } = hook
  let within: Promise<Result> | undefined
  let isOver = false
  const next = async (changed: Input = input): Promise<Result> => {
    if (within) throw new HookError(kind, owner, 'called next() twice')
    if (isOver) throw new HookError(kind, owner, 'called next() after it had returned')
    within = inside(changed)
    return within
  }
  const inside = async (changed: Input): Promise<Result> => {
    if (changed !== input) surrounding.require?.(changed, input)
    return run(surrounding, index + 1, changed)
  }
  const own = await settled(async () => hook.run(tell(input), next))
  isOver = true
  if (!within) {
    if ('error' in own) throw own.error
    throw new HookError(kind, owner, 'returned without calling next(): throw an error to refuse')
  }
  const result = await settled(() => within as Promise<Result>)
  if ('error' in result) throw 'error' in own ? own.error : result.error
  if ('error' in own) throw failedAfter(own.error, owner)
  return result.value
}

type Settled<T> = { readonly value: T } | { readonly error: unknown }

async function settled<T>(run: () => Promise<T>): Promise<Settled<T>> {
  try {
    return { value: await run() }
  } catch (error) {
    return { error }
  }
}
