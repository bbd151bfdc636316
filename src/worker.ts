import { ConfigError } from './errors.ts'
import type { JobHandler } from './job/job.ts'
import type { Logger } from './logger.ts'
import type { Moca } from './moca.ts'
import { resolveConfig } from './config/config.ts'
import type { WorkerInput } from './config/options.ts'
import { Worker } from './queue/worker.ts'

export interface WorkerOptions extends WorkerInput {
  readonly handlers: readonly JobHandler[]
  /**
   * The queues to serve, by name, or with settings of their own. Default: those of the handlers' jobs.
   * `concurrency` of the options is for queues without one.
   */
  readonly queues?:
    | readonly string[]
    | Readonly<Record<string, { readonly weight?: number; readonly concurrency?: number }>>
  /** Default: the logger of the Moca. */
  readonly logger?: Logger
}

/**
 * Makes a worker inside a program. Starts nothing: call `start()`. Throws ConfigError.
 * @example const worker = createWorker(moca, { handlers: [sendInvoiceHandler], concurrency: 20 })
 */
export function createWorker(moca: Moca, options: WorkerOptions): Worker {
  const { handlers, queues, logger, ...worker } = options
  if (!Array.isArray(handlers) || handlers.length === 0) {
    throw new ConfigError('A worker needs handlers: createWorker(moca, { handlers: [handle(job, ...)] })', {
      option: 'handlers',
    })
  }
  const settings = resolveConfig({ worker }, {}).worker
  // Only what was given here, or follows from it, overrides the configuration of the Moca.
  const named = new Set(Object.keys(worker))
  if (named.has('lease')) named.add('sweepInterval')
  const given = Object.fromEntries(
    Object.entries(settings).filter(([name]) => named.has(name) || named.has(name.replace(/Ms$/, ''))),
  )
  const config = { ...moca.config, worker: { ...moca.config.worker, ...given } }
  return new Worker({
    config,
    handlers,
    queues: resolveQueues(config, queues ?? [...new Set(handlers.map(({ job }) => job.queue))]),
    losses: moca.losses,
    log: logger ?? moca.log,
  })
}

function resolveQueues(config: Moca['config'], queues: NonNullable<WorkerOptions['queues']>) {
  const byName = Array.isArray(queues)
    ? Object.fromEntries((queues as readonly string[]).map((name) => [name, {}]))
    : queues
  return Object.fromEntries(
    Object.entries(byName as Record<string, { weight?: number; concurrency?: number }>).map(([name, own]) => {
      const known = config.queues[name]
      const weight = own.weight ?? known?.weight ?? 1
      const concurrency = own.concurrency ?? known?.concurrency ?? config.worker.concurrency
      if (!(weight >= 1))
        throw new ConfigError(`queues.${name}.weight must be at least 1, found ${weight}`, {
          option: `queues.${name}.weight`,
        })
      if (!(Number.isInteger(concurrency) && concurrency >= 1)) {
        throw new ConfigError(`queues.${name}.concurrency must be a whole number of at least 1, found ${concurrency}`, {
          option: `queues.${name}.concurrency`,
        })
      }
      return [name, { weight, concurrency }]
    }),
  )
}
