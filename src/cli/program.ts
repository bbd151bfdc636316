import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { UsageError, explain } from './cli-error.ts'
import { Context, type Flags } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { acknowledgeLosses } from './queue-acknowledge-losses.ts'
import { cancelJob } from './queue-cancel.ts'
import { inspectJob } from './queue-inspect.ts'
import { listJobs } from './queue-list.ts'
import { purgeJobs } from './queue-purge.ts'
import { retryJobs } from './queue-retry.ts'
import { showStatus } from './queue-status.ts'
import { verify } from './verify.ts'

/** Runs the command line with these arguments (without node and the program); resolves with the exit code. */
export async function runCommandLine(args: readonly string[]): Promise<ExitCode> {
  let context = new Context(peekFlags(args))
  try {
    const chosen: { run?: () => Promise<ExitCode> } = {}
    const program = describeProgram(context, (command, run) => {
      context = new Context(command.optsWithGlobals<Flags>())
      chosen.run = () => run(context)
    })
    await program.parseAsync(args, { from: 'user' })
    return (await chosen.run?.()) ?? EXIT.fine
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.fine // help, version
    const isGroupAlone = error instanceof CommanderError && error.code === 'commander.help'
    if (isGroupAlone && !context.output.isJson) return EXIT.wrongUse // its help has been shown
    const shown = error instanceof CommanderError ? asUsageError(error) : error
    const explanation = explain(shown, context.describe())
    context.output.fail(explanation, shown instanceof Error ? shown.stack : undefined)
    return explanation.exitCode
  }
}

type Choose = (command: Command, run: (context: Context) => Promise<ExitCode>) => void

function describeProgram({ output }: Context, choose: Choose): Command {
  const program = new Command('moca')
    .description(
      'Jobs on Redis Streams, schedules, events, and an outbox in PostgreSQL, with an account of everything.',
    )
    .version(readVersion())
    .option('--config <file>', 'configuration (default: moca.config.ts, .js or .mjs here or above)')
    .option('--namespace <name>', 'namespace, in place of the one of the configuration')
    .option('--json', 'print one JSON object, or one a line, and nothing else')
    .option('--no-color', 'print without colors')
    .option('--quiet', 'print results and errors only')
    .option('--verbose', 'print more, also where an error comes from')
    .option('--timeout <duration>', 'how long to try to reach a server, e.g. 30s (default: one try)')
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      outputError: () => {}, // told by output.fail
      writeErr: (text) => {
        if (!output.isJson) process.stderr.write(text)
      },
    })
    .addHelpText(
      'after',
      examples('moca worker start', 'moca queue status', 'moca queue list --status dead', 'moca verify --json'),
    )
    .exitOverride()
  const worker = program.command('worker').description('run jobs')
  describeWorker(worker.addHelpText('after', examples('moca worker start --queues critical,default')), choose)
  const queue = program.command('queue').description('look at jobs and queues, and move jobs')
  describeQueue(
    queue.addHelpText('after', examples('moca queue status', 'moca queue retry --all-failed --older-than 1h')),
    choose,
  )
  const scheduler = program.command('scheduler').description('fire schedules, and look at them')
  describeScheduler(
    scheduler.addHelpText('after', examples('moca scheduler start', 'moca scheduler list-jobs')),
    choose,
  )
  const outbox = program.command('outbox').description('look at the outbox, and tell its relays what to do')
  describeOutbox(
    outbox.addHelpText('after', examples('moca outbox status --parked', 'moca outbox redrive --since 1h --dry-run')),
    choose,
  )
  const events = program.command('events').description('watch, publish and replay events, and see who gets them')
  describeEvents(events.addHelpText('after', examples('moca events tail', 'moca events consumer-status')), choose)
  const search = program.command('search').description('find documents, and keep, rebuild and verify search indexes')
  describeSearch(
    search.addHelpText('after', examples('moca search query pari', 'moca search status', 'moca search rebuild City')),
    choose,
  )
  program
    .command('verify')
    .description(
      'account for every job, for all that the outbox recorded, and for indexes; exit code 1 on any difference',
    )
    .option('--queue <name>', 'this queue only')
    .option(
      '--since <instant>',
      'read recorded batches again from then on, an instant or a time ago (default: all that are kept)',
    )
    .option('--drill', 'send canaries through event, job and index instead, and show how long they take')
    .option('--within <time>', 'with --drill: how long a canary may take (default: 30s)')
    .addHelpText(
      'after',
      examples('moca verify', 'moca verify --since 1h', 'moca verify --queue critical --json', 'moca verify --drill'),
    )
    .action(({ drill, within, ...options }, command) =>
      choose(command, async (context) => {
        if (!drill && within === undefined) return verify(context, options)
        const { runDrill } = await import('./verify-drill.ts')
        return runDrill(context, { ...options, isDrill: drill === true, within })
      }),
    )
  program
    .command('migrate')
    .description("make Moca's schema in PostgreSQL, or bring it to what this release needs")
    .option('--print', 'print the SQL, and run nothing')
    .addHelpText('after', examples('moca migrate', 'moca migrate --print | psql -v ON_ERROR_STOP=1 "$DATABASE_URL"'))
    .action((options, command) =>
      choose(command, async (context) => {
        const { migrateSchema } = await import('./migrate.ts')
        return migrateSchema(context, options)
      }),
    )
  program
    .command('init')
    .description('write a small application that works, with a test')
    .argument('[folder]', 'where (default: here)')
    .addHelpText('after', examples('moca init my-app'))
    .action((folder, _, command) =>
      choose(command, async (context) => {
        const { initProject } = await import('./init.ts')
        return initProject(context, folder)
      }),
    )
  program
    .command('dev')
    .description('everything in one process, with servers where none is named: for development')
    .option('--fresh', 'begin without the data of before')
    .option('--run <command>', 'run it when everything runs, then end everything; exit code 1 when it failed')
    .addHelpText('after', examples('moca dev', 'moca dev --fresh', "moca dev --quiet --run 'node --test'"))
    .action((options, command) =>
      choose(command, async (context) => {
        const { runDev } = await import('./dev.ts')
        return runDev(context, options)
      }),
    )
  program
    .command('status')
    .description('the whole deployment on one screen')
    .option('--watch', 'again every second')
    .addHelpText('after', examples('moca status', 'moca status --watch', 'moca status --json'))
    .action((options, command) =>
      choose(command, async (context) => {
        const { showOverview } = await import('./status.ts')
        return showOverview(context, options)
      }),
    )
  program
    .command('doctor')
    .description('look at servers, schema, queues, outbox and apps; exit code 1 when something is wrong')
    .option('--fix', 'mend what can be mended safely: migrations, partitions')
    .addHelpText('after', examples('moca doctor', 'moca doctor --fix', 'moca doctor --json'))
    .action((options, command) =>
      choose(command, async (context) => {
        const { runDoctor } = await import('./doctor.ts')
        return runDoctor(context, options)
      }),
    )
  return inheritSettings(program)
}

function describeWorker(worker: Command, choose: Choose): void {
  worker
    .command('start')
    .description("run the jobs of the configuration's apps until SIGTERM or SIGINT; a second one stops at once")
    .option('--queues <names>', 'serve these, divided by commas (default: all of the configuration)')
    .option('--concurrency <jobs>', 'jobs at once per queue')
    .option('--burst', 'stop when the queues are empty')
    .option('--health-port <port>', 'answer /healthz, /readyz and /metrics there')
    .option('--health-host <address>', 'address for it (default: all)')
    .addHelpText(
      'after',
      examples(
        'moca worker start',
        'moca worker start --queues critical,default --concurrency 20',
        'moca worker start --burst',
      ),
    )
    .action((options, command) =>
      choose(command, async (context) => {
        // Only here: what a worker needs takes longer to load than most commands to run.
        const { startWorker } = await import('./worker-start.ts')
        return startWorker(context, options)
      }),
    )
}

function describeQueue(queue: Command, choose: Choose): void {
  queue
    .command('status')
    .description('what stands where, in every queue')
    .option('--queue <name>', 'this queue only')
    .option('--watch', 'again every second')
    .addHelpText('after', examples('moca queue status', 'moca queue status --queue critical --watch'))
    .action((options, command) => choose(command, (context) => showStatus(context, options)))
  queue
    .command('list')
    .description('one page of jobs, in queue order')
    .option('--queue <name>', 'this queue only')
    .option('--status <status>', 'waiting, active, delayed, gated, dead, completed, cancelled or expired')
    .option('--type <type>', 'jobs of this type only')
    .option('--limit <jobs>', 'most jobs of a page, 1 to 1000 (default: 50)')
    .option('--cursor <cursor>', 'the next page: what the page before said')
    .addHelpText(
      'after',
      examples('moca queue list --status dead', 'moca queue list --queue default --type invoice.send --limit 200'),
    )
    .action((options, command) => choose(command, (context) => listJobs(context, options)))
  queue
    .command('inspect')
    .description('everything that is known of one job')
    .argument('<job-id>')
    .addHelpText('after', examples('moca queue inspect default.0.1732464000000-5'))
    .action((id, _, command) => choose(command, (context) => inspectJob(context, id)))
  queue
    .command('retry')
    .description('start a dead letter anew, or all of them')
    .argument('[job-id]')
    .option('--all-failed', 'all dead letters')
    .option('--queue <name>', 'with --all-failed: of this queue')
    .option('--type <type>', 'with --all-failed: of this type')
    .option('--older-than <duration>', 'with --all-failed: that died so long ago, e.g. 1h')
    .option('--dry-run', 'with --all-failed: only say how many')
    .addHelpText(
      'after',
      examples(
        'moca queue retry default.0.1732464000000-5',
        'moca queue retry --all-failed --type invoice.send --older-than 1h',
      ),
    )
    .action((id, options, command) => choose(command, (context) => retryJobs(context, id, options)))
  queue
    .command('purge')
    .description('delete jobs that no worker has; asks before')
    .option('--queue <name>', 'of this queue')
    .option('--all', 'of every queue')
    .option('--type <type>', 'of this type only')
    .option('--status <status>', 'waiting, delayed, gated or dead (default: all of them)')
    .option('--force', 'do not ask')
    .option('--dry-run', 'only say how many')
    .addHelpText(
      'after',
      examples(
        'moca queue purge --queue default --status dead --dry-run',
        'moca queue purge --queue default --status dead --force',
      ),
    )
    .action((options, command) => choose(command, (context) => purgeJobs(context, options)))
  queue
    .command('cancel')
    .description('take a job back that has not started')
    .argument('<job-id>')
    .addHelpText('after', examples('moca queue cancel default.0.1732464000000-5'))
    .action((id, _, command) => choose(command, (context) => cancelJob(context, id)))
  queue
    .command('acknowledge-losses')
    .description('say that you know what Redis forgot: verify, status and doctor do not name it any more')
    .option('--queue <name>', 'of this queue only')
    .addHelpText('after', examples('moca queue acknowledge-losses', 'moca queue acknowledge-losses --queue default'))
    .action((options, command) => choose(command, (context) => acknowledgeLosses(context, options)))
}

function describeScheduler(scheduler: Command, choose: Choose): void {
  scheduler
    .command('start')
    .description('fire schedules, or stand by while another scheduler does, until asked to stop')
    .option('--health-port <port>', 'answer /healthz, /readyz and /metrics there')
    .option('--health-host <address>', 'address for it (default: all)')
    .addHelpText('after', examples('moca scheduler start', 'moca scheduler start --health-port 9091'))
    .action((options, command) =>
      choose(command, async (context) => {
        const { startScheduler } = await import('./scheduler-start.ts')
        return startScheduler(context, options)
      }),
    )
  scheduler
    .command('status')
    .description('who leads, and when the next fire is; exit code 1 when nobody leads and something is to be fired')
    .addHelpText('after', examples('moca scheduler status', 'moca scheduler status --json'))
    .action((_, command) =>
      choose(command, async (context) => {
        const { showScheduler } = await import('./scheduler-list.ts')
        return showScheduler(context)
      }),
    )
  scheduler
    .command('list-jobs')
    .description('all schedules: when they fire next, and what became of their runs')
    .addHelpText('after', examples('moca scheduler list-jobs', 'moca scheduler list-jobs --json'))
    .action((_, command) =>
      choose(command, async (context) => {
        const { listSchedules } = await import('./scheduler-list.ts')
        return listSchedules(context)
      }),
    )
  scheduler
    .command('trigger')
    .description('enqueue the job of a schedule now, beside its instants')
    .argument('<name>')
    .addHelpText('after', examples('moca scheduler trigger nightly-report'))
    .action((name, _, command) =>
      choose(command, async (context) => {
        const { triggerSchedule } = await import('./scheduler-change.ts')
        return triggerSchedule(context, name)
      }),
    )
  const switches = {
    enable: 'let a schedule fire again, from now on',
    disable: 'let a schedule not fire until it is enabled',
  } as const
  for (const to of ['enable', 'disable'] as const) {
    scheduler
      .command(to)
      .description(switches[to])
      .argument('<name>')
      .addHelpText('after', examples(`moca scheduler ${to} nightly-report`))
      .action((name, _, command) =>
        choose(command, async (context) => {
          const { switchSchedule } = await import('./scheduler-change.ts')
          return switchSchedule(context, name, to)
        }),
      )
  }
}

// Loaded when they run: only those who have PostgreSQL need them.
function describeOutbox(outbox: Command, choose: Choose): void {
  outbox
    .command('start')
    .description('relay what was recorded to the queue, until asked to stop')
    .option('--health-port <port>', 'answer /healthz, /readyz and /metrics there')
    .option('--health-host <address>', 'address for it (default: all)')
    .addHelpText('after', examples('moca outbox start', 'moca outbox start --health-port 9090'))
    .action((options, command) =>
      choose(command, async (context) => {
        const { startOutbox } = await import('./outbox-start.ts')
        return startOutbox(context, options)
      }),
    )
  outbox
    .command('status')
    .description('what waits, who relays it, what stands still and why')
    .option('--parked', 'list the parked keys, too')
    .option('--watch', 'again every second')
    .addHelpText('after', examples('moca outbox status --watch', 'moca outbox status --parked --json'))
    .action((options, command) =>
      choose(command, async (context) => {
        const { showOutbox } = await import('./outbox-status.ts')
        return showOutbox(context, options)
      }),
    )
  const wishes = {
    retry: 'send a parked key again: its first row and all behind it',
    skip: 'leave out the first row of a parked key for good, and send what is behind it; asks before',
    discard: 'leave out all rows that wait with a parked key for good; asks before',
  } as const
  for (const wish of ['retry', 'skip', 'discard'] as const) {
    const command = outbox
      .command(wish)
      .description(wishes[wish])
      .argument('[key]', 'as moca outbox status --parked shows it')
      .option('--all', 'every parked key')
      .option('--sink <name>', 'of this sink only')
      .option('--dry-run', 'only say what would be done')
      .addHelpText(
        'after',
        examples(`moca outbox ${wish} customer:7`, `moca outbox ${wish} --all --sink queue --dry-run`),
      )
    if (wish !== 'retry') command.option('--force', 'do not ask')
    command.action((key, options, command) =>
      choose(command, async (context) => {
        const { freeParkedKey } = await import('./outbox-parked-key.ts')
        return freeParkedKey(context, wish, key, options)
      }),
    )
  }
  outbox
    .command('capture')
    .description("record every change of a doctype's table: install its triggers, show or remove them")
    .argument('[doctype]')
    .option('--all', 'every doctype of the apps')
    .option('--show', 'only say what is installed; exit code 1 unless it is what this release installs')
    .option('--remove', 'remove the triggers; asks before')
    .option('--force', 'do not ask')
    .addHelpText('after', examples('moca outbox capture City', 'moca outbox capture --all --show'))
    .action((doctype, options, command) =>
      choose(command, async (context) => {
        const { captureDoctypes } = await import('./outbox-capture.ts')
        return captureDoctypes(context, doctype, options)
      }),
    )
  outbox
    .command('redrive')
    .description('send again what a sink forgot, however old it is; asks before')
    .option(
      '--since <instant>',
      'an instant, or a time ago, e.g. 1h: what was forgotten and is older is left out for good',
    )
    .option('--sink <name>', 'of this sink only')
    .option('--force', 'do not ask')
    .option('--dry-run', 'only say how much')
    .addHelpText(
      'after',
      examples('moca outbox redrive --since 1h --dry-run', 'moca outbox redrive --since 2026-11-25T08:00:00Z'),
    )
    .action((options, command) =>
      choose(command, async (context) => {
        const { redrive } = await import('./outbox-redrive.ts')
        return redrive(context, options)
      }),
    )
  outbox
    .command('rebase')
    .description('accept the present PostgreSQL as the truth, after it was put back, copied or replaced; asks before')
    .option('--force', 'do not ask')
    .option('--dry-run', 'only say what it would mean, lane by lane')
    .addHelpText('after', examples('moca outbox rebase --dry-run', 'moca outbox rebase --force'))
    .action((options, command) =>
      choose(command, async (context) => {
        const { rebaseOutbox } = await import('./outbox-rebase.ts')
        return rebaseOutbox(context, options)
      }),
    )
}

function describeEvents(events: Command, choose: Choose): void {
  events
    .command('tail')
    .description('show events while they are published, until a signal')
    .argument('[topic]', 'a topic, or topics by their beginning: shop.* (default: all)')
    .option('--doctype <name>', 'of this doctype only')
    .option('--event <type>', 'of this type only')
    .option('--site <name>', 'of this site only')
    .option('--since <time>', 'first those recorded since: an instant, or a time ago like 10m. Needs PostgreSQL')
    .option('--format <format>', 'short, full or json (default: short)')
    .addHelpText('after', examples('moca events tail', "moca events tail 'shop.*' --since 10m --format full"))
    .action((topic, options, command) =>
      choose(command, async (context) => {
        const { tailEvents } = await import('./events-tail.ts')
        return tailEvents(context, topic, options)
      }),
    )
  events
    .command('list-topics')
    .description('topics that mean something already, and those that somebody subscribed or listens to')
    .addHelpText('after', examples('moca events list-topics'))
    .action((_, command) =>
      choose(command, async (context) => {
        const { listTopics } = await import('./events-list-topics.ts')
        return listTopics(context)
      }),
    )
  events
    .command('publish')
    .description('publish one event at once')
    .argument('<topic>')
    .argument('[event]', 'JSON: { type, key, data, ... } (default: standard input)')
    .addHelpText(
      'after',
      examples(
        `moca events publish shop.orders '{"type":"order.paid","data":{"total":12}}'`,
        'moca events publish shop.orders < event.json',
      ),
    )
    .action((topic, event, _, command) =>
      choose(command, async (context) => {
        const { publishEvent } = await import('./events-publish.ts')
        return publishEvent(context, topic, event)
      }),
    )
  events
    .command('consumer-status')
    .description('who is subscribed, and what waits for each')
    .addHelpText('after', examples('moca events consumer-status', 'moca events consumer-status --json'))
    .action((_, command) =>
      choose(command, async (context) => {
        const { showConsumers } = await import('./events-consumer-status.ts')
        return showConsumers(context)
      }),
    )
  events
    .command('replay')
    .description('send recorded events again to those who ask for them now; asks before')
    .argument('<topic>', 'a topic, or topics by their beginning: shop.*')
    .option('--since <time>', 'recorded since: an instant, or a time ago like 2h')
    .option('--until <time>', 'recorded before (default: now)')
    .option('--key <key>', 'of this key only')
    .option('--subscription <name>', 'to this subscription only')
    .option('--force', 'do not ask')
    .option('--dry-run', 'only say how many')
    .addHelpText(
      'after',
      examples(
        'moca events replay shop.orders --since 2h --dry-run',
        'moca events replay shop.orders --since 2026-11-25T08:00:00Z --until 2026-11-25T09:00:00Z --subscription order-mails',
      ),
    )
    .action((topic, options, command) =>
      choose(command, async (context) => {
        const { replayEvents } = await import('./events-replay.ts')
        return replayEvents(context, topic, options)
      }),
    )
  events
    .command('unsubscribe')
    .description('end a subscription; asks before')
    .argument('<name>')
    .option('--force', 'do not ask')
    .addHelpText('after', examples('moca events unsubscribe order-mails'))
    .action((name, options, command) =>
      choose(command, async (context) => {
        const { unsubscribe } = await import('./events-unsubscribe.ts')
        return unsubscribe(context, name, options)
      }),
    )
}

function describeSearch(search: Command, choose: Choose): void {
  search
    .command('query')
    .description('find documents: words in any order, the last one may be the beginning of one, typos are forgiven')
    .argument('[words]', 'what to find (default: all documents)', '')
    .option('--index <name>', 'in this index (default: in all)')
    .option('--filter <condition...>', "country=FR, country=FR,DE or 'population>=1000'; all must hold")
    .option('--sort <field...>', 'population:desc, in place of the best match first')
    .option('--facet <field...>', 'count the values of a field')
    .option('--limit <n>', 'documents to show (default: 10)')
    .option('--offset <n>', 'documents to leave out before (default: 0)')
    .addHelpText(
      'after',
      examples(
        'moca search query pari',
        "moca search query 'new york' --index City --filter country=US 'population>=100000' --sort population:desc",
        'moca search query --index City --facet country --limit 0 --json',
      ),
    )
    .action((words, options, command) =>
      choose(command, async (context) => {
        const { querySearch } = await import('./search-query.ts')
        return querySearch(context, words, options)
      }),
    )
  search
    .command('status')
    .description('what indexes have, who keeps them, how far they are behind, and what cannot be indexed')
    .argument('[index]', 'this one only')
    .addHelpText('after', examples('moca search status', 'moca search status City --json'))
    .action((index, _, command) =>
      choose(command, async (context) => {
        const { showSearch } = await import('./search-status.ts')
        return showSearch(context, index)
      }),
    )
  search
    .command('sync')
    .description('keep search indexes as their tables are, until asked to stop (relays do, too)')
    .option('--health-port <port>', 'answer /healthz, /readyz and /metrics there')
    .option('--health-host <address>', 'address for it (default: all)')
    .addHelpText('after', examples('moca search sync', 'moca search sync --health-port 9090'))
    .action((options, command) =>
      choose(command, async (context) => {
        const { syncSearch } = await import('./search-sync.ts')
        return syncSearch(context, options)
      }),
    )
  search
    .command('rebuild')
    .description('build an index anew beside the one that is searched, then swap them; goes on where it was ended')
    .argument('[index]', 'this one only')
    .option('--allow-failed <n>', 'swap though so many documents cannot be indexed (default: 0)')
    .option('--batch-size <n>', 'rows to read at once (default: 200)')
    .option('--dry-run', 'only say what would be read')
    .addHelpText('after', examples('moca search rebuild City', 'moca search rebuild --dry-run'))
    .action((index, options, command) =>
      choose(command, async (context) => {
        const { rebuildSearch } = await import('./search-rebuild.ts')
        return rebuildSearch(context, index, options)
      }),
    )
  search
    .command('verify')
    .description('compare indexes with their tables, document by document; exit code 1 on any difference')
    .argument('[index]', 'this one only')
    .option('--repair', 'have what differs indexed again')
    .addHelpText('after', examples('moca search verify', 'moca search verify City --repair'))
    .action((index, options, command) =>
      choose(command, async (context) => {
        const { verifySearch } = await import('./search-verify.ts')
        return verifySearch(context, index, options)
      }),
    )
  search
    .command('retry')
    .description('try documents again that could not be indexed')
    .argument('<index>')
    .argument('[document]', 'this one only')
    .addHelpText('after', examples('moca search retry City', 'moca search retry City 42'))
    .action((index, document, _, command) =>
      choose(command, async (context) => {
        const { retrySearch } = await import('./search-retry.ts')
        return retrySearch(context, index, document)
      }),
    )
  search
    .command('remove')
    .description('remove an index that no doctype of the apps has any more, and what the log keeps for it')
    .argument('<index>')
    .option('--force', 'do not ask')
    .addHelpText('after', examples('moca search remove City', 'moca search remove City --force'))
    .action((index, options, command) =>
      choose(command, async (context) => {
        const { removeSearch } = await import('./search-remove.ts')
        return removeSearch(context, index, options)
      }),
    )
}

function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`
}

/** Commander hands these to a subcommand only when it is made by its parent after they were set; here they hold for all alike. */
function inheritSettings(command: Command): Command {
  for (const child of command.commands) {
    child.copyInheritedSettings(command)
    inheritSettings(child)
  }
  return command
}

/** The flags that say how to print an error, before the arguments have been understood. */
function peekFlags(args: readonly string[]): Flags {
  const has = (flag: string) => args.includes(flag)
  return { json: has('--json'), color: !has('--no-color'), quiet: has('--quiet'), verbose: has('--verbose') }
}

function asUsageError({ code, message }: CommanderError): UsageError {
  if (code === 'commander.help') return new UsageError('This is a group of commands.', 'See --help for its commands.')
  const [first = '', ...rest] = message.replace(/^error: /, '').split('\n')
  const hint = rest.join(' ').replaceAll(/[()]/g, '').trim()
  return new UsageError(
    `${first.charAt(0).toUpperCase()}${first.slice(1).replace(/\.$/, '')}.`,
    `${hint === '' ? '' : `${hint} `}See --help.`,
  )
}

function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
