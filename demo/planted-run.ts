import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Account } from './account/account.ts'
import type { ProblemKind } from './account/problem.ts'
import type { Fault } from './options.ts'

const PROGRAM = fileURLToPath(new URL('main.ts', import.meta.url))
const DOCUMENTS = 300
const LIMIT_MS = 240_000

/** What the account must say of each fault, and what `moca verify` finds by itself; undefined: nothing that it could see. */
const NAMED: Record<Fault, { readonly account: ProblemKind; readonly verify?: string }> = {
  'entry-deleted': { account: 'lost', verify: 'count_differs' },
  'order-swapped': { account: 'out-of-order' },
  'redis-rewound': { account: 'lost-by-redis', verify: 'redis_forgot' },
  'log-row-deleted': { account: 'log-row-missing' },
  'events-swapped': { account: 'event-out-of-order' },
  'index-document-dropped': { account: 'index-missing', verify: 'document_missing' },
  'fire-doubled': { account: 'fire-doubled', verify: 'fire_doubled' },
}

export interface PlantedRun {
  /** Undefined: the fault was found, by everybody who must find it. */
  readonly problem: string | undefined
  /** What the account named, each kind once. */
  readonly kinds: readonly string[]
  readonly seconds: number
}

/** The demo with a fault, as processes of its own: exit code 1, and the fault is named. */
export async function runWithFault(fault: Fault): Promise<PlantedRun> {
  const dir = await mkdtemp(join(tmpdir(), 'moca-planted-'))
  try {
    const json = join(dir, 'account.json')
    const { code, output } = await run(['--documents', String(DOCUMENTS), '--plant', fault, '--json', json])
    const files = /Logs, journals and ledgers of this run: (.+)$/m.exec(output)?.[1]
    if (files) await rm(files, { recursive: true, force: true })
    const text = await readFile(json, 'utf8').catch(() => undefined)
    if (text === undefined) return { problem: `no account; exit code ${code}\n${output}`, kinds: [], seconds: 0 }
    const { problems, seconds } = JSON.parse(text) as Account
    const kinds = [
      ...new Set(problems.map(({ kind, id }) => (kind === 'verify' ? `verify: ${id.split(' ')[0]}` : kind))),
    ]
    const { account, verify } = NAMED[fault]
    const wanted = [account, ...(verify === undefined ? [] : [`verify: ${verify}`])]
    const missing = wanted.filter((kind) => !kinds.includes(kind))
    // A fault is to be found in a run that is otherwise as every run is.
    if (kinds.includes('not-tried')) missing.push('all of the plan')
    if (code === 1 && missing.length === 0) return { problem: undefined, kinds, seconds }
    return { problem: `exit code ${code}, without ${missing.join(', ') || 'nothing'}\n${output}`, kinds, seconds }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

function run(args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
    }
    const timer = setTimeout(() => child.kill('SIGTERM'), LIMIT_MS)
    child.once('error', reject).once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, output })
    })
  })
}
