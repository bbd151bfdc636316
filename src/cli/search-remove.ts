import { unclaimedIndexesOf } from '../search-indexes.ts'
import { NotFoundError } from './cli-error.ts'
import { confirm } from './confirm.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { withIndexes } from './search-access.ts'

export interface SearchRemoveOptions {
  readonly force?: boolean
}

/** Removes an index that no doctype has any more, and what the log keeps for it. */
export async function removeSearch(
  context: Context,
  name: string,
  { force = false }: SearchRemoveOptions,
): Promise<ExitCode> {
  const { output } = context
  return withIndexes(context, 'moca search remove', async (_, { config, database }) => {
    const question = `Remove search index ${name}? It is not found any more, and the log keeps nothing for it.`
    if (!(await confirm(question, force))) {
      output.result({ index: name, did: 'nothing' }, () => 'Nothing was removed.')
      return EXIT.problem
    }
    if (!(await unclaimedIndexesOf(config, database).remove(name))) {
      throw new NotFoundError(`There is nothing of a search index ${name}.`, 'moca search status lists what there is.')
    }
    output.result({ index: name, did: 'removed' }, () => `Removed search index ${name}.`)
    return EXIT.fine
  })
}
