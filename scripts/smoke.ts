import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { startPostgres, type TestDatabase } from '../test/support/postgres-server.ts'
import { startRedis } from '../test/support/redis-server.ts'
import { waitFor } from '../test/support/wait-for.ts'

// Installs the packed package into an empty project and works with it there, as a user would: what `files` or the build
// leaves out is missed here and nowhere else.

const PROGRAM = `
import assert from 'node:assert/strict'
import { createMoca, createWorker, defineJob, handle } from 'mocajs'

const greet = defineJob({ type: 'greet' })
const greeted = []
const done = Promise.withResolvers()
const handler = handle(greet, ({ payload }) => {
  greeted.push(payload.name)
  if (greeted.length === 3) done.resolve()
})

const moca = createMoca()
for (const name of ['Ada', 'Grace', 'Katherine']) {
  assert.equal((await moca.queue.enqueue(greet, { name })).status, 'enqueued')
}
const worker = createWorker(moca, { handlers: [handler] })
await worker.start()
await done.promise
await worker.stop()
await moca.close()
assert.deepEqual(greeted.toSorted(), ['Ada', 'Grace', 'Katherine'])
`

const JOBS = `
import { defineJob } from 'mocajs'
export const count = defineJob({ type: 'count' })
`

const HANDLERS = `
import { appendFile } from 'node:fs/promises'
import { handle } from 'mocajs'
import { count } from './jobs.mjs'
export const countHandler = handle(count, ({ payload }) => appendFile('handled.txt', payload.n + '\\n'))
`

const CONFIG = `
import { defineApp, defineConfig } from 'mocajs'
import { count } from './jobs.mjs'
const app = defineApp({ name: 'smoke', jobs: [count], handlers: () => import('./handlers.mjs') })
export default defineConfig({ apps: [app] })
`

const ENQUEUE = `
import { createMoca } from 'mocajs'
import { count } from './jobs.mjs'
const moca = createMoca()
await moca.queue.enqueueMany(count, [1, 2, 3].map((n) => ({ payload: { n } })))
await moca.close()
`

/** A folder examples/outbox-<library> each. */
const DATABASE_LIBRARIES = ['pg', 'postgres', 'kysely', 'drizzle', 'prisma', 'knex', 'typeorm']
/** What they import besides pg. Linked to what is installed here: seven libraries would take a minute. */
const LINKED = ['postgres', 'kysely', 'drizzle-orm', '@prisma/client', '@prisma/adapter-pg', 'knex', 'typeorm']

const RECORDED = `order 1: committed
order 2: rolled back, the total is negative
in the log: event order.placed of order:1
in the log: job invoice.send of order:1
`

const FOUND = `studying: Solaris (Stanisław Lem); pl 1
dispossesed: The Dispossessed (Ursula Le Guin); en 1
ursula k: The Dispossessed (Ursula K. Le Guin), The Left Hand of Darkness (Ursula K. Le Guin); en 2
ursula: The Left Hand of Darkness (Ursula K. Le Guin); en 1
`

const project = mkdtempSync(join(tmpdir(), 'moca-smoke-'))
let steps = 0
const redis = await startRedis()
const postgres = await startPostgres()
try {
  installInto(project)
  await step('a program enqueues three jobs and runs them', () => runProgram('program.mjs', PROGRAM))
  await step('the command line runs three jobs of the configuration', runCommandLine)
  await step('the example sends its invoices', runExample)
  await step('the example fires its schedules', runSchedules)
  await step('without pg, moca migrate says what to install', migrateWithoutDriver)
  await step('with pg, moca migrate makes the schema', () => migrate(project))
  const database = await postgres.createDatabase()
  await step('the application that moca init writes passes its test', () => runInit(database.url))
  await database.drop()
  for (const name of LINKED) link(name)
  for (const library of DATABASE_LIBRARIES) {
    const database = await postgres.createDatabase()
    await step(`the example records in transactions of ${library}`, () => runOutboxExample(library, database.url))
    await database.drop()
  }
  const library = await postgres.createDatabase()
  await step('the example finds its books', () => runSearch(library))
  await library.drop()
  console.log(`smoke: ${steps} steps passed`)
} finally {
  await redis.stop()
  await postgres.stop()
  rmSync(project, { recursive: true, force: true })
}

function installInto(folder: string): void {
  run('npm', ['pack', '--silent', '--pack-destination', folder], process.cwd())
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))
  if (!tarball) throw new Error('npm pack made no tarball')
  write('package.json', JSON.stringify({ name: 'smoke', private: true, type: 'module' }))
  run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--silent', `./${tarball}`], folder)
}

function runCommandLine(): void {
  write('jobs.mjs', JOBS)
  write('handlers.mjs', HANDLERS)
  write('moca.config.mjs', CONFIG)
  runProgram('enqueue.mjs', ENQUEUE)
  run(process.execPath, ['node_modules/.bin/moca', 'worker', 'start', '--burst'], project)
  const handled = readFileSync(join(project, 'handled.txt'), 'utf8').trim().split('\n').toSorted()
  if (handled.join() !== '1,2,3') throw new Error(`handled: ${handled.join()}`)
}

/** The example, as its README says; its configuration names its own namespace. */
function runExample(): void {
  const folder = join(project, 'example')
  cpSync('examples/send-invoices', folder, { recursive: true })
  const moca = join(project, 'node_modules/.bin/moca')
  run(process.execPath, ['main.ts'], folder, 'send-invoices')
  run(process.execPath, [moca, 'worker', 'start', '--burst'], folder, 'send-invoices')
  run(process.execPath, [moca, 'verify'], folder, 'send-invoices')
  const dead = spawnSync(process.execPath, [moca, 'queue', 'list', '--status', 'dead', '--json'], {
    cwd: folder,
    env: environment('send-invoices'),
    encoding: 'utf8',
  }).stdout
  if (!dead.includes('over the limit')) throw new Error(`the dead letter is missing: ${dead}`)
}

/** As its README says, until the schedule of each second has fired. */
async function runSchedules(): Promise<void> {
  const folder = join(project, 'schedules')
  cpSync('examples/schedules', folder, { recursive: true })
  const moca = join(project, 'node_modules/.bin/moca')
  const env = environment('schedules')
  const scheduler = spawn(process.execPath, [moca, 'scheduler', 'start'], { cwd: folder, env, stdio: 'ignore' })
  const ended = once(scheduler, 'exit')
  try {
    const runs = () => {
      const { stdout } = spawnSync(process.execPath, [moca, 'scheduler', 'list-jobs', '--json'], {
        cwd: folder,
        env,
        encoding: 'utf8',
      })
      const { schedules } = JSON.parse(stdout) as { schedules: { name: string; runs: unknown[] }[] }
      return schedules.find(({ name }) => name === 'heartbeat')?.runs.length ?? 0
    }
    await waitFor(() => runs() > 0, { timeoutMs: 20_000, describe: 'the schedule to fire' })
    run(process.execPath, [moca, 'scheduler', 'trigger', 'clean-up'], folder, 'schedules')
  } finally {
    scheduler.kill('SIGTERM')
    await ended
  }
  run(process.execPath, [moca, 'worker', 'start', '--burst'], folder, 'schedules')
  run(process.execPath, [moca, 'verify'], folder, 'schedules')
}

/** As its README says, but for npm install: what it needs is installed beside it. */
function runInit(url: string): void {
  run(process.execPath, ['node_modules/.bin/moca', 'init', 'app'], project)
  run('npm', ['test', '--silent'], join(project, 'app'), 'app', { DATABASE_URL: url })
}

function migrateWithoutDriver(): void {
  const { status, stderr } = spawnMigrate()
  if (status !== 2 || !stderr.includes('npm install pg')) throw new Error(`exit code ${status}: ${stderr}`)
}

function migrate(folder: string): void {
  const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { devDependencies: { pg: string } }
  const pg = `pg@${devDependencies.pg}`
  run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--silent', pg], folder)
  const { status, stdout, stderr } = spawnMigrate()
  if (status !== 0 || !stdout.includes('Applied migration 1')) throw new Error(`exit code ${status}: ${stderr}`)
}

function spawnMigrate() {
  return spawnSync(process.execPath, ['node_modules/.bin/moca', 'migrate'], {
    cwd: project,
    env: { ...environment('smoke'), DATABASE_URL: postgres.url },
    encoding: 'utf8',
  })
}

function link(name: string): void {
  const place = join(project, 'node_modules', name)
  mkdirSync(dirname(place), { recursive: true })
  symlinkSync(resolve('node_modules', name), place, 'dir')
}

/** The example, as its README says. */
function runOutboxExample(library: string, url: string): void {
  const folder = join(project, `outbox-${library}`)
  cpSync(`examples/outbox-${library}`, folder, { recursive: true })
  const env = { ...environment(`outbox-${library}`), DATABASE_URL: url }
  for (const program of [[join(project, 'node_modules/.bin/moca'), 'migrate'], ['main.ts']]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, program, { cwd: folder, env, encoding: 'utf8' })
    if (status !== 0) throw new Error(`${program.join(' ')}: exit code ${status}: ${stderr}`)
    if (program[0] === 'main.ts' && stdout !== RECORDED) throw new Error(`it said:\n${stdout}`)
  }
}

/** The example, as its README says. */
async function runSearch(database: TestDatabase): Promise<void> {
  const folder = join(project, 'search')
  cpSync('examples/search', folder, { recursive: true })
  const moca = join(project, 'node_modules/.bin/moca')
  const env = { ...environment('search'), DATABASE_URL: database.url }
  run(process.execPath, [moca, 'migrate'], folder, 'search', env)
  await database.query(readFileSync(join(folder, 'tables.sql'), 'utf8'))
  run(process.execPath, [moca, 'outbox', 'capture', '--all'], folder, 'search', env)
  const sync = spawn(process.execPath, [moca, 'search', 'sync'], { cwd: folder, env, stdio: 'ignore' })
  const ended = once(sync, 'exit')
  try {
    const isBuilt = () =>
      spawnSync(process.execPath, [moca, 'search', 'query', '--quiet'], { cwd: folder, env }).status === 0
    await waitFor(isBuilt, { timeoutMs: 20_000, describe: 'the index to be built' })
    const { status, stdout, stderr } = spawnSync(process.execPath, ['main.ts'], {
      cwd: folder,
      env,
      encoding: 'utf8',
      timeout: 30_000,
    })
    if (status !== 0 || stdout !== FOUND) throw new Error(`exit code ${status}, it said:\n${stdout}${stderr}`)
    run(process.execPath, [moca, 'search', 'verify'], folder, 'search', env)
  } finally {
    sync.kill('SIGTERM')
    await ended
  }
}

function runProgram(name: string, text: string): void {
  write(name, text)
  run(process.execPath, [name], project)
}

function write(name: string, text: string): void {
  writeFileSync(join(project, name), text)
}

/** Runs a command to its end. It must end by itself: a program that leaves something open fails by the deadline. */
function run(command: string, args: string[], cwd: string, namespace = 'smoke', env: NodeJS.ProcessEnv = {}): void {
  const { status, signal } = spawnSync(command, args, {
    cwd,
    env: { ...environment(namespace), ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: 120_000,
  })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${signal ?? `exit code ${status}`}`)
}

function environment(namespace: string): NodeJS.ProcessEnv {
  return { ...process.env, REDIS_URL: redis.url, MOCA_NAMESPACE: namespace }
}

async function step(what: string, action: () => void | Promise<void>): Promise<void> {
  steps++
  console.log(`smoke: ${what}`)
  await action()
}
