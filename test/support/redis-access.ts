import type { RedisAccess } from '../../src/events/backends/redis/redis-access.ts'
import type { NamespaceConnection } from '../../src/queue/namespace.ts'
import { LAYOUT } from '../../src/queue/scripts.ts'

/** Lends an open namespace to events. What it says of a broken connection is left as it is. */
export function lend(open: NamespaceConnection): RedisAccess {
  return {
    prefix: open.prefix,
    layout: LAYOUT,
    ready: async () => {
      if (!open.connection.isOpen) throw await open.closed
    },
    send: (command) => open.connection.send(command),
    run: (script, args) => open.connection.run(script, open.prefix, args),
  }
}
