import { requirePostgres, resolveConfig } from '../config/config.ts'
import type { ConfigInput } from '../config/options.ts'
import type { Logger } from '../logger.ts'
import { requireSchema } from '../outbox/migrations.ts'
import { describePostgresUrl } from '../postgres/connection.ts'
import { Database } from '../postgres/database.ts'
import { searchIndexesOf } from '../search-indexes.ts'
import { SearchSync } from '../search/search-sync.ts'
import { HealthServer } from '../service/health.ts'
import { SearchMetrics } from './search-metrics.ts'
import { judgeSearch } from './search-readiness.ts'
import { aborted, connectPatiently, listen } from './start-up.ts'

export interface SearchProcessOptions {
  readonly input: ConfigInput
  readonly log: Logger
  /** In place of what the configuration says. */
  readonly healthPort?: number | undefined
  readonly healthHost?: string | undefined
  /** Aborts when the process is asked to stop. */
  readonly stop: AbortSignal
}

/** Keeps search indexes from its configuration to its clean end. Rejects with what makes that impossible, before it has begun. */
export async function runSearchProcess(options: SearchProcessOptions): Promise<void> {
  const { input, log, stop } = options
  const config = resolveConfig(input)
  const { namespace, search: settings } = config
  const postgres = requirePostgres(config, 'Search sync')
  const { schema } = postgres
  const database = new Database({ ...postgres, name: `moca:${namespace}:search` })
  const indexes = searchIndexesOf(config, database, log)
  const metrics = new SearchMetrics(() => sync.health())
  const sync: SearchSync = new SearchSync({ indexes, log, onProgress: (index, facts) => metrics.count(index, facts) })
  const health = new HealthServer({
    readiness: () => judgeSearch(sync.health(), stop.aborted),
    metrics: () => metrics.read(),
    onError: (error) => log.warn({ reason: error.message }, 'An error of the server that answers probes; it goes on'),
  })
  try {
    await listen(health, {
      port: options.healthPort ?? settings.healthPort,
      host: options.healthHost ?? settings.healthHost,
      option: 'search.healthPort',
      log,
    })
    const server = { name: 'PostgreSQL', at: describePostgresUrl(postgres.url) } as const
    if (!(await connectPatiently(() => requireSchema(database, { schema, namespace }), server, log, stop))) return
    sync.start()
    log.info({ indexes: indexes.map(({ name }) => name), schema }, 'Keeping search indexes')
    if (indexes.length === 0) log.warn({}, 'No doctype of the apps is searched for: there is nothing to do')
    await aborted(stop)
    log.info({}, 'Asked to stop: what is under way settles, and the indexes go to others')
  } finally {
    await sync.stop()
    await database.close()
    await health.stop()
  }
}
