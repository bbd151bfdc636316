import { globSync } from 'node:fs'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { mayLeaveOut, TEST_GROUPS, type TestGroup } from './test-groups.ts'

// Runs the tests and closes with a line `N passed, N failed`. Stricter than `node --test`, which exits 0 when a pattern
// matches no file, when a file holds no test, and when tests were skipped.
//
//   npm test                          everything
//   npm test -- unit integration      some groups of scripts/test-groups.ts
//   npm test -- src/job/duration.test.ts

type Counts = { passed: number; failed: number; skipped: number }

const wanted = process.argv.slice(2)
const groups = selectGroups(wanted)
const total: Counts = { passed: 0, failed: 0, skipped: 0 }
const problems: string[] = []

const leftOut: string[] = []

for (const group of groups) {
  const lack = group.findLack?.()
  if (lack !== undefined) {
    const list = mayLeaveOut(group.name, wanted, process.env.MOCA_TEST_ALL) ? leftOut : problems
    list.push(`${group.name}: ${lack}`)
    continue
  }
  console.log(`\n== ${group.name} ==`)
  const files = group.globs.flatMap((glob) => {
    const matches = globSync(glob).toSorted()
    if (matches.length === 0) problems.push(`${group.name}: ${glob} matches no file`)
    return matches
  })
  if (files.length > 0) await runFiles(group, files)
}

if (leftOut.length > 0) console.log(`\n${leftOut.map((group) => `NOT RUN ${group}`).join('\n')}`)
if (problems.length > 0) console.log(`\n${problems.map((problem) => `✖ ${problem}`).join('\n')}`)
const { passed, failed, skipped } = total
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
// A skipped test is a server that was missing or a promise not looked at; it must not pass for a tested one.
process.exitCode = problems.length > 0 || failed > 0 || skipped > 0 || passed === 0 ? 1 : 0

function selectGroups(names: string[]): TestGroup[] {
  if (names.length === 0) return TEST_GROUPS
  const chosen = TEST_GROUPS.filter((group) => names.includes(group.name))
  const paths = names.filter((name) => !chosen.some((group) => group.name === name))
  return paths.length > 0 ? [...chosen, { name: 'files', globs: paths }] : chosen
}

async function runFiles(group: TestGroup, files: string[]): Promise<void> {
  const { concurrency = 2, fileLimitMs = 120_000, env = {} } = group
  const events = run({
    files,
    concurrency,
    isolation: 'process',
    execArgv: ['--import', new URL('./test-watchdog.ts', import.meta.url).href],
    env: { ...process.env, ...env, MOCA_TEST_FILE_LIMIT_MS: String(fileLimitMs) },
    // For a file whose event loop is blocked, where the watchdog cannot run.
    signal: AbortSignal.timeout(fileLimitMs * files.length + 60_000),
  })
  events.on('test:fail', ({ name, file, details }) => {
    // A parent fails with its children; the children are named already.
    const { failureType } = details.error as { failureType?: string }
    if (failureType !== 'subtestsFailed') problems.push(file?.endsWith(name) ? name : `${file}: ${name}`)
  })
  events.on('test:pass', ({ name, file, skip, todo }) => {
    if (skip !== undefined || todo !== undefined) problems.push(`${file}: ${name}: skipped`)
    // Node reports a file without a test as one test that passed, named like the file.
    else if (file?.endsWith(name)) problems.push(`${name} holds no test`)
  })
  events.on('test:summary', ({ file, counts }) => {
    if (file !== undefined) return // one file's; the last one is the sum
    const { tests, passed, skipped, todo } = counts
    total.passed += passed
    total.failed += tests - passed - skipped - todo // failed and cancelled
    total.skipped += skipped + todo
  })
  for await (const chunk of events.compose(new spec())) process.stdout.write(String(chunk))
}
