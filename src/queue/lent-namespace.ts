import type { StoredScript } from '../redis/connection.ts'
import type { NamespaceConnection } from './namespace.ts'
import { LAYOUT } from './scripts.ts'

/** Lends one open connection to features that know neither the namespace's layout nor its keys: for a look, not for a process. */
export function lendNamespace({ connection, prefix }: NamespaceConnection) {
  return {
    prefix,
    layout: LAYOUT,
    ready: async () => {},
    send: <T>(command: readonly string[]) => connection.send<T>(command),
    run: <T>(script: StoredScript, args: readonly string[]) => connection.run<T>(script, prefix, args),
  }
}
