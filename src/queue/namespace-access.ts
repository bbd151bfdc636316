import { asAccessError } from '../redis/access.ts'
import type { StoredScript } from '../redis/connection.ts'
import type { Link } from '../redis/link.ts'
import { keyPrefix } from './keys.ts'
import { asLayoutError, mustReopen, type NamespaceConnection } from './namespace.ts'
import { LAYOUT } from './scripts.ts'

/** Lends a namespace to features that know neither its layout nor when it must be opened again. */
export class NamespaceAccess {
  readonly prefix: string
  readonly layout = LAYOUT
  readonly #link: Link<NamespaceConnection>
  readonly #limitMs: number

  /** `limitMs`: how long anything waits for a connection. */
  constructor(link: Link<NamespaceConnection>, namespace: string, limitMs: number) {
    this.prefix = keyPrefix(namespace)
    this.#link = link
    this.#limitMs = limitMs
  }

  /** Resolves once there is a connection; rejects with the reason when that takes longer. */
  async ready(limitMs: number): Promise<void> {
    await this.#link.ready(limitMs)
  }

  send<T>(command: readonly string[]): Promise<T> {
    return this.#ask((open) => open.connection.send<T>(command), command)
  }

  run<T>(script: StoredScript, args: readonly string[]): Promise<T> {
    return this.#ask((open) => open.connection.run<T>(script, open.prefix, args), ['EVALSHA', this.prefix])
  }

  /** Once more on another connection where this one leads to a server that forgot the namespace, or became a replica: nothing was done. */
  async #ask<T>(ask: (open: NamespaceConnection) => Promise<T>, command: readonly string[]): Promise<T> {
    const open = await this.#link.ready(this.#limitMs)
    try {
      return await ask(open)
    } catch (error) {
      if (!mustReopen(error)) throw asLayoutError(asAccessError(error, { command }))
      open.destroy()
      await open.closed // by now the link has let go of it
      return ask(await this.#link.ready(this.#limitMs))
    }
  }
}
