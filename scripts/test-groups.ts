export type TestGroup = {
  name: string
  globs: string[]
  /** Files that run at the same time. Default 2: more only wait for each other on two cores. */
  concurrency?: number
  /** A file that takes longer fails. Default 120,000. */
  fileLimitMs?: number
}

/** What `npm test` runs, in this order. A pattern that is listed here and matches no file fails the run. */
export const TEST_GROUPS: TestGroup[] = [
  { name: 'unit', globs: ['src/**/*.test.ts'] },
  { name: 'integration', globs: ['test/integration/**/*.test.ts'] },
  { name: 'conformance', globs: ['test/conformance/**/*.test.ts'] },
  { name: 'support', globs: ['test/support/**/*.test.ts'] },
  { name: 'scripts', globs: ['scripts/**/*.test.ts'] },
  // Pure work for the processor, a minute of it: a busy machine takes several.
  { name: 'model', globs: ['test/model/**/*.test.ts'], fileLimitMs: 240_000 },
  { name: 'bench', globs: ['bench/**/*.test.ts'] },
  { name: 'demo', globs: ['demo/**/*.test.ts'] },
  // Last: they take the machine for themselves, and leases of two seconds notice when somebody else does.
  { name: 'chaos', globs: ['test/chaos/**/*.test.ts'], fileLimitMs: 180_000 },
]
