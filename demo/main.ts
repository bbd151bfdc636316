import { writeFile } from 'node:fs/promises'
import { type Account, makeAccount } from './account/account.ts'
import { expect, type Expectation, type ImportRow, readRows } from './cities.ts'
import { readFireLedger } from './fire-ledger.ts'
import { importCities, paginate } from './importer.ts'
import { waitForIndex } from './index-work.ts'
import { readJournal } from './journal.ts'
import { JournaledProducer } from './journaled-producer.ts'
import { WRITERS } from './documents/document-stage.ts'
import { carryOut, type Deeds } from './kills.ts'
import { readLedger } from './ledger.ts'
import { mocaVerify } from './moca-verify.ts'
import { parseOptions } from './options.ts'
import { makePace } from './pace.ts'
import { printAccount } from './print-account.ts'
import { makeProgress } from './progress.ts'
import { walk } from './raw-walk.ts'
import { isAllRelayed } from './relay-work.ts'
import { readReports } from './reports.ts'
import { serverMsOf, waitForFires } from './schedule-work.ts'
import { CLOCK_QUEUE } from './scheduled.ts'
import { totalsOf, watchUntilSettled } from './settling.ts'
import { NAMESPACE, Stage } from './stage.ts'

// `npm run demo`: imports cities as jobs and writes them as documents, while schedules fire and workers, relays, a scheduler and Redis
// are killed; then gives an account of every job, document, event, indexed document and fire.

const options = parseOptions(process.argv)
const startedAt = performance.now()
const elapsedSeconds = () => (performance.now() - startedAt) / 1_000
const progress = makeProgress(elapsedSeconds)
const interrupt = new AbortController()
const { signal } = interrupt
process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
process.exit(await main())

async function main(): Promise<number> {
  let stage: Stage | undefined
  let isOk = false
  let isLeft = false
  try {
    const rows = readRows(options.documents)
    stage = await Stage.open(rows, signal)
    announce(stage)
    const account = await Promise.race([perform(stage, rows), interrupted()])
    progress.stop()
    printAccount(account)
    if (options.json) await writeFile(options.json, `${JSON.stringify(account, undefined, 2)}\n`)
    isOk = account.ok
    if (options.keep) await leave(stage)
    isLeft = options.keep
    return isOk ? 0 : 1
  } catch (error) {
    progress.stop()
    console.error(signal.aborted ? 'Interrupted.' : error)
    return signal.aborted ? 130 : 1
  } finally {
    const keepFiles = !isOk && !signal.aborted
    if (!isLeft) await stage?.close({ keepFiles })
    if (keepFiles && stage) console.log(`Logs, journals and ledgers of this run: ${stage.directory.path}`)
  }
}

/** Import, kills and work at the same time; then the account. */
async function perform(stage: Stage, rows: readonly ImportRow[]): Promise<Account> {
  const pages = paginate(rows)
  const expectation = expect(pages)
  const deeds: Deeds = { kills: [], redisRestarts: 0, stoppedPid: undefined, rewind: undefined, failures: [] }
  const say = (text: string) => {
    if (!signal.aborted) progress.say(text)
  }
  let importedRows = 0
  let isOver = false
  let isImportOver = false
  let writtenCities = 0
  let isWritingOver = false

  const killing = carryOut(
    {
      redis: stage.redis,
      raw: stage.raw,
      workers: stage.workers,
      relays: stage.relays,
      schedulers: stage.schedulers,
      sql: stage.documents.sql,
      postgresUrl: stage.documents.postgres.url,
      namespace: NAMESPACE,
      ledgers: stage.directory.ledgers,
      deliveries: stage.directory.deliveries,
      documents: rows.length,
      plant: options.plant,
      importedRows: () => importedRows,
      elapsedSeconds,
      say,
      signal,
    },
    deeds,
  ).finally(() => {
    isOver = true
  })
  const importing = importCities({
    pages,
    producer: new JournaledProducer(stage.moca, stage.journal, 'importer'),
    pace: makePace({ pages: pages.length, isOver: () => isOver, signal }),
    onProgress: (sent) => {
      importedRows = sent
    },
  })
    .catch((error: unknown) => {
      say(`The import was cut short: ${String(error)}`)
      deeds.failures.push(String(error))
    })
    .finally(() => {
      isImportOver = true
    })
  const { transactions } = stage.documents
  const writing = stage.documents
    .write({
      outbox: stage.moca.outbox,
      pace: makePace({ pages: transactions, writers: WRITERS, isOver: () => isOver, signal }),
      onProgress: (cities) => {
        writtenCities = cities
      },
      signal,
    })
    .catch((error: unknown) => {
      say(`Writing was cut short: ${String(error)}`)
      deeds.failures.push(String(error))
    })
    .finally(() => {
      isWritingOver = true
    })
  await Promise.all([
    killing,
    importing,
    writing,
    watchUntilSettled({
      // Schedules go on for ever: what they enqueue is looked at apart.
      counts: async () => {
        const { [CLOCK_QUEUE]: _, ...queues } = await stage.moca.queue.counts()
        return queues
      },
      importedRows: () => importedRows,
      writtenCities: () => writtenCities,
      isImportOver: () => isImportOver && isWritingOver,
      isAllRelayed: () => isAllRelayed(stage.documents.sql, stage.raw, NAMESPACE),
      progress,
      totals: totalsOf(rows, expectation),
      signal,
    }),
  ])
  return giveAccount(stage, expectation, deeds)
}

async function giveAccount(stage: Stage, expectation: Expectation, deeds: Deeds): Promise<Account> {
  const { directory, raw, documents } = stage
  await waitForIndex(documents.sql)
  const untilMs = await serverMsOf(raw)
  await waitForFires(directory.fires, untilMs)
  const verified = await mocaVerify({ redisUrl: stage.redis.url, postgresUrl: documents.postgres.url })
  deeds.failures.push(...(await stage.stopProcesses()))
  return makeAccount({
    expectation,
    journal: await readJournal(directory.journals),
    ledger: await readLedger(directory.ledgers),
    walk: await walk(raw, NAMESPACE),
    counts: await stage.moca.queue.counts(),
    reports: await readReports(directory.reports),
    recorded: await documents.evidence(),
    fires: { ledger: await readFireLedger(directory.fires), fromMs: stage.firesFromMs, untilMs },
    verified,
    ...deeds,
    seconds: Math.round(elapsedSeconds() * 10) / 10,
  })
}

function announce({ directory, redis, crews, documents }: Stage): void {
  if (process.env['REDIS_URL']) console.log('REDIS_URL is not used: this demo kills its Redis.')
  if (process.env['DATABASE_URL']) console.log('DATABASE_URL is not used: this demo has its own PostgreSQL.')
  console.log(`Redis ${redis.url} (append-only file, fsync always), process ${redis.pid}`)
  console.log(`PostgreSQL ${documents.postgres.url}, process ${documents.postgres.pid}`)
  for (const { name, pid } of crews.flatMap(({ running }) => running)) console.log(`${name}, process ${pid}`)
  console.log(`Files of this run: ${directory.path}`)
}

async function leave(stage: Stage): Promise<void> {
  const { jobs } = await stage.moca.queue.list({ status: 'dead', limit: 1 })
  const { redis, documents, directory } = stage
  const pids = await stage.leaveRunning()
  console.log(`
Redis, PostgreSQL and two processes of each kind are left running. To look around:
  export REDIS_URL=${redis.url} DATABASE_URL=${documents.postgres.url}
  alias moca='node src/cli/main.ts --config demo/moca.config.ts'
  moca status
  moca events tail
  moca search query pari
  moca search status
  moca scheduler list-jobs
  moca queue list --status dead
  moca queue inspect ${jobs[0]?.id ?? 'JOB_ID'}
  moca verify
  moca verify --drill
  redis-cli -p ${redis.port} XRANGE '{moca:${NAMESPACE}}:boots' - +
  ls ${directory.path}/*
To end it:
  kill ${pids.join(' ')}; sleep 5; rm -r ${directory.path} ${documents.postgres.dir}`)
}

function interrupted(): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

function onSignal(name: NodeJS.Signals): void {
  interrupt.abort(new Error(`Interrupted by ${name}`))
  // Whoever asks twice does not want to wait; watchers end what is left.
  process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(130))
}
