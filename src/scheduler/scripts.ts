import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { StoredScript } from '../redis/connection.ts'

const NAMES = ['define', 'switch', 'lead'] as const

type Scripts = Readonly<Record<(typeof NAMES)[number], StoredScript>>

let loaded: Scripts | undefined

/** Reads the scripts on first use, each joined with prelude.lua. */
export function loadScripts(): Scripts {
  loaded ??= joinScripts()
  return loaded
}

function joinScripts(): Scripts {
  const read = (name: string) => readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8')
  const prelude = read('prelude')
  const entries = NAMES.map((name) => {
    const text = read(name).replace('--#prelude\n', () => prelude)
    return [name, { text, sha: createHash('sha1').update(text).digest('hex') }]
  })
  return Object.freeze(Object.fromEntries(entries)) as Scripts
}
