import type { Doctype } from '../doctype/doctype.ts'
import { Capture, type CaptureState, type InstalledCapture } from '../outbox/capture.ts'
import { NotFoundError, UsageError } from './cli-error.ts'
import { confirm } from './confirm.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { withOutbox } from './outbox-access.ts'

export interface CaptureOptions {
  readonly all?: boolean
  readonly show?: boolean
  readonly remove?: boolean
  readonly force?: boolean
}

/** Installs, shows or removes the triggers that record every change of a doctype's table. */
export async function captureDoctypes(
  context: Context,
  name: string | undefined,
  options: CaptureOptions,
): Promise<ExitCode> {
  const { all = false, show = false, remove = false, force = false } = options
  if ((name === undefined) !== all || (show && remove) || (remove && all)) {
    throw new UsageError(
      'Say which doctype: DOCTYPE, or --all for every one of the apps; and either --show or --remove (of one), or neither to install.',
      'moca outbox capture City',
    )
  }
  const known = (await context.config()).apps.flatMap(({ doctypes }) => doctypes)
  return withOutbox(context, 'moca outbox capture', async ({ database, schema }) => {
    const capture = new Capture(database, schema)
    // What is installed may be of an app that is no more.
    if (remove) return removeCapture(context, capture, String(name), force)
    const wanted = all ? known : [requireKnown(known, String(name))]
    return show ? showCaptures(context, capture, wanted) : installCaptures(context, capture, wanted)
  })
}

function requireKnown(known: readonly Doctype[], name: string): Doctype {
  const doctype = known.find((each) => each.name === name)
  if (doctype) return doctype
  const names = known.length === 0 ? 'no app has any' : `known are ${known.map((each) => each.name).join(', ')}`
  throw new NotFoundError(`There is no doctype ${name}; ${names}.`, 'Apps carry them: defineApp({ doctypes: [City] })')
}

async function installCaptures(context: Context, capture: Capture, doctypes: readonly Doctype[]): Promise<ExitCode> {
  const captures: InstalledCapture[] = []
  for (const doctype of doctypes) captures.push(await capture.install(doctype))
  context.output.result({ captures }, () => captures.map(describeInstalled).join('\n') || 'No app has a doctype.')
  return EXIT.fine
}

async function showCaptures(context: Context, capture: Capture, doctypes: readonly Doctype[]): Promise<ExitCode> {
  const captures: CaptureState[] = []
  for (const doctype of doctypes) captures.push(await capture.show(doctype))
  context.output.result({ captures }, () => captures.map(describeState).join('\n') || 'No app has a doctype.')
  return captures.every(({ status }) => status === 'current') ? EXIT.fine : EXIT.problem
}

async function removeCapture(context: Context, capture: Capture, name: string, force: boolean): Promise<ExitCode> {
  const { output } = context
  if (!(await capture.list()).includes(name)) {
    throw new NotFoundError(`Doctype ${name} is not captured.`, 'moca outbox capture --all --show shows what is.')
  }
  if (!(await confirm(`Remove the capture of ${name}? What is written from then on is not recorded.`, force))) {
    output.result({ doctype: name, did: 'nothing', tables: [] }, () => 'Nothing was removed.')
    return EXIT.problem
  }
  const removed = await capture.remove(name)
  output.result(removed, () => `Removed the capture of ${name}${of(removed.tables)}.`)
  return EXIT.fine
}

function describeInstalled({ doctype, did, tables }: InstalledCapture): string {
  const names = tables.map(({ table }) => table)
  if (did === 'nothing') return `The capture of ${doctype}${of(names)} is current: nothing to do.`
  return `${did === 'installed' ? 'Installed' : 'Replaced'} the capture of ${doctype}${of(names)}.`
}

function describeState({ doctype, table, status, tables, elsewhere }: CaptureState): string {
  const lines = [`${doctype}: ${status}${table === undefined ? ' (there is no such table)' : of([table])}`]
  for (const part of tables) if (part.status !== 'current') lines.push(`  ${part.table}: ${part.status}`)
  for (const other of elsewhere) lines.push(`  ${other}: has its triggers, and is no table of it`)
  return lines.join('\n')
}

function of(tables: readonly string[]): string {
  return tables.length === 0 ? '' : ` (${tables.join(', ')})`
}
