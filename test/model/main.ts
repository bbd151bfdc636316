import { parseArgs } from 'node:util'
import { startRedis } from '../support/redis-server.ts'
import { failCallsWith, walkWith } from './catch-mutations.ts'
import { explore } from './exhaustive.ts'
import { MUTATIONS } from './mutations.ts'
import { Database } from './namespace-under-test.ts'
import { patchedScripts } from './patched-scripts.ts'
import { runWalks, shorten } from './random-walks.ts'
import type { Step } from './steps.ts'

// The real scripts on a real Redis beside a model.
//
//   npm run model                                a million random steps, then every walk of depth 5
//   npm run model -- --seed 7 --steps 5000000    another run
//   npm run model -- --seed 7 --walk 12          one walk of it again; what is found is told with the fewest steps that lead to it
//   npm run model -- --steps 0 --depth 6         only the exhaustive part, deeper
//   npm run model -- --mutations                 the planted faults, and which invariant catches each

const LANES = 6
const JOBS = 3

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    steps: { type: 'string' },
    depth: { type: 'string' },
    walk: { type: 'string' },
    mutations: { type: 'boolean', default: false },
  },
})
const steps = Number(values.steps ?? (values.walk === undefined ? 1_000_000 : 1))
const depth = Number(values.depth ?? (values.walk === undefined ? 5 : 0))

const redis = await startRedis()
try {
  if (values.mutations) await catchMutations()
  else await withDatabases(values.walk === undefined ? LANES : 1, run)
} finally {
  await redis.stop()
}

async function run(databases: readonly Database[]): Promise<void> {
  if (steps > 0) await walkAtRandom(databases)
  if (depth > 0 && process.exitCode === undefined) await walkAll(databases)
}

async function walkAtRandom(databases: readonly Database[]): Promise<void> {
  const startedAt = performance.now()
  let told = 0
  const result = await runWalks({
    databases,
    seed: Number(values.seed),
    steps,
    firstWalk: Number(values.walk ?? 0),
    onProgress: (made) => {
      if (made - told < 100_000) return
      told = made
      console.log(`${made.toLocaleString('en')} steps, ${seconds(startedAt)} s`)
    },
  })
  const { walks, found } = result
  console.log(
    `seed ${values.seed}: ${result.steps.toLocaleString('en')} random steps in ${walks} walks, ${seconds(startedAt)} s`,
  )
  if (!found) return
  console.log(`\nwalk ${found.walk}, step ${found.steps.length}: ${found.violation.message}\n`)
  tell(await shorten(databases[0] as Database, found))
}

async function walkAll(databases: readonly Database[]): Promise<void> {
  const startedAt = performance.now()
  const { moves, states, found } = await explore({ databases, depth, jobs: JOBS })
  console.log(
    `every walk of 2 workers, ${JOBS} jobs and ${depth} moves: ${moves.toLocaleString('en')} moves, ${states.toLocaleString('en')} states, ${seconds(startedAt)} s`,
  )
  if (!found) return
  console.log(`\n${found.violation.message}\n`)
  tell(found.steps)
}

async function catchMutations(): Promise<void> {
  console.log(`none planted: ${(await walkWith(redis.url))?.message ?? 'nothing found'}`)
  for (const mutation of MUTATIONS) {
    const violation = mutation.showsOnFailure ? await failCallsWith(mutation) : await walkWith(redis.url, mutation)
    if (!violation) process.exitCode = 1
    console.log(`${mutation.name.padEnd(82)} ${violation?.invariant ?? 'NOT CAUGHT'}`)
  }
}

async function withDatabases(count: number, work: (databases: readonly Database[]) => Promise<void>): Promise<void> {
  const scripts = patchedScripts()
  const databases = await Promise.all(
    Array.from({ length: count }, (_, index) => Database.open(redis.url, index, scripts)),
  )
  await work(databases).finally(() => {
    for (const database of databases) database.close()
  })
}

function tell(steps: readonly Step[]): void {
  for (const step of steps) console.log(JSON.stringify(step))
  process.exitCode = 1
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1)
}
