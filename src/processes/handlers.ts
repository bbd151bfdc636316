import type { App } from '../config/options.ts'
import { ConfigError } from '../errors.ts'
import type { JobHandler } from '../job/job.ts'
import type { Logger } from '../logger.ts'

/**
 * Loads the handlers of all apps: what their modules export, one by one or in a list. Throws ConfigError when a module does not load,
 * or when there is nothing to run. A job without a handler is left to workers that have one.
 */
export async function loadHandlers(apps: readonly App[], log: Logger): Promise<JobHandler[]> {
  if (apps.length === 0) {
    throw new ConfigError(
      'The configuration has no apps: this worker would have nothing to run. Add apps: [defineApp({ ... })].',
      {
        option: 'apps',
      },
    )
  }
  const handlers: JobHandler[] = []
  for (const { name, jobs, subscriptions = [], handlers: load } of apps) {
    const found = await loadApp(name, load)
    const types = new Set(found.map(({ job }) => job.type))
    const needed = [...jobs, ...subscriptions.map(({ job }) => job)].map(({ type }) => type)
    const missing = needed.filter((type) => !types.has(type))
    if (missing.length > 0)
      log.warn({ app: name, types: missing }, 'The app has jobs without a handler: this worker leaves them to others')
    handlers.push(...found)
  }
  if (handlers.length > 0) return handlers
  throw new ConfigError(
    'The apps of the configuration export no handlers. Make them by handle(job, ...) or handleEvent(subscription, ...) and export them.',
    { option: 'apps' },
  )
}

async function loadApp(name: string, load: App['handlers']): Promise<JobHandler[]> {
  try {
    // A handler may be exported twice, under its name and in a list.
    return [
      ...new Set(
        Object.values(await load())
          .flat()
          .filter(isHandler),
      ),
    ]
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError(`The handlers of app ${name} do not load: ${message}`, {
      option: `apps.${name}.handlers`,
      cause,
    })
  }
}

function isHandler(value: unknown): value is JobHandler {
  return (
    typeof value === 'object' && value !== null && 'job' in value && 'run' in value && typeof value.run === 'function'
  )
}
