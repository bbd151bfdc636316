import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Finding } from './raw-walk.ts'

const PROGRAM = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const CONFIG = fileURLToPath(new URL('moca.config.ts', import.meta.url))

interface VerifyFinding {
  readonly kind: string
  readonly queue?: string
  readonly id?: string
  readonly sink?: string
  readonly lane?: number
  readonly schedule?: string
  readonly index?: string
  readonly docname?: string
  readonly expected: string
  readonly found: string
}

/** What `moca verify`, as a process of its own, finds while everything runs. Rejects when it does not come to a result. */
export async function mocaVerify(servers: {
  readonly redisUrl: string
  readonly postgresUrl: string
}): Promise<Finding[]> {
  const env = { ...process.env, REDIS_URL: servers.redisUrl, DATABASE_URL: servers.postgresUrl }
  const args = [PROGRAM, 'verify', '--json', '--config', CONFIG]
  const output = await promisify(execFile)(process.execPath, args, { env, maxBuffer: 64 * 1024 * 1024 }).catch(
    // Exit code 1 with a result: it found something.
    (error: Error & { readonly stdout?: string; readonly stderr?: string }) => {
      if (error.stdout?.startsWith('{')) return { stdout: error.stdout }
      throw new Error(`moca verify failed: ${error.stderr || error.message}`, { cause: error })
    },
  )
  const { findings } = JSON.parse(output.stdout) as { findings: readonly VerifyFinding[] }
  return findings.map((finding) => ({ id: nameOf(finding), expected: finding.expected, found: finding.found }))
}

function nameOf({ kind, schedule, index, docname, queue, id, sink, lane }: VerifyFinding): string {
  return [kind, schedule, index, docname, id ?? queue, sink, lane].filter((part) => part !== undefined).join(' ')
}
