import { systemClock } from '../clock.ts'
import type { SearchIndex } from '../search/search-index.ts'
import { type IndexAccount, verifyIndex, waitForSync } from '../search/verify-index.ts'
import { totalsOf } from '../verify/index-account.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatCount } from './format.ts'
import { tableOfIndexes } from './index-table.ts'
import type { Output } from './output.ts'
import { pickIndexes, withIndexes } from './search-access.ts'

export interface SearchVerifyOptions {
  readonly repair?: boolean
}

interface VerifiedIndex {
  readonly account: IndexAccount | undefined
  readonly index: string
  /** How many were marked to be indexed again. */
  readonly repairing: number
}

const LOOK_MS = 50
const REPAIR_MS = 60_000
const MOST_NAMED = 20

/** Compares search indexes with their tables, document by document. Exit code 1 on any difference. */
export async function verifySearch(
  context: Context,
  name: string | undefined,
  { repair = false }: SearchVerifyOptions,
): Promise<ExitCode> {
  const { output } = context
  return withIndexes(context, 'moca search verify', async (all) => {
    const verified: VerifiedIndex[] = []
    for (const index of pickIndexes(all, name)) verified.push(await verifyOne(index, repair))
    // Without --repair nothing was.
    const isOk = verified.every(({ account, repairing }) => account && repairing === differencesOf(account).length)
    const json = {
      ok: isOk,
      indexes: verified.map(({ account, index, repairing }) =>
        account ? { ...account, repairing } : { index, missing: 'no index' },
      ),
    }
    output.result(json, () => describe(output, verified, repair))
    return isOk ? EXIT.fine : EXIT.problem
  })
}

async function verifyOne(index: SearchIndex, repair: boolean): Promise<VerifiedIndex> {
  const live = await index.engine.live(index.name)
  if (!live) return { account: undefined, index: index.name, repairing: 0 }
  const { generation } = live
  const account = await verifyIndex(index, { generation, catchUp: () => waitForSync(index, generation) })
  const differences = differencesOf(account)
  if (!repair || differences.length === 0) return { account, index: index.name, repairing: 0 }
  await index.dirty(generation).mark([...differences, ...account.parked])
  await waitUntil(async () => (await index.dirty(generation).count()).waiting === 0, REPAIR_MS)
  const after = await verifyIndex(index, {
    generation,
    only: differences,
    catchUp: () => waitForSync(index, generation),
  })
  return { account, index: index.name, repairing: differences.length - differencesOf(after).length }
}

function differencesOf({ missing, stale, orphaned }: IndexAccount): string[] {
  return [...missing, ...stale, ...orphaned]
}

async function waitUntil(isDone: () => Promise<boolean>, limitMs: number): Promise<void> {
  const deadline = systemClock.monotonicMs() + limitMs
  while (!(await isDone()) && systemClock.monotonicMs() < deadline) await systemClock.wait(LOOK_MS)
}

function describe(output: Output, verified: readonly VerifiedIndex[], repair: boolean): string {
  if (verified.length === 0) return 'No doctype of the apps has search.'
  const rows = verified.map(({ account, index }) => (account ? totalsOf(account) : index))
  const lines = [tableOfIndexes(output, rows)]
  for (const { account, index, repairing } of verified) {
    if (!account) {
      lines.push(
        '',
        `${index} is not built yet: start moca search sync, or a relay, or run moca search rebuild ${index}.`,
      )
      continue
    }
    for (const kind of ['missing', 'stale', 'orphaned'] as const) {
      if (account[kind].length === 0) continue
      const named = account[kind].slice(0, MOST_NAMED).join(', ')
      const more =
        account[kind].length > MOST_NAMED ? ` and ${formatCount(account[kind].length - MOST_NAMED)} more` : ''
      lines.push('', `${index}: ${kind}  ${named}${more}`)
    }
    const count = differencesOf(account).length
    if (count === 0) continue
    if (!repair) lines.push('', `Run moca search verify ${index} --repair to have them indexed again.`)
    else if (repairing === count)
      lines.push('', `${formatCount(count)} documents were indexed again, and are as their rows are.`)
    else
      lines.push(
        '',
        `${formatCount(repairing)} of ${formatCount(count)} were indexed again; the others wait: moca search status.`,
      )
  }
  return lines.join('\n')
}
