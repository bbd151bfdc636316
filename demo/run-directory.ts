import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Everything that a run of the demo writes is below one temporary directory. */
export interface RunDirectory {
  readonly path: string
  readonly redis: string
  /** What producers wrote down, one file per process. */
  readonly journals: string
  /** What writers of documents wrote down. */
  readonly transactions: string
  /** What handlers wrote down, one file per process: of direct jobs, and of what was recorded. */
  readonly ledgers: string
  readonly deliveries: string
  /** Of the jobs of schedules. */
  readonly fires: string
  readonly reports: string
  readonly logs: string
}

export async function makeRunDirectory(): Promise<RunDirectory> {
  const path = await mkdtemp(join(tmpdir(), 'moca-demo-'))
  const parts = ['redis', 'journals', 'transactions', 'ledgers', 'deliveries', 'fires', 'reports', 'logs'] as const
  for (const part of parts) await mkdir(join(path, part))
  return { path, ...(Object.fromEntries(parts.map((part) => [part, join(path, part)])) as Omit<RunDirectory, 'path'>) }
}
