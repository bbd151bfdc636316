import { ConfigError } from './errors.ts'
import { canaryHandlers } from './events/canary.ts'
import type { JobHandler } from './job/job.ts'
import { withAttemptHooks } from './job/job-hooks.ts'
import type { Logger } from './logger.ts'
import type { Moca } from './moca.ts'
import { resolveConfig } from './config/config.ts'
import type { WorkerInput } from './config/options.ts'
import { Worker } from './queue/worker/worker.ts'

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
  const served = resolveQueues(config, queues ?? [...new Set(handlers.map(({ job }) => job.queue))])
  const log = logger ?? moca.log
  const all = [...canaryHandlers, ...withAttemptHooks(handlers, config.hooks.attempt)]
  const made = new Worker({ config, handlers: all, queues: served, losses: moca.losses, log })
  tellUnserved(config, handlers, served, log)
  return made
}

/**
 * Says which handlers this worker will not call (but for jobs that are enqueued to another queue than their contract's). One list of
 * handlers for all workers, each of which serves some of the queues, is good use: then it is worth a line and no alarm. A queue that
 * the configuration does not know is another matter: no worker of it serves that queue unless it is told to, and its jobs would lie there.
 */
function tellUnserved(
  { queues }: Moca['config'],
  handlers: readonly JobHandler[],
  served: Readonly<Record<string, unknown>>,
  log: Logger,
): void {
  const unserved = handlers.filter(({ job }) => !Object.hasOwn(served, job.queue))
  const tell = (level: 'info' | 'warn', left: readonly JobHandler[], message: string) => {
    if (left.length === 0) return
    const facts = { types: left.map(({ job }) => job.type), queues: [...new Set(left.map(({ job }) => job.queue))] }
    log[level](facts, message)
  }
  const isKnown = ({ job }: JobHandler) => Object.hasOwn(queues, job.queue)
  tell('info', unserved.filter(isKnown), 'This worker has handlers for queues that it does not serve')
  tell(
    'warn',
    unserved.filter((handler) => !isKnown(handler)),
    'This worker has handlers for queues that it does not serve and the configuration does not know: who runs these jobs?',
  )
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
