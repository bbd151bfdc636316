import { makeHandlers } from '../handlers.ts'
import { Ledger } from '../ledger.ts'
import type { WorkerProcessOptions } from '../worker-options.ts'

const { dir } = JSON.parse(process.env.CHAOS_WORKER ?? '{}') as WorkerProcessOptions

export default makeHandlers(new Ledger(dir))

// Whoever started the command holds this pipe: nobody else would end it.
process.stdin.once('end', () => process.exit(1)).resume()
