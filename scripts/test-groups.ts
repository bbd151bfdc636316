import { findPgBouncer } from '../test/support/pgbouncer.ts'
import { findDistributionBin } from '../test/support/postgres-binaries.ts'

export type TestGroup = {
  name: string
  globs: string[]
  /** Files that run at the same time. Default 2: more only wait for each other on two cores. */
  concurrency?: number
  /** A file that takes longer fails. Default 120,000. */
  fileLimitMs?: number
  /** Set for its files. */
  env?: Record<string, string>
  /** Why it cannot run on this machine; undefined: it can. Then it is left out, and the run says so, where it may be (`mayLeaveOut`). */
  findLack?: () => string | undefined
}

/** What `npm test` runs, in this order. A pattern that is listed here and matches no file fails the run. */
export const TEST_GROUPS: TestGroup[] = [
  // Tests of commands run them as processes, dozens in a file: a busy machine takes several minutes.
  { name: 'unit', globs: ['src/**/*.test.ts'], fileLimitMs: 240_000 },
  // What is SQL, once more on an older PostgreSQL than the embedded one, and what needs a program that comes with it alone.
  {
    name: 'distribution',
    globs: [
      'src/outbox/**/*.test.ts',
      'src/postgres/**/*.test.ts',
      'test/support/postgres-server.test.ts',
      'test/distribution/**/*.test.ts',
    ],
    env: { MOCA_TEST_POSTGRES: 'distribution' },
    findLack: () =>
      findDistributionBin() ? undefined : "the distribution's PostgreSQL is not installed (npm run ensure-postgres)",
  },
  { name: 'integration', globs: ['test/integration/**/*.test.ts'] },
  // Behind PgBouncer.
  {
    name: 'pooler',
    globs: ['test/pooler/**/*.test.ts'],
    findLack: () => (findPgBouncer() ? undefined : 'pgbouncer is not installed (npm run ensure-postgres)'),
  },
  { name: 'conformance', globs: ['test/conformance/**/*.test.ts'] },
  { name: 'support', globs: ['test/support/**/*.test.ts'] },
  { name: 'scripts', globs: ['scripts/**/*.test.ts'] },
  // Pure work for the processor, a minute of it: a busy machine takes several.
  { name: 'model', globs: ['test/model/**/*.test.ts'], fileLimitMs: 240_000 },
  { name: 'bench', globs: ['bench/**/*.test.ts'] },
  // Whole runs of the demo, each with a limit of its own (planted-run.ts), after which it says what it was doing.
  { name: 'demo', globs: ['demo/**/*.test.ts'], fileLimitMs: 300_000 },
  // Last: they take the machine for themselves, and leases of two seconds notice when somebody else does.
  { name: 'chaos', globs: ['test/chaos/**/*.test.ts'], fileLimitMs: 180_000 },
]

/**
 * Whether a run may do without a group that cannot run here: not one that was asked for by name, and none where nothing may be left out
 * (`MOCA_TEST_ALL`, which .ci/run sets; `CI` itself is also set on machines where a person without root tries the README).
 */
export function mayLeaveOut(name: string, wanted: readonly string[], all: string | undefined): boolean {
  return !all && !wanted.includes(name)
}
