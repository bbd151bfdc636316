#!/usr/bin/env node
import { requireNode } from './require-node.ts'

requireNode()
// `moca-worker` = `moca worker start`: one word for a process manager.
const { runAndEnd } = await import('./run-and-end.ts')
await runAndEnd(['worker', 'start', ...process.argv.slice(2)])
