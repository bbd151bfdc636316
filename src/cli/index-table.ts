import type { IndexTotals } from '../verify/index-account.ts'
import { formatCount } from './format.ts'
import type { Output } from './output.ts'

/** How search indexes compare with their tables; an index that is not built, by its name. */
export function tableOfIndexes(output: Output, indexes: readonly (IndexTotals | string)[]): string {
  const rows = indexes.map((totals) => {
    if (typeof totals === 'string') return [totals, output.style('red', 'no index'), '-', '-', '-', '-', '-']
    const { index, documents, missing, stale, orphaned, parked } = totals
    const warn = (count: number) => (count > 0 ? output.style('red', formatCount(count)) : '0')
    const isFine = missing + stale + orphaned === 0
    const verdict = isFine ? output.style('green', 'ok') : output.style('red', 'differs')
    return [index, verdict, formatCount(documents), warn(missing), warn(stale), warn(orphaned), formatCount(parked)]
  })
  return output.table(['INDEX', '', 'DOCUMENTS', 'MISSING', 'STALE', 'ORPHANED', 'PARKED'], rows, 2)
}
