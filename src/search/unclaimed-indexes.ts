import { OptionError } from '../errors.ts'
import type { Queryable } from '../postgres/connection.ts'
import { type FeedSource, indexOf } from './change-feed.ts'
import { DirtyDocuments } from './dirty-documents.ts'
import { RebuildStore } from './rebuild-store.ts'
import { Standstills } from './standstills.ts'
import type { SearchEngine } from './search-engine.ts'

export interface UnclaimedIndexesDeps {
  readonly engine: SearchEngine
  readonly feeds: FeedSource
  readonly database: Queryable
  readonly schema: string
  /** Names of the indexes that the configuration knows. */
  readonly claimed: readonly string[]
}

/**
 * Indexes that were built, and that no doctype of the configuration has any more. Nobody brings them on, so the log keeps everything for
 * them until somebody says that they are to go: a process that does not know them may be an old one.
 */
export class UnclaimedIndexes {
  readonly #deps: UnclaimedIndexesDeps

  constructor(deps: UnclaimedIndexesDeps) {
    this.#deps = deps
  }

  /** Those that nobody keeps either. One that somebody keeps is another configuration's. */
  async list(): Promise<string[]> {
    const positions = await this.#positions()
    const names = new Set(positions.map(indexOf))
    for (const position of positions) {
      if (names.has(indexOf(position)) && (await this.#ownerOf(position)) !== undefined) names.delete(indexOf(position))
    }
    return [...names]
  }

  /** Nothing is left of it. Answer: whether there was anything. Rejects with OptionError for one that a doctype has, or that somebody keeps. */
  async remove(index: string): Promise<boolean> {
    const { engine, feeds, database, schema, claimed } = this.#deps
    if (claimed.includes(index)) {
      throw new OptionError(
        `Index ${index} is the doctype's of that name: it would be built again. Take search out of its definition, or the doctype out of its app, and restart what keeps it`,
        { option: 'index', found: index },
      )
    }
    const positions = (await this.#positions()).filter((position) => indexOf(position) === index)
    for (const position of positions) {
      const owner = await this.#ownerOf(position)
      if (owner === undefined) continue
      throw new OptionError(
        `Index ${index} is kept by ${owner}, which still has its doctype: stop or restart it first`,
        {
          option: 'index',
          found: index,
          owner,
        },
      )
    }
    const generations = await engine.listGenerations(index)
    await new RebuildStore(database, schema).forget(index)
    await new Standstills(database, schema).end(index)
    await engine.remove(index)
    // Last: what was interrupted is found by its positions.
    for (const position of positions) {
      await new DirtyDocuments(database, schema, position).forget()
      await feeds.forget(position)
    }
    return positions.length > 0 || generations.length > 0
  }

  async #positions(): Promise<string[]> {
    const { feeds, claimed } = this.#deps
    return (await feeds.list()).filter((position) => !claimed.includes(indexOf(position)))
  }

  async #ownerOf(position: string): Promise<string | undefined> {
    return (await this.#deps.feeds.standing(position, []))?.owner
  }
}
