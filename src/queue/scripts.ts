import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** The layout of the keys that this release reads and writes. Raised when an older process must not touch them any more. */
export const LAYOUT = '1'

/** The scripts of the queue; each is a file in lua/, joined here with prelude.lua and, where it says so, with a part. */
export const SCRIPT_NAMES = [
  'open',
  'enqueue',
  'settle',
  'renew',
  'release',
  'adopt',
  'rescue',
  'promote',
  'move',
  'count',
  'beat',
  'lose',
  'acknowledge',
  'relay',
  'publish',
  'reposition',
  'fire',
] as const

export type ScriptName = (typeof SCRIPT_NAMES)[number]

/** What some scripts share: it takes the place of a line `--#<name>`, where its functions are needed. */
export const PART_NAMES = ['accept', 'room', 'receive'] as const

export interface Script {
  readonly name: ScriptName
  readonly text: string
  readonly sha: string
}

export type Scripts = Readonly<Record<ScriptName, Script>>

let loaded: Scripts | undefined

/** Reads the scripts on first use. */
export function loadScripts(): Scripts {
  loaded ??= joinScripts((file) => readFileSync(new URL(`./lua/${file}`, import.meta.url), 'utf8'))
  return loaded
}

/**
 * Joins each script with the prelude and its parts. `patch` may change the joined text: tests replace the clock, or make a chosen
 * redis.call fail, without a second copy of any script.
 */
export function joinScripts(
  read: (file: string) => string,
  patch: (text: string, name: ScriptName) => string = (text) => text,
): Scripts {
  const prelude = read('prelude.lua').trimEnd()
  const parts = PART_NAMES.map((name) => [`--#${name}\n`, read(`${name}.lua`)] as const)
  const entries = SCRIPT_NAMES.map((name) => {
    const body = read(`${name}.lua`)
    const [head, tail] = body.split('--#prelude\n')
    if (head === undefined || tail === undefined) throw new Error(`lua/${name}.lua has no line "--#prelude"`)
    const opens = name === 'open' ? '' : 'local OPENS = false\n'
    const joined = parts.reduce((text, [mark, part]) => text.replace(mark, () => part), tail)
    const text = patch(`${head}local LAYOUT = '${LAYOUT}'\n${opens}${prelude}\n${joined}`, name)
    return [name, { name, text, sha: createHash('sha1').update(text).digest('hex') }] as const
  })
  return Object.freeze(Object.fromEntries(entries)) as Scripts
}
