import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatCount } from './format.ts'
import { pickIndexes, withIndexes } from './search-access.ts'

/** Tries documents that could not be indexed again. */
export async function retrySearch(context: Context, name: string, docname: string | undefined): Promise<ExitCode> {
  const { output } = context
  return withIndexes(context, 'moca search retry', async (all) => {
    let retried = 0
    for (const index of pickIndexes(all, name)) {
      const live = await index.engine.live(index.name)
      if (live) retried += await index.dirty(live.generation).retry(docname)
    }
    output.result({ index: name, retried }, () =>
      retried === 0
        ? 'No such document is parked.'
        : `${formatCount(retried)} documents are tried again: moca search status.`,
    )
    return retried === 0 ? EXIT.problem : EXIT.fine
  })
}
