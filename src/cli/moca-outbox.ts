#!/usr/bin/env node
import { requireNode } from './require-node.ts'

requireNode()
// `moca-outbox` = `moca outbox start`: one word for a process manager.
const { runAndEnd } = await import('./run-and-end.ts')
await runAndEnd(['outbox', 'start', ...process.argv.slice(2)])
