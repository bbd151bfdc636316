import { unclaimedIndexesOf } from '../search-indexes.ts'
import { type IndexStatus, readIndexStatus } from '../search/index-status.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatCount, formatDuration } from './format.ts'
import type { Output } from './output.ts'
import { pickIndexes, withIndexes } from './search-access.ts'

/** What search indexes have, how far they are behind, and what cannot be indexed. */
export async function showSearch(context: Context, name: string | undefined): Promise<ExitCode> {
  const { output } = context
  return withIndexes(context, 'moca search status', async (all, { config, database }) => {
    const indexes = await Promise.all(pickIndexes(all, name).map(readIndexStatus))
    const unclaimed = name === undefined ? await unclaimedIndexesOf(config, database).list() : []
    output.result({ at: new Date(), indexes, unclaimed }, () =>
      [describe(output, indexes), ...unclaimed.map((index) => remarkOnUnclaimed(output, index))].join('\n'),
    )
    return EXIT.fine
  })
}

function describe(output: Output, indexes: readonly IndexStatus[]): string {
  if (indexes.length === 0) return 'No doctype of the apps has search.'
  const rows = indexes.map((status) => {
    const { index, live } = status
    if (!live) return [index, 'not built', '-', '-', '-', '-', '-']
    const { documents, waiting, oldestWaitingMs, indexedLastMinute, parkedCount, owner } = live
    return [
      index,
      owner === undefined ? output.style('yellow', 'nobody') : owner,
      formatCount(documents),
      formatCount(waiting),
      formatDuration(oldestWaitingMs),
      formatCount(indexedLastMinute),
      parkedCount > 0 ? output.style('red', formatCount(parkedCount)) : '0',
    ]
  })
  const head = ['INDEX', 'WRITTEN BY', 'DOCUMENTS', 'WAITING', 'OLDEST WAITING', 'INDEXED LAST MINUTE', 'PARKED']
  return [output.table(head, rows, 2), ...indexes.flatMap((status) => remarksOn(output, status))].join('\n')
}

function remarkOnUnclaimed(output: Output, index: string): string {
  const text = `${index}: no doctype of the apps has this index, and nobody keeps it, but the log is kept for it: moca search remove ${index}`
  return output.style('yellow', text)
}

function remarksOn(output: Output, status: IndexStatus): string[] {
  const { index, live, rebuild, isRebuilding, lastRebuild, uncaptured, standstill } = status
  const remarks = uncaptured.map((doctype) =>
    output.style(
      'red',
      `${index}: changes of ${doctype} do not reach it: run moca outbox capture ${doctype}, then moca search rebuild ${index}`,
    ),
  )
  if (standstill) {
    const stoodMs = Math.max(0, standstill.triedAt.getTime() - standstill.since.getTime())
    remarks.push(
      output.style(
        'red',
        `${index} has stood still for ${formatDuration(stoodMs)}, though it is tried again and again: ${standstill.reason}`,
      ),
    )
  }
  if (!live) {
    if (!standstill)
      remarks.push(output.style('yellow', `${index} is not built yet: start moca search sync, or a relay`))
  } else {
    if (live.owner === undefined && !standstill)
      remarks.push(output.style('yellow', `${index}: nobody keeps it: start moca search sync, or a relay`))
    if (live.isOutdated)
      remarks.push(
        output.style('yellow', `${index}: its definition changed since it was built: moca search rebuild ${index}`),
      )
    for (const { docname, error } of live.parked) remarks.push(output.style('red', `${index} ${docname}: ${error}`))
    if (live.parkedCount > 0)
      remarks.push(`Mend them, then moca search retry ${index}; a parked document that changes is tried again at once.`)
  }
  if (rebuild) {
    const { documents, expected, owner, updatedAt } = rebuild
    const of = expected === undefined ? '' : ` of about ${formatCount(expected)}`
    const ago = formatDuration(Date.now() - updatedAt.getTime())
    remarks.push(
      isRebuilding
        ? `${index}: is being rebuilt by ${owner}, ${formatCount(documents)}${of} rows, last heard of ${ago} ago`
        : `${index}: a rebuild ended after ${formatCount(documents)}${of} rows, ${ago} ago: moca search rebuild ${index} goes on with it`,
    )
  }
  if (lastRebuild) {
    const took = formatDuration(lastRebuild.endedAt.getTime() - lastRebuild.beganAt.getTime())
    remarks.push(
      `${index}: built ${lastRebuild.endedAt.toISOString()}, ${formatCount(lastRebuild.documents)} rows in ${took}`,
    )
  }
  return remarks.length === 0 ? [] : ['', ...remarks]
}
