import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { Writable } from 'node:stream'

// A server as a child process. It does not outlive the process that started it, however that one ends, SIGKILL included: it is started
// through a shell that leaves a watcher behind, which reads from a pipe that only the starter holds open. "done" on it means that the
// server is gone already; its end without a word means that the starter died, and the watcher ends the server. The watcher is no child of
// the server, which might wonder about it.
// A group of its own (`detached`) keeps a Ctrl-C on the terminal away from the server: a program that stops gracefully still needs it.
const LAUNCH = `
signal=$1 dir=$2; shift 2
( ( read -r _ <&3 || {
  kill -$signal $$; kill -CONT $$; n=0
  [ $signal = KILL ] || while kill -0 $$ && [ $n -lt 100 ]; do n=$((n+1)); sleep 0.1; done
  kill -KILL $$; [ -z "$dir" ] || rm -rf "$dir"
} ) >/dev/null 2>&1 & )
exec "$@" 3<&-
`

export interface WatchedServerOptions {
  /** The program and its arguments. */
  readonly command: readonly string[]
  /** What the watcher sends it when the starter died: KILL, or QUIT for one that gives back what it holds of the machine. */
  readonly ending: 'KILL' | 'QUIT'
  /** Removed by the watcher afterwards. Default: nothing. */
  readonly removes?: string
  /** What the server prints. */
  readonly logFile: string
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
}

/** Starts a server. Its exit code is 127 when there is no such program. Does not keep this process alive. */
export function startWatched(options: WatchedServerOptions): ChildProcess {
  const { command, ending, removes = '', logFile, user, ...place } = options
  const log = openSync(logFile, 'w')
  const child = spawn('sh', ['-c', LAUNCH, 'launch', ending, removes, ...command], {
    ...place,
    ...user,
    stdio: ['ignore', log, log, 'pipe'],
    detached: true,
  })
  closeSync(log)
  const watcher = child.stdio[3] as Writable & { unref(): void }
  watcher.on('error', () => {}) // the watcher may be gone before it is told
  child.once('exit', () => watcher.end('done\n'))
  // A forgotten server does not keep its starter alive: the starter ends, and the watcher ends the server.
  child.unref()
  watcher.unref()
  return child
}

/** Lets a server live on after the process that started it. */
export function release(child: ChildProcess): void {
  const watcher = child.stdio[3] as Writable
  watcher.end('done\n')
}

export function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}
